"""What is inflicted, what must come of it, and whether it did."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.watchdog import CAUSES, E_STOP, FROZEN, LINK, OVERRUN, STALE, WatchdogSettings
from rlpd_robot.run.dry_run.settings import DryRunSettings
from rlpd_robot.spec import RobotSpec

Expectation = Literal["stops", "survives", "either"]

RESTARTED = "started again"
"""How the fault of an actor begins that was started again, and waits for a person."""

_SLACK_S = 0.35  # two looks of the actor at its robot, and of ours at both; a busy machine
_KEYS = ("name", "fault", "process", "signal", "seconds", "expects", "causes", "within_s")


@dataclass(frozen=True)
class Trial:
    """One fault, and what must come of it.

    Attributes:
        name: for people; unique.
        fault: entry for the stand-in (`sim/faults/catalogue.py`), or none.
        signal: what the actor's process gets instead: "STOP" (and goes on after `seconds`) or "KILL".
        seconds: how long it lasts [s].
        expects: the robot stops and stays stopped; it goes on; or either, since chance decides.
        causes: how the sentence of the actor's fault may begin.
        within_s: time from its beginning in which the actor must have noticed and the robot must have stopped [s].
    """

    name: str
    fault: Mapping[str, Any] = field(default_factory=dict)
    signal: str = ""
    seconds: float = 1.0
    expects: Expectation = "survives"
    causes: tuple[str, ...] = ()
    within_s: float = math.inf


@dataclass(frozen=True)
class Link:
    """What a robot and its link know of time.

    Attributes:
        stamps_states: whether states say when they were measured.
        own_watchdog: whether the robot stops by itself when fresh commands cease, and tells so.
    """

    stamps_states: bool = True
    own_watchdog: bool = True


@dataclass(frozen=True)
class Seen:
    """What came of one trial; times on the monotonic clock [s], NaN: never.

    Attributes:
        began_s: when the fault began.
        told_s: when the actor was seen to be in fault.
        sentence: of that fault.
        stopped_s: after the beginning, the robot's first stop after which it followed nothing more: its own book.
        moved_after: commands followed and resets made from then on, before a person armed.
        went_on: commands followed after the fault was over, nobody having armed.
        rearmed: whether it moved again after a person had armed.
        attempts: at this trial; those before the last were spoiled by this machine, which was too busy.
    """

    began_s: float = math.nan
    told_s: float = math.nan
    sentence: str = ""
    stopped_s: float = math.nan
    moved_after: int = 0
    went_on: int = 0
    rearmed: bool = False
    attempts: int = 1

    @property
    def busy(self) -> bool:
        """Whether the robot was stopped because something came late, which a busy machine brings about by itself."""
        words = ("no fresh command for", "/hand/following")  # over rosbridge the hand does not tell why
        return self.sentence.startswith(OVERRUN) or any(word in self.sentence for word in words)

    @property
    def told_after_s(self) -> float:
        """From the beginning until the actor told [s]."""
        return self.told_s - self.began_s

    @property
    def stopped_after_s(self) -> float:
        """From the beginning until the robot stood [s]."""
        return self.stopped_s - self.began_s


def parse(settings: DryRunSettings, watchdog: WatchdogSettings, period_s: float) -> list[Trial]:
    """The trials of a dry run: entries `{name, fault or signal, seconds, expects, causes, within_s}`.

    Raises:
        ConfigError: an entry that means nothing, or a name in `only` that none has.
    """
    trials = [
        _trial(f"dry_run.trials[{i}]", entry, watchdog, period_s) for i, entry in enumerate(settings.trials or ())
    ]
    names = [trial.name for trial in trials]
    if len(set(names)) < len(names):
        raise ConfigError("dry_run.trials", names, "entries of different names")
    only = settings.only or ()
    for name in only:
        if name not in names:
            raise ConfigError("dry_run.only", name, f"some of {', '.join(names)}")
    return [trial for trial in trials if not only or trial.name in only]


def _trial(where: str, entry: Mapping[str, Any], watchdog: WatchdogSettings, period_s: float) -> Trial:
    if not isinstance(entry, Mapping) or not set(entry) <= set(_KEYS):
        raise ConfigError(where, entry, f"an entry of the keys {', '.join(_KEYS)}")
    fault, signal = dict(entry.get("fault") or {}), str(entry.get("signal") or "")
    if bool(fault) == bool(signal) or signal not in ("", "STOP", "KILL"):
        raise ConfigError(where, dict(entry), "either a fault, or the signal STOP or KILL")
    expects, causes = entry.get("expects", "survives"), tuple(entry.get("causes") or ())
    if expects not in get_args(Expectation):
        raise ConfigError(f"{where}.expects", expects, f"one of {', '.join(get_args(Expectation))}")
    for cause in causes:
        if cause not in (*CAUSES, RESTARTED):
            raise ConfigError(f"{where}.causes", cause, f"some of {', '.join((*CAUSES, RESTARTED))}")
    if fault.get("kind") == "e_stop" and watchdog.e_stop is not None and not watchdog.e_stop.startswith("driver."):
        fault.setdefault("field", watchdog.e_stop)
        causes = (E_STOP, LINK)  # which of the two is seen first is a matter of microseconds
    within_s = entry.get("within_s")
    if within_s is None:
        within_s = max((_deadline(cause, watchdog, period_s) for cause in causes), default=_SLACK_S)
    seconds = float(entry.get("seconds", 1.0))
    return Trial(str(entry.get("name", fault.get("kind"))), fault, signal, seconds, expects, causes, float(within_s))


def _deadline(cause: str, watchdog: WatchdogSettings, period_s: float) -> float:
    """Until when a fault of this cause must have been noticed [s]."""
    longest = {
        STALE: watchdog.stale_s,
        OVERRUN: watchdog.overrun_s + watchdog.misses * period_s,
        # Commands that do not differ from the one before do not count: half as many again.
        FROZEN: 1.5 * watchdog.frozen * period_s,
        RESTARTED: 30.0,  # a process has to start
    }
    return longest.get(cause, 0.0) + _SLACK_S


def judge(trial: Trial, seen: Seen, period_s: float) -> list[str]:
    """What did not go as it must have, in sentences; none: it passed."""
    if math.isnan(seen.began_s):
        return ["it could not be inflicted"]
    if trial.expects == "survives" or (trial.expects == "either" and not seen.sentence):
        if seen.sentence:
            return [f"the robot was stopped ({seen.sentence})"]
        return [] if seen.went_on else ["the robot followed nothing any more, and the actor did not say why"]
    problems = _late(trial, seen, period_s) if trial.expects == "stops" else []
    if not seen.sentence:
        problems.append("the actor did not notice")
    elif trial.expects == "stops" and not seen.sentence.startswith(trial.causes):
        problems.append(f"it was taken for something else ({seen.sentence})")
    if math.isnan(seen.stopped_s) and trial.fault.get("kind") != "death":
        problems.append("the robot did not stop")
    if seen.moved_after:
        problems.append(f"{seen.moved_after} commands or resets were carried out before a person had armed")
    if seen.sentence and not seen.rearmed:
        problems.append("it did not move again after a person had armed")
    return problems


def _late(trial: Trial, seen: Seen, period_s: float) -> list[str]:
    problems = []
    if seen.told_after_s > trial.within_s:
        problems.append(f"the actor told after {seen.told_after_s:.2f} s")
    if seen.stopped_after_s > _stop_within(trial, period_s):
        problems.append(f"the robot stopped after {seen.stopped_after_s:.2f} s")
    return problems


def _stop_within(trial: Trial, period_s: float) -> float:
    """An actor that is gone cannot tell: the robot's own watchdog has to stop it. A robot that hangs moves nothing."""
    if trial.fault.get("kind") == "hang":
        return trial.seconds + trial.within_s
    return FRESH_PERIODS * period_s + _SLACK_S if trial.signal else trial.within_s


