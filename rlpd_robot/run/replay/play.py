"""One recorded episode on a connected robot: through the control loop, and so through watchdog and safety filter."""

import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.errors import DataError, FaultError
from rlpd_robot.policy.base import NO_VERSION
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task
from rlpd_robot.run.replay.divergence import DERIVED, Observed, farthest, what_is_observed
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock, Ticker
from rlpd_robot.types import RobotState, Segment, Transition

EXACT = 1e-6
"""Two starts that differ by no more are the same: observations are single precision."""

_RESET_S = 60.0


@dataclass(frozen=True, eq=False)
class Replayed:
    """What became of it.

    Attributes:
        apart: how far the start lay from the recorded one, in the number that differed most.
        observed: (O,) what each number of an observation is.
        steps: (K,) the commands that were played and seen to act, by their number in the recording, from 0.
        observations: (K, O) after each of them.
        rewards, success: (K,) of each of them.
        filtered: commands that the safety filter changed.
        cause: why it ended.
        figures: of the control loop.
    """

    apart: float
    observed: list[Observed]
    steps: NDArray[np.int64]
    observations: NDArray[np.float32]
    rewards: NDArray[np.float32]
    success: NDArray[np.bool_]
    filtered: int
    cause: str
    figures: dict[str, float]


def find_seed(
    driver: Driver,
    task: Task,
    start: NDArray[np.float32],
    seeds: Iterable[int],
    stop: threading.Event,
    on_seed: Callable[[int], None],
) -> tuple[int | None, float]:
    """The seed whose reset comes nearest to the recorded start, and how near; the first that is exact ends the search.

    Args:
        driver: of a stand-in.
        start: (O,) the first recorded observation.
        seeds: to try.
        stop: ends the search.
        on_seed: told how many have been tried.
    """
    best: tuple[int | None, float] = None, np.inf
    for tried, seed in enumerate(seeds, 1):
        if stop.is_set():
            break
        apart, _ = farthest(start, task.observe(driver.reset(seed, _RESET_S)))
        if apart < best[1]:
            best = seed, apart
        if apart <= EXACT:
            break
        on_seed(tried)
    return best


def play(
    driver: Driver,
    task: Task,
    problem: ProblemSpec,
    limits: SafetyLimits,
    settings: Settings,
    episode: Segment,
    actions: NDArray[np.float32],
    seed: int | None,
    near: float,
    pace: float = 0.0,
    stop: threading.Event | None = None,
    on_progress: OnProgress = no_progress,
) -> Replayed:
    """Reset the robot, see that it stands where the recording began, and play the actions.

    Args:
        driver: connected.
        problem: of this robot and task; its horizon does not matter.
        episode: as recorded.
        actions: (N, A) to be played.
        seed: of the reset; stand-ins only.
        near: see `ReplaySettings`.
        pace: of a stand-in in lock-step.
        stop: ends it after the step under way; the robot is stopped.

    Raises:
        DataError: the robot does not stand where the recording began. It has been reset and stopped, no command sent.
        FaultError: the robot could not go on; it has been stopped.
    """
    watcher = _Watcher(task)
    playback = Playback(actions)
    notes = _Notes(playback, on_progress if driver.lockstep else no_progress)
    ticker = Ticker(problem.robot.period_s / pace, SystemClock()) if driver.lockstep and pace > 0 else None

    def before_step(sequence: int) -> None:
        if not playback.played:
            _check_place(watcher, episode, problem, near)
            if ticker is not None:
                ticker.start()
        elif ticker is not None:
            ticker.wait()

    loop = ControlLoop(
        driver,
        watcher,
        replace(problem, horizon=len(actions)),
        limits,
        lambda: playback,
        uuid.uuid4().hex,
        SystemClock(),
        subscribers=(notes,),
        before_step=before_step,
        stop_requested=stop,
        watchdog=settings.watchdog,
        deadline=settings.actor.late,
    )
    if not driver.lockstep:
        loop.warm_up()
        playback.played = 0
    try:
        summary = loop.run_episode(0, seed, explore=False)
    except _ElsewhereError as error:  # the loop has stopped the robot
        raise DataError(f"Replay of an episode of '{problem.task}'", *error.args) from error
    except FaultError as error:
        raise FaultError(error.cause, "See to the robot, then play it again.") from error
    finally:
        driver.stop()
    first = watcher.first
    return Replayed(
        apart=np.nan if first is None else farthest(episode.observations[0], task.observe(first))[0],
        observed=[] if first is None else what_is_observed(task, first, problem.robot),
        cause=summary.cause,
        figures=loop.stats(),
        **notes.columns(problem.observation_size),
    )


