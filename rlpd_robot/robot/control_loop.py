"""The control loop: one tick spelled out, the same for a real robot and for a simulator in lock-step.

    state ─▶ observation ─▶ policy ─▶ action ─▶ command ─▶ safety filter ─▶ robot ─▶ next state ─▶ transition

The loop knows neither sockets nor files nor learners: whoever wants its data subscribes.
"""

import contextlib
import gc
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import FaultError, RlpdRobotError
from rlpd_robot.policy.base import Policy
from rlpd_robot.robot.acted import SentCommands
from rlpd_robot.robot.deadline import Deadline, Substitute
from rlpd_robot.robot.driver import Declaring, Driver
from rlpd_robot.robot.episode import EpisodeRecord, EpisodeSummary, Subscriber
from rlpd_robot.robot.safety import LATE, History, SafetyLimits, check_measured, filter_command
from rlpd_robot.robot.task import ActionMap, CheckedTask, Task
from rlpd_robot.robot.watchdog import REMEDY, Watchdog, WatchdogSettings, sentence_of
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import Clock, Histogram, Ticker
from rlpd_robot.types import Ending, RobotState, Transition

__all__ = ["STOP_CYCLES", "STOP_REQUESTED", "TIME_LIMIT", "ControlLoop", "EpisodeSummary", "Subscriber"]

STAGES = ("policy", "filter", "send", "look", "record")
"""Of a tick, in `stats`: a policy acts, its command is filtered and sent; at the deadline the robot is looked at, which
may wait for its next state, and the observation made; the transition is handed to the subscribers, who journal it."""

STOP_CYCLES = 5
"""Control periods during which `stop` is sent: one message may be lost."""

TIME_LIMIT, STOP_REQUESTED = "time limit", "stop requested"
"""Causes of a truncated episode that are no fault. A fault's cause is its sentence."""

_WARM_UP_ROUNDS = 20
_LOOK_S = 0.1  # the longest that a look at a stopped robot takes, whatever is wrong with it


