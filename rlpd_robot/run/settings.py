"""Settings of the processes, as frozen dataclasses; `config.py` fills them from YAML. No JAX, no Hydra here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.deadline import Deadline
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.robot.watchdog import WatchdogSettings
from rlpd_robot.run.bench_settings import (
    ChaosSettings,
    DryRunBenchSettings,
    FuzzSettings,
    ImportBenchSettings,
    ImportFuzzSettings,
    LatencySettings,
    LearnerBenchSettings,
    RecordChaosSettings,
    RosbridgeSettings,
)
from rlpd_robot.run.bounds import at_least, check_seed
from rlpd_robot.run.dashboard.settings import DashboardSettings
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.run.dry_run.settings import DryRunSettings
from rlpd_robot.run.experiment.settings import StudySettings
from rlpd_robot.run.learner_settings import LearnerSettings
from rlpd_robot.run.realtime import MAX_PRIORITY
from rlpd_robot.run.record_settings import RecordSettings
from rlpd_robot.run.supervise_settings import SuperviseSettings
from rlpd_robot.wire.security import Security
from rlpd_robot.wire.settings import ADDRESSES, LinkSettings


@dataclass(frozen=True)
class RunSettings:
    """One run of training.

    Attributes:
        name: of the directory below `root` that holds everything the run writes.
        root: parent of all runs.
        seed: of the agent, the sampler, the exploration and the simulated resets.
        env_steps: live transitions after which learning is finished.
        max_minutes: learning is finished after this long, whatever was reached [min]; 0: no limit.
        demos: demonstration store (prior data), or none.
    """

    name: str = "run"
    root: str = "runs"
    seed: int = 0
    env_steps: int = 10_000
    max_minutes: float = 0.0
    demos: str | None = None

    def __post_init__(self) -> None:
        if not self.name.isprintable() or not self.name or "/" in self.name or self.name.startswith("."):
            raise ConfigError("run.name", self.name, "a plain directory name")
        check_seed("run.seed", self.seed)
        at_least("run.env_steps", self.env_steps, 1)
        at_least("run.max_minutes", self.max_minutes, 0)

    @property
    def directory(self) -> Path:
        """Where this run writes."""
        return Path(self.root) / self.name


@dataclass(frozen=True)
class ActorSettings:
    """The robot's side.

    Attributes:
        greedy_every: each so many episodes one is acted without exploration; 0: never.
        connect_s: longest wait for the robot at the start [s].
        policy_s: longest wait for a first policy, and in lock-step for the learner's leave to go on [s].
        journal_mb: disk space for transitions that no learner has acknowledged [MB].
        armed_at_start: whether it may move the robot as soon as it is warm; otherwise not before a person has looked
            and armed it: how the supervisor starts one on a real robot again.
        deadline_miss: what is sent in the place of a late action: hold, reuse or decay (`robot/deadline.py`).
        deadline: an action that comes longer than this after its state is late [control periods].
        cpu: the core to run on, by the wall clock; none: any.
        realtime_priority: by the wall clock, of SCHED_FIFO, where that is permitted; 0: as any other process.
        unattended: whether it arms itself in front of the stand-in of a supervised run; never on a real robot.
        record: folder for every state that the driver reads and every command that it is told, as a dry run compares
            them (`robot/recorded.py`); none: they are not kept.
    """

    greedy_every: int = 0
    connect_s: float = 30.0
    policy_s: float = 600.0
    journal_mb: float = 2000.0
    armed_at_start: bool = True
    deadline_miss: str = "hold"
    deadline: float = 1.0
    cpu: int | None = None
    realtime_priority: int = 20
    unattended: bool = True
    record: str | None = None

    def __post_init__(self) -> None:
        at_least("actor.greedy_every", self.greedy_every, 0)
        if not 0 <= self.realtime_priority <= MAX_PRIORITY:
            raise ConfigError("actor.realtime_priority", self.realtime_priority, f"between 0 and {MAX_PRIORITY}")
        for key in ("connect_s", "policy_s", "journal_mb"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"actor.{key}", getattr(self, key), "above 0")
        assert self.late  # refuses what it cannot mean

    @property
    def late(self) -> Deadline:
        """When an action is late, and what is sent then."""
        return Deadline(self.deadline_miss, self.deadline)


@dataclass(frozen=True)
class EvalSettings:
    """The evaluation at the end, and `rlpd-robot eval`.

    Attributes:
        episodes: deterministic episodes.
        seed: of the first; they count up. Far from those of training.
        min_success: share of solved episodes from which the run counts as learned [0..1].
        policy: file to evaluate; none: the run's own.
        film: whether to make a video where the robot's settings say how.
        report: whether to draw the curves and write the report; without, nothing needs matplotlib.
    """

    episodes: int = 20
    seed: int = 1_000_000
    min_success: float = 0.8
    policy: str | None = None
    film: bool = True
    report: bool = True

    def __post_init__(self) -> None:
        at_least("eval.episodes", self.episodes, 1)
        check_seed("eval.seed", self.seed)
        if not 0.0 <= self.min_success <= 1.0:
            raise ConfigError("eval.min_success", self.min_success, "between 0 and 1")


@dataclass(frozen=True)
class CollectSettings:
    """`rlpd-robot demos collect`: a policy acts and its episodes become a demonstration store.

    Attributes:
        out: path of the store to write.
        policy: file of the policy that acts, or random: actions drawn uniformly.
        episodes: to keep.
        explore: sample from the policy; otherwise its most likely action.
        noise: standard deviation of white noise added to each action, for demonstrations with an unsteady hand [-].
        keep_failures: whether unsolved episodes are kept too.
        seed: of the first reset; they count up.
        max_attempts: give up after so many episodes; 0: ten times `episodes`.
    """

    out: str | None = None
    policy: str | None = None
    episodes: int = 25
    explore: bool = True
    noise: float = 0.0
    keep_failures: bool = False
    seed: int = 0
    max_attempts: int = 0

    def __post_init__(self) -> None:
        at_least("collect.episodes", self.episodes, 1)
        check_seed("collect.seed", self.seed)
        if not 0.0 <= self.noise < math.inf:
            raise ConfigError("collect.noise", self.noise, "a finite number of at least 0")
        at_least("collect.max_attempts", self.max_attempts, 0)


@dataclass(frozen=True)
class ServeSettings:
    """`rlpd-robot serve`: actions for foreign clients.

    Attributes:
        policy: file of the policy that acts; none: the learner's newest, from `link.policy`.
        explore: sample from the policy; otherwise its most likely action.
        seed: of the exploration.
        max_observation: an observation with a larger magnitude in it is refused.
    """

    policy: str | None = None
    explore: bool = False
    seed: int = 0
    max_observation: float = 1e6

    def __post_init__(self) -> None:
        check_seed("serve.seed", self.seed)
        if not 0 < self.max_observation < math.inf:
            raise ConfigError("serve.max_observation", self.max_observation, "a finite number above 0")


Recipe = Mapping[str, Any]
"""`{_target_: dotted.name, **arguments}`: how to make something that this package must not import."""


@dataclass(frozen=True)
class RobotSettings:
    """How to reach a robot, and what may stand in for it.

    Attributes:
        name: for people.
        driver: recipe of the `Driver`.
        stand_in: recipe of a callable `(stop: threading.Event) -> None` that plays the robot until told to stop; none
            for a real robot.
        film: recipe of a `Driver` that films what it does (`save(path)`); none where nothing can be filmed.
        model: recipe of a `run.identify.model.Model` whose parameters can be fitted; none where there is none.
        cameras: by name, what takes pictures beside the driver: a place that is kept, and empty as yet. Pictures that a
            driver's states bring with them need no entry here.
    """

    name: str
    driver: Recipe
    stand_in: Recipe | None = None
    film: Recipe | None = None
    model: Recipe | None = None
    cameras: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cameras:
            raise ConfigError("robot.cameras", dict(self.cameras), "empty, {}: nothing here takes pictures yet")


Resume = Literal["auto", "never"]


@dataclass(frozen=True)
class Settings:
    """Everything a verb may need; each reads its own part, so the same overrides fit all of them.

    Attributes:
        resume: whether a run's directory that exists is gone on with, without a question, or refused.
        policy: which one the actor acts with: "latest", or "pin:VERSION".
        teleop: recipe of a `TeleopSource`, that takes `spec=`, and beside it `start` (`record_task.Stance`); none for
            most verbs.
    """

    robot: RobotSettings
    task: Recipe
    agent: AgentConfig
    safety: SafetySettings
    link: LinkSettings = field(default_factory=LinkSettings)
    run: RunSettings = field(default_factory=RunSettings)
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    supervise: SuperviseSettings = field(default_factory=SuperviseSettings)
    actor: ActorSettings = field(default_factory=ActorSettings)
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    fuzz: FuzzSettings = field(default_factory=FuzzSettings)
    import_fuzz: ImportFuzzSettings = field(default_factory=ImportFuzzSettings)
    import_bench: ImportBenchSettings = field(default_factory=ImportBenchSettings)
    latency: LatencySettings = field(default_factory=LatencySettings)
    chaos: ChaosSettings = field(default_factory=ChaosSettings)
    record_chaos: RecordChaosSettings = field(default_factory=RecordChaosSettings)
    rosbridge: RosbridgeSettings = field(default_factory=RosbridgeSettings)
    learner_bench: LearnerBenchSettings = field(default_factory=LearnerBenchSettings)
    doctor: DoctorSettings = field(default_factory=DoctorSettings)
    dry_run: DryRunSettings = field(default_factory=DryRunSettings)
    dry_run_bench: DryRunBenchSettings = field(default_factory=DryRunBenchSettings)
    study: StudySettings = field(default_factory=StudySettings)
    resume: str = "auto"
    policy: str = "latest"
    teleop: Recipe | None = None

    def __post_init__(self) -> None:
        if self.resume not in get_args(Resume):
            raise ConfigError("resume", self.resume, f"one of {', '.join(map(repr, get_args(Resume)))}")
        pinned = self.policy.removeprefix("pin:")
        if self.policy != "latest" and (pinned == self.policy or not (pinned.isascii() and pinned.isdigit())):
            raise ConfigError("policy", self.policy, "'latest', or 'pin:' and a version such as pin:12")
        for key in ADDRESSES:
            address = getattr(self.link, key)
            if address.startswith("tcp://") and address.rpartition(":")[2] in ("*", "0"):
                raise ConfigError(f"link.{key}", address, "an address with a port that the other side can know")
            self.security.check(f"link.{key}", address)
        self.learner.check(self.agent, self.link.insecure, self.run.demos)

    @property
    def security(self) -> Security:
        """Of every link."""
        return Security(self.link.keys, self.link.insecure)

    @property
    def pinned_version(self) -> int | None:
        """The policy that a person chose to act, whatever the learner publishes; None: the newest."""
        return None if self.policy == "latest" else int(self.policy.removeprefix("pin:"))