def _check_place(watcher: "_Watcher", episode: Segment, problem: ProblemSpec, near: float) -> None:
    """Whether the robot stands where the recording began.

    Raises:
        _ElsewhereError: it does not; no fault of the robot, so nothing for the control loop to latch.
    """
    assert watcher.first is not None
    now, then = watcher.observe(watcher.first), episode.observations[0]
    apart, index = farthest(then, now)
    if apart > near:
        observed = what_is_observed(watcher, watcher.first, problem.robot)
        far = [i for i, d in enumerate(np.abs(now - then)) if d > near and observed[i].field != DERIVED]
        index = max(far, key=lambda i: abs(now[i] - then[i]), default=index)  # rather one that a person can look at
        what = observed[index]
        unit = f" {what.unit}" if what.unit not in ("", "-") else ""
        raise _ElsewhereError(
            f"the robot stands elsewhere: {what} is {now[index]:.4g}{unit}, it was {then[index]:.4g}{unit} then",
            f"a start that differs by at most near={near:g} in every number; nothing has been played",
        )


class _ElsewhereError(Exception):
    """What is wrong with where the robot stands, and what would be right."""


class Playback:
    """Recorded actions as a policy: one a call, whatever it sees; the last one is held.

    Args:
        actions: (N, A) in [-1, 1].

    Attributes:
        played, total: actions so far, and N.
    """

    version = NO_VERSION

    def __init__(self, actions: NDArray[np.float32]) -> None:
        self.played, self.total = 0, len(actions)
        self._actions = actions

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) the next one."""
        action: NDArray[np.float32] = self._actions[min(self.played, self.total - 1)].copy()
        self.played += 1
        return action


class _Watcher:
    """A task whose first state is kept."""

    def __init__(self, task: Task) -> None:
        self.name, self.observation_size, self.horizon = task.name, task.observation_size, task.horizon
        self.check, self.success, self.reward, self.terminated = task.check, task.success, task.reward, task.terminated
        self.first: RobotState | None = None
        self._task = task

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """As the task."""
        if self.first is None:
            self.first = state
        return self._task.observe(state)


class _Notes:
    """Subscriber that keeps what followed each action."""

    def __init__(self, playback: Playback, on_progress: OnProgress) -> None:
        self._playback, self._on_progress = playback, on_progress
        self._rows: list[tuple[int, Transition]] = []

    def on_transition(self, transition: Transition) -> None:
        """Keep it."""
        self._rows.append((self._playback.played - 1, transition))
        self._on_progress(self._playback.played, self._playback.total)

    def on_episode(self, summary: EpisodeSummary) -> None:
        """Everything has come."""

    def columns(self, observation_size: int) -> dict[str, Any]:
        """Steps that lie within the recording, and their outcomes."""
        rows = [(step, t) for step, t in self._rows if step < self._playback.total]
        observations = np.array([t.next_observation for _, t in rows], np.float32)
        return {
            "steps": np.array([step for step, _ in rows], np.int64),
            "observations": observations.reshape(-1, observation_size),
            "rewards": np.array([t.reward for _, t in rows], np.float32),
            "success": np.array([t.success for _, t in rows], np.bool_),
            "filtered": sum(t.filtered for _, t in rows),
        }
