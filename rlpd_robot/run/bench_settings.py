"""Settings of benches."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bounds import at_least


def usable_cores() -> int:
    """Cores that this process may use, where the system can tell, and can be told; otherwise 0."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@dataclass(frozen=True)
class LearnerBenchSettings:
    """`rlpd-robot bench learner`.

    Attributes:
        seconds: of learning at each configuration [s].
        demo_rows: transitions of the prior data.
        ring_rows: transitions in the live ring, which is full.
        first_update: whether to time the start of two fresh processes, too.
        sweep: whether to vary ring, prior data, ensemble and width.
        cores: to compute on; on one, neighbours disturb the ratios least. None: all.
        picture: file for the sweep's figure (PNG); none: no figure.
        save: file for the costs, to be committed; none: they are not kept.
        against: file of costs that were committed; what costs more than half as much again fails. None: nothing does.
        compare: instead of all that, ways to compute the same updates in turn, each in a process of its own.
        flags: of XLA, each compared as a way of its own.
    """

    seconds: float = 20.0
    demo_rows: int = 5_000
    ring_rows: int = 1_000_000
    first_update: bool = True
    sweep: bool = False
    cores: int | None = None
    picture: str | None = None
    save: str | None = None
    against: str | None = None
    compare: bool = False
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.flags and not self.compare:
            raise ConfigError("learner_bench.flags", list(self.flags), "empty, unless learner_bench.compare=true")
        if self.cores is not None and not 1 <= self.cores <= usable_cores():
            raise ConfigError("learner_bench.cores", self.cores, f"null, or between 1 and {usable_cores()}")
        if self.picture and not self.sweep:
            raise ConfigError("learner_bench.picture", self.picture, "null, unless learner_bench.sweep=true")
        for key in ("picture", "save"):
            path = getattr(self, key)
            if path and not Path(path).parent.is_dir():
                raise ConfigError(f"learner_bench.{key}", path, "a file in a directory that exists")
        if not 0 < self.seconds <= 3600:
            raise ConfigError("learner_bench.seconds", self.seconds, "above 0 and at most 3600")
        for key in ("demo_rows", "ring_rows"):
            if not 1 <= getattr(self, key) <= 1 << 31:
                raise ConfigError(f"learner_bench.{key}", getattr(self, key), "between 1 and 2,147,483,648")


@dataclass(frozen=True)
class FuzzSettings:
    """`rlpd-robot bench fuzz`.

    Attributes:
        frames: spoiled ones, over all sockets together.
    """

    frames: int = 200_000

    def __post_init__(self) -> None:
        at_least("fuzz.frames", self.frames, 1)


@dataclass(frozen=True)
class ImportFuzzSettings:
    """`rlpd-robot bench import-fuzz`.

    Attributes:
        files: spoiled ones for each importer.
    """

    files: int = 2000

    def __post_init__(self) -> None:
        at_least("import_fuzz.files", self.files, 1)


@dataclass(frozen=True)
class ImportBenchSettings:
    """`rlpd-robot bench import`.

    Attributes:
        transitions: of each format, in all.
        steps: transitions of an episode.
        formats: `all`, or the name of one.
    """

    transitions: int = 1_000_000
    steps: int = 200
    formats: str = "all"

    def __post_init__(self) -> None:
        at_least("import_bench.transitions", self.transitions, 1)
        at_least("import_bench.steps", self.steps, 2)


@dataclass(frozen=True)
class LatencySettings:
    """`rlpd-robot bench latency`.

    Attributes:
        rounds: questions to the echo and to the policy server, each.
        seconds: of the control loop, at each rate, alone and loaded [s].
    """

    rounds: int = 10_000
    seconds: float = 10.0

    def __post_init__(self) -> None:
        at_least("latency.rounds", self.rounds, 1)
        if not 0 < self.seconds <= 3600:
            raise ConfigError("latency.seconds", self.seconds, "above 0 and at most 3600")


CHAOS_PHASES = ("lockstep", "realtime")


@dataclass(frozen=True)
class ChaosSettings:
    """`rlpd-robot bench chaos`.

    Attributes:
        faults: over all runs together.
        phases: one run each: "lockstep", "realtime" (by the wall clock), or both.
        recovery_s: longest time from the end of a fault until a transition executed after it is committed [s].
        folder: where the runs, their books and their logs stay; none: they are deleted.
    """

    faults: int = 72
    phases: tuple[str, ...] = CHAOS_PHASES
    recovery_s: float = 180.0
    folder: str | None = None

    def __post_init__(self) -> None:
        at_least("chaos.faults", self.faults, 1)
        if not self.phases or len(set(self.phases)) < len(self.phases) or not set(self.phases) <= set(CHAOS_PHASES):
            raise ConfigError("chaos.phases", list(self.phases), f"some of {list(CHAOS_PHASES)}, each once")
        if not 0 < self.recovery_s < math.inf:
            raise ConfigError("chaos.recovery_s", self.recovery_s, "a positive time in seconds")


@dataclass(frozen=True)
class RecordChaosSettings:
    """`rlpd-robot bench record-chaos`.

    Attributes:
        kills: of a recorder.
        seconds: longest time from a recorder's first episode to its death [s].
        steps: of an episode.
        timed: whether an undisturbed recorder is timed afterwards.
        folder: where store, logs and the robot's book stay; none: they are deleted.
    """

    kills: int = 50
    seconds: float = 1.5
    steps: int = 20
    timed: bool = True
    folder: str | None = None

    def __post_init__(self) -> None:
        at_least("record_chaos.kills", self.kills, 1)
        at_least("record_chaos.steps", self.steps, 1)
        if not 0 < self.seconds <= 60:
            raise ConfigError("record_chaos.seconds", self.seconds, "above 0 and at most 60")


@dataclass(frozen=True)
class DryRunBenchSettings:
    """`rlpd-robot bench dry-run`.

    Attributes:
        repeats: dry runs in which nothing is inflicted; none of them may fail.
        sabotages: whether to sabotage robot and settings as well, one after the other; each must be named.
        timeout_s: longest time of one dry run [s].
        folder: where the sheets stay; none: they are deleted.
    """

    repeats: int = 20
    sabotages: bool = False
    timeout_s: float = 600.0
    folder: str | None = None

    def __post_init__(self) -> None:
        at_least("dry_run_bench.repeats", self.repeats, 0)
        if not 0 < self.timeout_s < math.inf:
            raise ConfigError("dry_run_bench.timeout_s", self.timeout_s, "a positive time in seconds")


@dataclass(frozen=True)
class RosbridgeSettings:
    """`rlpd-robot bench rosbridge`.

    Attributes:
        seconds: of commands and states at the robot's rate [s].
        cuts: of the link, one after another; one in ten leaves it silent, one in ten gives back late what it held.
    """

    seconds: float = 30.0
    cuts: int = 200

    def __post_init__(self) -> None:
        at_least("rosbridge.cuts", self.cuts, 0)
        if not 0 < self.seconds <= 3600:
            raise ConfigError("rosbridge.seconds", self.seconds, "above 0 and at most 3600")