class ControlLoop:
    """Runs episodes on one connected robot. A fault stops the robot and latches until a person calls `arm`.

    A transition reaches the subscribers as soon as it exists: were it journalled after the next command, a process
    killed in between would lose what it knows. What ends the episode after it, a fault or a stop, is told with the
    episode's summary.

    Args:
        driver: connected. In lock-step nothing here waits for the wall clock.
        task: already checked against the robot.
        problem: robot and task in one; gives control period and horizon.
        limits: of the safety filter.
        policy_source: asked once a tick, so that a new snapshot acts from the next tick on. Must not wait. None: there
            is none, which is a fault.
        boot: id of this actor process, drawn anew at each start.
        clock: times the ticks and stamps the transitions.
        subscribers: called in this order.
        first_sequence: sequence number of the first transition.
        before_step: called before each step with its sequence number, and may wait: how a learner paces a simulator.
        stop_requested: when set, the episode ends after the step under way and the robot is stopped.
        read_timeout_s: longest wait for a state [s]; by default 10 in lock-step, else the watchdog's `stale_s`.
        reset_timeout_s: longest wait for a reset [s].
        watchdog: what counts as a fault.
        policy_age: how long ago the policy came [s].
        deadline: when an action is late, and what is sent then; means nothing in lock-step.
        verdict: asked once a transition: how and why the episode ends here by a person's word, ("", "") while it does
            not. The task's own end comes first.

    Attributes:
        next_sequence: sequence number of the next transition.
        watchdog: its phase, and the fault that latched.
        stop_requested: as given, or an event of its own.
    """

    def __init__(
        self,
        driver: Driver,
        task: Task,
        problem: ProblemSpec,
        limits: SafetyLimits,
        policy_source: Callable[[], Policy | None],
        boot: str,
        clock: Clock,
        subscribers: Sequence[Subscriber] = (),
        first_sequence: int = 0,
        before_step: Callable[[int], None] | None = None,
        stop_requested: threading.Event | None = None,
        read_timeout_s: float | None = None,
        reset_timeout_s: float = 60.0,
        watchdog: WatchdogSettings | None = None,
        policy_age: Callable[[], float] = float,
        deadline: Deadline | None = None,
        verdict: Callable[[], tuple[Ending, str]] | None = None,
    ) -> None:
        self.next_sequence = first_sequence
        self.stop_requested = stop_requested or threading.Event()
        self._driver, self._task, self._problem, self._limits = driver, CheckedTask(task), problem, limits
        self._policy_source, self._policy_age, self._boot, self._clock = policy_source, policy_age, boot, clock
        self._subscribers, self._before_step, self._verdict = tuple(subscribers), before_step, verdict
        self._period_s = problem.robot.period_s
        settings = watchdog or WatchdogSettings()
        self.watchdog = Watchdog(settings, problem.robot, driver)
        patience_s = 10.0 if driver.lockstep else settings.stale_s
        self._read_timeout_s = patience_s if read_timeout_s is None else read_timeout_s
        self._reset_timeout_s = reset_timeout_s
        deadline = deadline or Deadline()
        self._action_s = math.inf if driver.lockstep else deadline.periods * self._period_s
        self._substitute = Substitute(deadline.miss, problem.robot)
        self._map = ActionMap.of(problem.robot)
        self._ticker = Ticker(self._period_s, clock)
        self._lateness, self._period, self._response = Histogram(), Histogram(), Histogram()
        self._stages = {name: Histogram() for name in STAGES}
        self._filtered = self._skipped = self._faults = 0
        self._commands = SentCommands()
        if isinstance(driver, Declaring):
            driver.declare(np.stack([limits.low, limits.high, limits.max_speed]))

    @property
    def fault(self) -> str | None:
        """The latched fault, in a sentence that begins with its cause; None while there is none."""
        latched = self.watchdog.latched
        return latched.sentence if latched is not None else None

    @property
    def lateness(self) -> Histogram:
        """Of wake-ups [s]; empty in lock-step."""
        return self._lateness

    def warm_up(self) -> None:
        """Do a few times, on numbers that come from nowhere and go nowhere, what a first tick would be slow at."""
        spec = self._problem.robot
        values = {f.name: np.zeros(f.shape, f.dtype) for f in spec.state}
        state = RobotState(values, 0, 0.0, self._clock.now())
        policy, history = self._policy_source(), None
        for _ in range(_WARM_UP_ROUNDS if policy is not None else 0):
            assert policy is not None
            action = policy.act(np.zeros(self._problem.observation_size, np.float32), False)
            with contextlib.suppress(RlpdRobotError):  # zeros may lie outside the limits
                _, _, history = filter_command(self._limits, history, self._map.to_command(action), state)
        gc.collect()
        gc.freeze()  # what is there now stays; collecting looks at younger objects only

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
            raise FaultError(self.fault, REMEDY)
        self.watchdog.warmed()
        record = EpisodeRecord(episode, self._problem.horizon, self._subscribers)
        try:
            self._collect_garbage()
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
        finally:
            gc.enable()

    def arm(self) -> str:
        """Clear a latched fault, on a person's word only, and say what was cleared. From any thread.

        Raises:
            ArmRefusedError: the last `hold` found the cause still there, or there has been none yet.
        """
        return self.watchdog.arm()

    def hold(self) -> None:
        """In FAULT, again and again: tell the robot to stop, and look whether anything stands in the way of arming."""
        self._driver.stop()
        self.watchdog.looked(self._look())

    def stats(self) -> dict[str, float]:
        """Counters since the start, and times in milliseconds; lateness is that of wake-ups, 0 in lock-step."""
        return {
            "deadline_misses": float(self._ticker.missed),
            "late_actions": float(self._substitute.count),
            "filtered": float(self._filtered),
            "not_executed": float(self._commands.not_executed),
            "states_skipped": float(self._skipped),
            "faults": float(self._faults),
            "armed": float(self.fault is None),
            "period_ms": self._period.mean * 1e3,
            **self._period.summary("period_ms", 1e3),
            **self._lateness.summary("lateness_ms", 1e3),
            **self._response.summary("response_ms", 1e3),
            **{
                key: value
                for name, stage in self._stages.items()
                for key, value in stage.summary(f"{name}_ms", 1e3).items()
            },
        }

    def _begin(self, seed: int | None) -> None:
        self._history: History | None = None  # the robot has moved: no speed counts from the last episode's command
        self._commands.begin()
        self._substitute.begin()
        self._state = self._driver.reset(seed, self._reset_timeout_s)
        self._observation = self._task.observe(self._state)
        self.watchdog.begin(self._state)
        self.watchdog.check_flags(self._state)
        check_measured(self._limits, self._state)
        self._ticker.start()
        self._woke_s = self._clock.now()

    def _tick(self, record: EpisodeRecord, explore: bool) -> None:
        state, observation = self._state, self._observation

        policy = self._policy_source()
        self.watchdog.check_policy(policy is not None, self._policy_age())
        assert policy is not None
        proposed = policy.act(observation, explore)
        acted_s = self._clock.now()
        late = acted_s - state.received_s > self._action_s
        self.watchdog.check_action(late)
        desired = self._substitute.command() if late else self._map.to_command(proposed)
        if desired is None:
            return self._look_again()
        command, report, history = filter_command(self._limits, self._history, desired, state)
        self.watchdog.check_command(bool(np.isfinite(proposed).all()), report.changed, command.values)
        filtered_s = self._clock.now()
        if self._commands.add(self._driver.send(command), command):
            self._history = history
            self._substitute.sent(command)
        elif self._history is not None:
            self._history = History.at_rest(self._history.position)  # the robot holds what it follows
        sent_s = self._clock.now()
        self._time_stages(state.received_s, acted_s, filtered_s, sent_s)

        self._look_again()
        next_state, next_observation = self._state, self._observation

        acted = self._commands.acted(command, next_state)
        if acted is None:
            if self._limits.measured:
                self._history = None  # it stands where it is measured
            return  # the robot has not taken a command yet: there is no transition
        if (held := self._commands.held(next_state)) is not None:
            self._history = History.at_rest(held.values, self._commands.under_way())
        action = self._map.to_action(acted)
        ending, cause = self._ending_at(record.steps + 1, next_state)
        transition = Transition(
            boot=self._boot,
            sequence=self.next_sequence,
            episode=record.episode,
            step=record.steps,
            observation=observation,
            action=action,
            proposed_action=_recordable(proposed, action),
            reward=self._task.reward(state, action, next_state),
            next_observation=next_observation,
            success=bool(self._task.success(next_state)),
            intervened=False,
            safety=report.causes | late * LATE,
            policy_version=policy.version,
            stamps_s=(state.received_s, acted_s, filtered_s, sent_s),
            ending=ending,
            cause=cause,
        )
        self.next_sequence += 1
        self._filtered += report.changed
        self._skipped += max(0, next_state.sequence - state.sequence - 1)
        before_s = self._clock.now()
        record.add(transition)
        self._stages["record"].add(self._clock.now() - before_s)

    def _time_stages(self, received_s: float, acted_s: float, filtered_s: float, sent_s: float) -> None:
        self._stages["policy"].add(acted_s - received_s)
        self._stages["filter"].add(filtered_s - acted_s)
        self._stages["send"].add(sent_s - filtered_s)
        self._response.add(sent_s - received_s)

    def _look_again(self) -> None:
        """The period is over: what does the robot measure now?"""
        self._wait_for_deadline()
        state = self._driver.read(self._read_timeout_s)
        observation = self._task.observe(state)
        self.watchdog.check_state(state, self._clock.now())
        self._state, self._observation = state, observation
        self._stages["look"].add(self._clock.now() - self._woke_s)

    def _wait_for_deadline(self) -> None:
        if not self._driver.lockstep:
            lateness_s = self._ticker.wait()
            self._lateness.add(lateness_s)
            self.watchdog.check_tick(lateness_s)
            if lateness_s > self._period_s:
                self._ticker.wait()  # the command left late: it acts a whole period before the next one follows
        now = self._clock.now()
        self._period.add(now - self._woke_s)
        self._woke_s = now

    def _ending_at(self, steps: int, next_state: RobotState) -> tuple[Ending, str]:
        if self._task.terminated(next_state):
            return "terminated", self._task.name
        ending, cause = self._verdict() if self._verdict is not None else ("", "")
        if ending:
            return ending, cause
        if steps >= self._problem.horizon:
            return "truncated", TIME_LIMIT
        if self.stop_requested.is_set():
            return "truncated", STOP_REQUESTED
        return "", ""

    def _latch(self, record: EpisodeRecord, error: RlpdRobotError) -> FaultError:
        sentence = sentence_of(error, self._driver.lockstep)
        self.watchdog.fault(sentence, self._clock.now())
        self._stop_robot()
        self._faults += 1
        record.cut(sentence)
        record.close()
        return FaultError(sentence, REMEDY)

    def _look(self) -> str:
        """What stands in the way of arming; "" for nothing."""
        try:
            if self._driver.lockstep:  # a simulator that waits for commands has no news of its own
                self._driver.connect(_LOOK_S)
                return ""
            state = self._driver.read(max(_LOOK_S, 2 * self._period_s))
            self._task.observe(state)
            self.watchdog.check_flags(state)
            check_measured(self._limits, state)
            self.watchdog.check_policy(self._policy_source() is not None, self._policy_age())
        except RlpdRobotError as error:
            if isinstance(error, OSError) and not self._driver.lockstep:  # the robot may have been started again
                with contextlib.suppress(RlpdRobotError):
                    self._driver.connect(_LOOK_S)  # shakes hands; the robot moves after a reset only
            return sentence_of(error, self._driver.lockstep)
        return ""

    def _collect_garbage(self) -> None:
        """Between episodes by the wall clock; within one, nothing is collected."""
        if not self._driver.lockstep:
            gc.collect()
            gc.disable()

    def _stop_robot(self) -> None:
        for _ in range(STOP_CYCLES):
            self._driver.stop()
            if not self._driver.lockstep:
                self._clock.sleep_until(self._clock.now() + self._period_s)


def _recordable(proposed: NDArray[np.float32], executed: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A,) the proposal as a transition may hold it: in [-1, 1], and as executed where it was no number."""
    return np.where(np.isfinite(proposed), np.clip(proposed, -1.0, 1.0), executed).astype(np.float32)
