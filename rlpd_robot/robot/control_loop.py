"""The control loop: one tick spelled out, the same for a real robot and for a simulator in lock-step.

    state ─▶ observation ─▶ policy ─▶ action ─▶ command ─▶ safety filter ─▶ robot ─▶ next state ─▶ transition

The loop knows neither sockets nor files nor learners: whoever wants its data subscribes.
"""

import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError, FaultError, RlpdRobotError
from rlpd_robot.policy.base import Policy
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeRecord, EpisodeSummary, Subscriber
from rlpd_robot.robot.safety import SafetyLimits, filter_command
from rlpd_robot.robot.task import ActionMap, Task
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import Clock, Histogram, Ticker
from rlpd_robot.types import Command, Ending, RobotState, Transition

__all__ = ["STOP_CYCLES", "STOP_REQUESTED", "TIME_LIMIT", "ControlLoop", "EpisodeSummary", "Subscriber"]

STOP_CYCLES = 5
"""Control periods during which `stop` is sent: one message may be lost."""

TIME_LIMIT, STOP_REQUESTED = "time limit", "stop requested"
"""Causes of a truncated episode that are no fault. A fault's cause is its sentence."""

_REMEDY = "See to the robot, then start again."


class ControlLoop:
    """Runs episodes on one connected robot. A fault stops the robot and latches until a person calls `rearm`.

    A transition reaches the subscribers one tick late, because a fault must still be able to mark the last good one as
    its episode's end. With `before_step`, somebody may wait for that very transition, so it comes at once; a fault
    then shows in the summary only.

    Args:
        driver: connected. In lock-step nothing here waits for the wall clock.
        task: already checked against the robot.
        problem: robot and task in one; gives control period and horizon.
        limits: of the safety filter.
        policy_source: asked once a tick, so that a new snapshot acts from the next tick on. Must not wait.
        boot: id of this actor process, drawn anew at each start.
        clock: times the ticks and stamps the transitions.
        subscribers: called in this order.
        first_sequence: sequence number of the first transition.
        before_step: called before each step with its sequence number, and may wait: how a learner paces a simulator.
        stop_requested: when set, the episode ends after the step under way and the robot is stopped.
        read_timeout_s: longest wait for a state [s]; by default 10 in lock-step, else 10 periods and at least 0.5.
        reset_timeout_s: longest wait for a reset [s].

    Attributes:
        next_sequence: sequence number of the next transition.
        fault: the latched fault's cause, or None.
        stop_requested: as given, or an event of its own.
    """

    def __init__(
        self,
        driver: Driver,
        task: Task,
        problem: ProblemSpec,
        limits: SafetyLimits,
        policy_source: Callable[[], Policy],
        boot: str,
        clock: Clock,
        subscribers: Sequence[Subscriber] = (),
        first_sequence: int = 0,
        before_step: Callable[[int], None] | None = None,
        stop_requested: threading.Event | None = None,
        read_timeout_s: float | None = None,
        reset_timeout_s: float = 60.0,
    ) -> None:
        self.next_sequence = first_sequence
        self.fault: str | None = None
        self.stop_requested = stop_requested or threading.Event()
        self._driver, self._task, self._problem, self._limits = driver, task, problem, limits
        self._policy_source, self._boot, self._clock = policy_source, boot, clock
        self._subscribers, self._before_step = tuple(subscribers), before_step
        self._period_s = problem.robot.period_s
        patience_s = 10.0 if driver.lockstep else max(10 * self._period_s, 0.5)
        self._read_timeout_s = patience_s if read_timeout_s is None else read_timeout_s
        self._reset_timeout_s = reset_timeout_s
        self._map = ActionMap.of(problem.robot)
        self._ticker = Ticker(self._period_s, clock)
        self._lateness, self._period, self._response = Histogram(), Histogram(), Histogram()
        self._filtered = self._skipped = self._faults = 0

    def run_episode(self, episode: int, seed: int | None, explore: bool) -> EpisodeSummary:
        """Reset the robot and act until the task terminates, the horizon is reached, or a stop is requested.

        Args:
            episode: its number, for the record.
            seed: of the reset; simulators only.
            explore: sample the policy's actions.

        Raises:
            FaultError: robot, task, policy, `before_step` or a subscriber could not go on, or a fault is still latched.
                The robot has been stopped and the episode closed as truncated.
        """
        if self.fault is not None:
            raise FaultError(self.fault, _REMEDY)
        at_once = self._before_step is not None
        record = EpisodeRecord(episode, self._problem.horizon, self._subscribers, at_once)
        try:
            if self.stop_requested.is_set():
                record.cut(STOP_REQUESTED)  # before the reset, which moves the robot
            else:
                self._begin(seed)
            while not record.ending:
                if self._before_step is not None:
                    self._before_step(self.next_sequence)
                if self.stop_requested.is_set():
                    record.cut(STOP_REQUESTED)
                else:
                    self._tick(record, explore)
            if record.cause == STOP_REQUESTED:
                self._stop_robot()
            return record.close()
        except RlpdRobotError as error:
            raise self._latch(record, error) from error
        except BaseException:  # a bug or Ctrl-C: the robot comes first, then it is shown
            self._stop_robot()
            raise

    def rearm(self) -> None:
        """Clear a latched fault. Only on a person's word: a fault is never cleared automatically."""
        self.fault = None

    def stats(self) -> dict[str, float]:
        """Counters since the start, and times in milliseconds; lateness is that of wake-ups, 0 in lock-step."""
        return {
            "deadline_misses": float(self._ticker.missed),
            "filtered": float(self._filtered),
            "states_skipped": float(self._skipped),
            "faults": float(self._faults),
            "period_ms": self._period.mean * 1e3,
            **self._period.summary("period_ms", 1e3),
            **self._lateness.summary("lateness_ms", 1e3),
            **self._response.summary("response_ms", 1e3),
        }

    def _begin(self, seed: int | None) -> None:
        self._previous: Command | None = None  # the robot has moved: no speed counts from the last episode's command
        self._state = self._driver.reset(seed, self._reset_timeout_s)
        self._observation = self._observe(self._state)
        self._ticker.start()
        self._woke_s = self._clock.now()

    def _tick(self, record: EpisodeRecord, explore: bool) -> None:
        state, observation = self._state, self._observation

        policy = self._policy_source()
        proposed = policy.act(observation, explore)
        acted_s = self._clock.now()
        desired = self._map.to_command(proposed)
        command, report = filter_command(self._limits, self._previous, desired, state, self._period_s)
        filtered_s = self._clock.now()
        self._driver.send(command)
        sent_s = self._clock.now()

        self._wait_for_deadline()
        next_state = self._driver.read(self._read_timeout_s)
        next_observation = self._observe(next_state)

        action = self._map.to_action(command)
        ending, cause = self._ending_at(record.steps + 1, next_state)
        transition = Transition(
            boot=self._boot,
            sequence=self.next_sequence,
            episode=record.episode,
            step=record.steps,
            observation=observation,
            action=action,
            proposed_action=_recordable(proposed, action),
            reward=self._reward(state, action, next_state),
            next_observation=next_observation,
            success=bool(self._task.success(next_state)),
            intervened=False,
            safety=report.causes,
            policy_version=policy.version,
            stamps_s=(state.received_s, acted_s, filtered_s, sent_s),
            ending=ending,
            cause=cause,
        )
        self.next_sequence += 1
        self._filtered += report.changed
        self._skipped += max(0, next_state.sequence - state.sequence - 1)
        self._response.add(sent_s - state.received_s)
        self._state, self._observation, self._previous = next_state, next_observation, command
        record.add(transition)

    def _wait_for_deadline(self) -> None:
        if not self._driver.lockstep:
            lateness_s = self._ticker.wait()
            self._lateness.add(lateness_s)
            if lateness_s > self._period_s:
                self._ticker.wait()  # the command left late: it acts a whole period before the next one follows
        now = self._clock.now()
        self._period.add(now - self._woke_s)
        self._woke_s = now

    def _observe(self, state: RobotState) -> NDArray[np.float32]:
        for name, values in state.values.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise DataError(f"Robot state {state.sequence}", f"'{name}' holds a non-finite number", "finite values")
        observation = self._task.observe(state)
        if not np.isfinite(observation).all():
            index = int(np.argmin(np.isfinite(observation)))
            raise DataError(f"Observation of state {state.sequence}", f"element {index} is not finite", "finite values")
        return observation

    def _reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        reward = float(self._task.reward(state, action, next_state))
        if not math.isfinite(reward):
            raise DataError(f"Reward of state {next_state.sequence}", f"it is {reward!r}", "a finite number")
        return reward

    def _ending_at(self, steps: int, next_state: RobotState) -> tuple[Ending, str]:
        if self._task.terminated(next_state):
            return "terminated", self._task.name
        if steps >= self._problem.horizon:
            return "truncated", TIME_LIMIT
        if self.stop_requested.is_set():
            return "truncated", STOP_REQUESTED
        return "", ""

    def _latch(self, record: EpisodeRecord, error: RlpdRobotError) -> FaultError:
        self._stop_robot()
        self.fault = error.cause if isinstance(error, FaultError) else str(error)
        self._faults += 1
        record.cut(self.fault)
        record.close()
        return FaultError(self.fault, _REMEDY)

    def _stop_robot(self) -> None:
        for _ in range(STOP_CYCLES):
            self._driver.stop()
            if not self._driver.lockstep:
                self._clock.sleep_until(self._clock.now() + self._period_s)


def _recordable(proposed: NDArray[np.float32], executed: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A,) the proposal as a transition may hold it: in [-1, 1], and as executed where it was no number."""
    return np.where(np.isfinite(proposed), np.clip(proposed, -1.0, 1.0), executed).astype(np.float32)