def in_words(trial: Trial, period_s: float) -> str:
    """What must come of it."""
    if trial.expects == "survives":
        return "the robot goes on"
    if trial.expects == "either":
        return "the robot goes on, or stops and stays stopped until a person arms"
    causes = " or ".join(f"'{cause}'" for cause in trial.causes)
    stop = _stop_within(trial, period_s)
    return f"the robot stops within {stop:.2f} s and stays stopped; told as {causes} within {trial.within_s:.2f} s"


def outcome_in_words(seen: Seen) -> str:
    """What came of it."""
    again = f"; attempt {seen.attempts}, this machine was too busy before" if seen.attempts > 1 else ""
    if not seen.sentence:
        return f"went on ({seen.went_on} commands followed after it){again}"
    cause, _, rest = seen.sentence.partition(": ")
    stop = "its process was gone" if math.isnan(seen.stopped_s) else f"stopped after {seen.stopped_after_s:.3f} s"
    reason = f" ({rest})" if rest else ""
    return f"{stop}, told after {seen.told_after_s:.3f} s as '{cause}'{reason}{again}"


def fit(trials: Sequence[Trial], robot: RobotSpec, watchdog: WatchdogSettings, link: Link) -> list[tuple[Trial, str]]:
    """The trials as this robot can have them, each with why it cannot; "" where it can.

    Args:
        trials: as parsed.
        robot: its description.
        watchdog: settings.
        link: what it knows of time.
    """
    return [_fit(trial, robot, watchdog, link) for trial in trials]


def _fit(trial: Trial, robot: RobotSpec, watchdog: WatchdogSettings, link: Link) -> tuple[Trial, str]:
    kind, fault = trial.fault.get("kind"), dict(trial.fault)
    if kind == "tracker_dropout" and not fault.get("fields"):
        joints = {label for f in robot.command for label in f.labels}
        if all(f.labels and set(f.labels) <= joints for f in robot.state):
            return trial, "it measures nothing but its joints"
    if kind in ("clock_jump", "clock_skew") and not link.stamps_states:
        return trial, "its states bear no stamps"
    if kind == "latency" and trial.expects == "stops":
        # So late that somebody must notice: the robot, where it has a watchdog that tells, else the actor's.
        least_s = 3 * robot.period_s if link.own_watchdog else 1.3 * watchdog.stale_s
        fault["delay_s"] = max(float(fault.get("delay_s", 0.0)), least_s)
        return replace(trial, fault=fault, seconds=max(trial.seconds, 2 * fault["delay_s"])), ""
    if FROZEN in trial.causes:
        return replace(trial, seconds=max(trial.seconds, trial.within_s)), ""
    return trial, ""
