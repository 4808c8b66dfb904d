"""One trial after the other on a running stage."""

import math
import signal
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import Outcome
from rlpd_robot.robot.watchdog import FROZEN
from rlpd_robot.run.dry_run.stage import Stage
from rlpd_robot.run.dry_run.trials import Seen, Trial, judge

_MOVING = 15  # commands followed, before a trial and after one
_READY_S = 30.0
_BEGIN_S = 3.0
_EPISODE_S = 60.0  # longest wait for the next one
_LOOK_S = 0.06
_ATTEMPTS = 3
_MOVES = (Outcome.EXECUTED, Outcome.RESET)
_ENDS = (Outcome.STOP, Outcome.HELD, Outcome.IDLE)
_ACTS = 3  # transitions by which an actor shows that it acts, and is not on a slow way home


def inflict(stage: Stage, trial: Trial, period_s: float, hold_s: float) -> Seen:
    """Let one fault happen to a robot that moves, and see what comes of it. At the end it moves again, if it can.

    A busy machine makes faults of its own: a trial that something late has spoiled is made again before it counts.

    Raises:
        ChildError: a process cannot be kept running.
    """
    seen = Seen()
    for attempt in range(1, _ATTEMPTS + 1):
        if not moves(stage) or (FROZEN in trial.causes and not _begins(stage)):
            return Seen()
        seen = replace(_once(stage, trial, f"{trial.name} {attempt}", period_s, hold_s), attempts=attempt)
        if not (seen.busy and judge(trial, seen, period_s)):
            break
    return seen


def moves(stage: Stage) -> bool:
    """Have the robot follow commands, arming where something else has stopped it; False: it will not."""
    deadline_s, since_s = time.monotonic() + _READY_S, time.monotonic()
    while time.monotonic() < deadline_s:
        if stage.until(lambda: stage.followed(since_s) >= _MOVING, 1.0) and _acts(stage, deadline_s):
            return True
        if stage.fault():
            stage.arm()
    return False


def _begins(stage: Stage) -> bool:
    """Wait for the beginning of an episode: what is counted in one, as commands without a change, begins with it."""
    before = stage.begun()
    return stage.until(lambda: stage.begun() != before, _EPISODE_S) and _acts(stage, time.monotonic() + _READY_S)


def _acts(stage: Stage, deadline_s: float) -> bool:
    """Whether the policy moves the robot; False: it does not in time, or there is a fault."""
    before = stage.acted()
    while time.monotonic() < deadline_s and not stage.fault():
        now = stage.acted()
        if 0 <= before <= now - _ACTS:
            return True
        before = min(before, now) if before >= 0 else now
        stage.wait(_LOOK_S)
    return False


def _once(stage: Stage, trial: Trial, name: str, period_s: float, hold_s: float) -> Seen:
    began_s = _begin(stage, trial, name)
    if math.isnan(began_s):
        return Seen()
    sentence, told_s = "", math.nan
    patience_s = trial.within_s + 1.0 if trial.expects == "stops" else trial.seconds + 0.3
    deadline_s = began_s + patience_s
    while not sentence and time.monotonic() < deadline_s:
        stage.wait(min(0.03, period_s))
        sentence = stage.fault()
        told_s = time.monotonic() if sentence else math.nan
    over_s = began_s + trial.seconds
    if not sentence:
        stage.until(lambda: stage.followed(over_s) >= _MOVING, _BEGIN_S)
        sentence = stage.fault()
        if not sentence:
            return Seen(began_s, went_on=stage.followed(over_s))
        told_s = time.monotonic()
    stage.wait(max(over_s - time.monotonic(), 0.0) + hold_s)
    stage.look()
    stopped_s, moved_after = stop_of(stage.records(), began_s, told_s)
    before_s = time.monotonic()
    stage.until(lambda: not stage.arm(), _READY_S)
    rearmed = stage.until(lambda: stage.followed(before_s) >= 3, _READY_S) or moves(stage)
    return Seen(began_s, told_s, sentence, stopped_s, moved_after, 0, rearmed)


def _begin(stage: Stage, trial: Trial, name: str) -> float:
    """When it began [s]; NaN: it did not."""
    if trial.signal:
        return stage.strike_actor(signal.SIGSTOP if trial.signal == "STOP" else signal.SIGKILL, trial.seconds)
    stage.order(**{**trial.fault, "name": name, "seconds": trial.seconds})
    stage.until(lambda: not math.isnan(stage.noted(name)), _BEGIN_S)
    return stage.noted(name)


def stop_of(records: NDArray[np.void], began_s: float, told_s: float) -> tuple[float, int]:
    """When the robot stopped for a fault, and how many commands and resets were carried out once the actor had told.

    Before that an episode may have ended as any other, and the next begun.

    Args:
        records: the robot's book until now; nobody has armed since the fault began.
        began_s, told_s: when the fault began, and when the actor was seen to be in fault [s].

    Returns:
        Time of the first stop after what it followed last before it was told [s], NaN without one; what came later.
    """
    after = records[records["stamp_s"] >= began_s]
    moves = np.isin(after["outcome"], _MOVES)
    later = moves & (after["stamp_s"] > told_s)
    last = np.flatnonzero(moves & ~later)
    start = int(last[-1]) + 1 if len(last) else 0
    ends = np.flatnonzero(np.isin(after["outcome"][start:], _ENDS))
    stopped_s = float(after["stamp_s"][start + ends[0]]) if len(ends) else math.nan
    return stopped_s, int(later.sum())
