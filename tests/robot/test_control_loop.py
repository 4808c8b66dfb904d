"""The loop on the fake robot: exact in lock-step, and exact in real time on a manual clock."""

import threading

import numpy as np
import pytest

from rlpd_robot.errors import ArmRefusedError, DataError, FaultError, PeerTimeoutError
from rlpd_robot.policy.base import RandomPolicy, ScriptedPolicy
from rlpd_robot.robot.control_loop import STOP_CYCLES, STOP_REQUESTED, TIME_LIMIT, ControlLoop
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import ActionMap, problem_of
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import Command, RobotState, Segment

PERIOD = 0.01


class Recorder:
    """Keeps what it is given, and says which transition was the newest at each summary."""

    def __init__(self):
        self.transitions, self.summaries = [], []

    def on_transition(self, transition):
        self.transitions.append(transition)

    def on_episode(self, summary):
        self.summaries.append(summary)


def homing(observation):
    """Targets the origin: FakeTask's expert."""
    return np.zeros(2, np.float32)


def make(driver=None, policy=None, task=None, safety=None, **options):
    """A loop, its driver, its recorder and its clock."""
    clock = options.pop("clock", None) or ManualClock()
    driver = driver or FakeDriver(clock=clock, period_s=PERIOD)
    task = task or FakeTask()
    spec = driver.connect(1.0)
    limits = SafetyLimits.from_settings(safety or SafetySettings(), spec)
    policy = policy or ScriptedPolicy(homing, version=3)
    recorder = Recorder()
    source = policy if callable(policy) else lambda: policy
    loop = ControlLoop(driver, task, problem_of(task, spec), limits, source, "boot", clock, [recorder], **options)
    return loop, driver, recorder, clock


def real_time(**options):
    clock = ManualClock(50.0)
    driver = FakeDriver(lockstep=False, clock=clock, period_s=PERIOD, **options.pop("driver", {}))
    return make(driver, clock=clock, **options)


def test_an_episode_in_lockstep_is_one_valid_segment():
    policy = RandomPolicy(2, np.random.default_rng(0))
    loop, driver, recorder, clock = make(policy=policy, first_sequence=40)
    summary = loop.run_episode(5, seed=1, explore=True)
    segment = Segment.from_transitions(recorder.transitions)
    assert segment.is_episode
    assert (segment.boot, segment.first_sequence, segment.episode, len(segment)) == ("boot", 40, 5, 20)
    assert (segment.ending, segment.cause) == ("truncated", TIME_LIMIT)
    assert segment.bootstrap.all()  # a time limit is not a terminal
    assert loop.next_sequence == 60
    assert driver.resets == [1]
    assert recorder.summaries == [summary]
    assert clock.now() == 0.0  # lock-step never waits for the clock
    assert summary.steps == 20
    assert summary.total_reward == segment.rewards.sum()


def test_the_executed_action_is_what_the_robot_got():
    """The recorded action, mapped to a command, is the filtered command; the proposal is what the policy said."""
    policy = RandomPolicy(2, np.random.default_rng(0))
    loop, driver, recorder, _ = make(policy=policy, safety=SafetySettings(max_speed=5.0, margin=0.1))
    loop.run_episode(0, seed=1, explore=True)
    action_map = ActionMap.of(driver.connect(1.0))
    assert len(driver.sent) == 20
    for command, transition in zip(driver.sent, recorder.transitions, strict=True):
        np.testing.assert_allclose(action_map.to_command(transition.action).values, command.values, atol=1e-7)
        assert np.abs(command.values).max() <= 0.8
        differs = np.abs(transition.action - transition.proposed_action).max() > 1e-6
        assert transition.filtered == differs
    assert any(t.filtered for t in recorder.transitions)
    assert loop.stats()["filtered"] == sum(t.filtered for t in recorder.transitions)
    steps = np.diff(np.stack([c.values for c in driver.sent]), axis=0)
    assert np.abs(steps).max() <= 5.0 * PERIOD * (1 + 1e-9)


def test_observation_and_next_observation_are_those_around_the_command():
    loop, driver, recorder, _ = make()
    loop.run_episode(0, seed=1, explore=False)
    first = FakeDriver(period_s=PERIOD)
    start = FakeTask().observe(first.reset(1, 1.0))
    np.testing.assert_array_equal(recorder.transitions[0].observation, start)
    for before, after in zip(recorder.transitions, recorder.transitions[1:], strict=False):
        np.testing.assert_array_equal(before.next_observation, after.observation)
    p, v = recorder.transitions[0].next_observation[:2], recorder.transitions[0].next_observation[2:]
    np.testing.assert_allclose(v, -5 * start[:2], rtol=1e-6)
    np.testing.assert_allclose(p, start[:2] * (1 - 5 * PERIOD), rtol=1e-6)


def test_summary_counts_solved_steps_against_the_horizon():
    loop, _, recorder, _ = make(task=FakeTask(horizon=100))
    summary = loop.run_episode(0, seed=1, explore=False)
    solved = sum(t.success for t in recorder.transitions)
    assert 0 < solved < 100
    assert summary.success
    assert summary.solved_fraction == solved / 100
    assert summary.total_reward == solved - 100
    assert summary.policy_version == 3


def test_a_true_terminal_ends_the_episode_and_carries_no_value():
    loop, driver, recorder, _ = make(task=FakeTask(horizon=100, ends=True))
    summary = loop.run_episode(0, seed=1, explore=False)
    segment = Segment.from_transitions(recorder.transitions)
    assert (summary.ending, summary.cause) == ("terminated", "fake-reach")
    assert segment.bootstrap.tolist() == [1.0] * (len(segment) - 1) + [0.0]
    assert segment.success.tolist() == [False] * (len(segment) - 1) + [True]
    assert driver.stops == 0


def test_a_new_policy_acts_from_the_next_tick_on():
    policies = iter([ScriptedPolicy(homing, version=v) for v in range(20)])
    loop, _, recorder, _ = make(policy=lambda: next(policies))
    loop.run_episode(0, seed=1, explore=False)
    assert [t.policy_version for t in recorder.transitions] == list(range(20))


def test_explore_reaches_the_policy():
    seen = []

    class Policy:
        version = 0

        def act(self, observation, explore):
            seen.append(explore)
            return homing(observation)

    loop, *_ = make(policy=lambda: Policy())
    loop.run_episode(0, seed=1, explore=True)
    loop.run_episode(1, seed=1, explore=False)
    assert seen == [True] * 20 + [False] * 20


def test_real_time_ticks_lie_on_an_absolute_grid():
    """Work of changing length between the deadlines does not move them."""
    loop, driver, recorder, clock = real_time()
    work = iter([0.004, 0.0, 0.009, 0.002] * 5)

    def slow(observation):
        clock.advance(next(work))
        return homing(observation)

    loop._policy_source = lambda: ScriptedPolicy(slow)
    loop.run_episode(0, seed=1, explore=False)
    assert clock.now() == pytest.approx(50.0 + 20 * PERIOD)
    received = [t.stamps_s[0] for t in recorder.transitions]
    np.testing.assert_allclose(np.diff(received), PERIOD, atol=1e-9)
    acted = [t.stamps_s[1] - t.stamps_s[0] for t in recorder.transitions]
    np.testing.assert_allclose(acted, [0.004, 0.0, 0.009, 0.002] * 5, atol=1e-9)
    stats = loop.stats()
    assert stats["deadline_misses"] == 0
    assert stats["lateness_ms_max"] == pytest.approx(0.0, abs=1e-6)
    assert stats["period_ms"] == pytest.approx(10.0)
    assert stats["response_ms_max"] == pytest.approx(9.0)


def test_a_stalled_tick_is_counted_and_not_caught_up_in_a_burst():
    loop, _, recorder, clock = real_time()
    stall = iter([0.0] * 5 + [0.035] + [0.0] * 14)

    def slow(observation):
        clock.advance(next(stall))
        return homing(observation)

    loop._policy_source = lambda: ScriptedPolicy(slow)
    loop.run_episode(0, seed=1, explore=False)
    stats = loop.stats()
    assert stats["deadline_misses"] == 2  # 25 ms late: two whole periods without a tick
    assert stats["states_skipped"] == 3
    assert stats["lateness_ms_max"] == pytest.approx(25.0)
    gaps = np.diff([t.stamps_s[3] for t in recorder.transitions])
    assert gaps.min() >= PERIOD - 1e-9  # so that the speed limit, counted per period, holds in time


def test_transitions_stamps_are_in_order():
    loop, _, recorder, _ = real_time()
    loop.run_episode(0, seed=1, explore=False)
    for transition in recorder.transitions:
        assert list(transition.stamps_s) == sorted(transition.stamps_s)


def test_silence_of_the_robot_is_a_fault_that_closes_the_episode():
    loop, driver, recorder, clock = real_time(driver={"fail_after": 6})
    with pytest.raises(FaultError) as caught:
        loop.run_episode(0, seed=1, explore=False)
    sentence = "stale state: No answer from fake robot at this process within 0.5 s"
    assert str(caught.value).startswith(f"Robot stopped: {sentence}")
    assert str(caught.value).endswith("See to the robot, then arm it again (`rlpd-robot arm`).")
    assert isinstance(caught.value.__cause__, PeerTimeoutError)
    assert [t.ending for t in recorder.transitions] == [""] * 6  # each was handed on before the fault
    assert loop.fault.startswith(sentence)
    assert len(recorder.summaries) == 1
    assert (recorder.summaries[0].ending, recorder.summaries[0].cause) == ("truncated", loop.fault)
    assert driver.stops >= 5
    assert loop.next_sequence == 6  # the transition without a next state does not exist


def test_stops_are_sent_over_as_many_periods():
    loop, driver, _, clock = real_time(driver={"fail_after": 2})
    times = []
    stop = driver.stop
    driver.stop = lambda: (times.append(clock.now()), stop())
    with pytest.raises(FaultError):
        loop.run_episode(0, seed=1, explore=False)
    assert len(times) == STOP_CYCLES
    np.testing.assert_allclose(np.diff(times), PERIOD)


def test_a_fault_latches_until_a_person_rearms():
    loop, driver, recorder, _ = make(FakeDriver(period_s=PERIOD, fail_after=3), read_timeout_s=0.0)
    with pytest.raises(FaultError):
        loop.run_episode(0, seed=1, explore=False)
    resets, sent = list(driver.resets), len(driver.sent)
    with pytest.raises(FaultError, match="No answer from fake robot"):
        loop.run_episode(1, seed=2, explore=False)
    assert driver.resets == resets  # nothing moved
    assert len(driver.sent) == sent
    assert loop.stats()["faults"] == 1
    assert loop.stats()["armed"] == 0
    with pytest.raises(
        ArmRefusedError, match="Not armed, the cause of the fault is still there: robot link: No answer"
    ):
        loop.arm()  # nobody has looked since
    driver._fail_after = None
    stops = driver.stops
    loop.hold()
    assert driver.stops == stops + 1
    assert loop.arm().startswith("Armed again after: robot link: No answer from fake robot")
    assert loop.stats()["armed"] == 1
    assert loop.run_episode(1, seed=2, explore=False).cause == TIME_LIMIT


def test_nan_in_the_state_is_a_fault_and_never_reaches_a_transition():
    loop, driver, recorder, _ = make(FakeDriver(period_s=PERIOD, nan_after=4))
    with pytest.raises(FaultError, match=r"Robot state \d+: 'position' holds a non-finite number"):
        loop.run_episode(0, seed=1, explore=False)
    assert len(Segment.from_transitions(recorder.transitions)) == 4  # refuses non-finite numbers
    assert recorder.summaries[0].ending == "truncated"
    assert driver.stops >= 5


def test_nan_at_reset_is_a_fault_of_an_empty_episode():
    loop, driver, recorder, _ = make(FakeDriver(period_s=PERIOD, nan_after=-1))
    with pytest.raises(FaultError):
        loop.run_episode(0, seed=1, explore=False)
    assert recorder.transitions == []
    assert (recorder.summaries[0].steps, recorder.summaries[0].ending) == (0, "truncated")
    assert len(driver.sent) == 0


def test_nan_from_the_policy_holds_the_command_before_and_is_recorded_as_filtered():
    actions = iter([[0.5, 0.5], [np.nan, 0.0]] * 10)
    loop, driver, recorder, _ = make(policy=ScriptedPolicy(lambda o: next(actions)))
    loop.run_episode(0, seed=1, explore=False)
    assert all(np.array_equal(c.values, [0.5, 0.5]) for c in driver.sent)
    assert [t.filtered for t in recorder.transitions] == [False, True] * 10
    segment = Segment.from_transitions(recorder.transitions)
    np.testing.assert_allclose(segment.proposed_actions[1], [0.5, 0.0])


def test_a_proposal_out_of_range_is_cut_and_recorded_in_range():
    loop, driver, recorder, _ = make(policy=ScriptedPolicy(lambda o: [3.0, -0.5]))
    loop.run_episode(0, seed=1, explore=False)
    segment = Segment.from_transitions(recorder.transitions)
    assert segment.filtered.all()
    np.testing.assert_allclose(segment.actions[0], [1.0, -0.5])
    np.testing.assert_allclose(segment.proposed_actions[0], [1.0, -0.5])


def test_a_reward_that_is_no_number_is_a_fault():
    class Broken(FakeTask):
        def reward(self, state, action, next_state):
            return float("nan")

    loop, _, recorder, _ = make(task=Broken())
    with pytest.raises(FaultError, match="it is nan. Expected a finite number"):
        loop.run_episode(0, seed=1, explore=False)
    assert recorder.transitions == []


def test_an_observation_that_is_no_number_is_named():
    class Broken(FakeTask):
        def observe(self, state):
            return np.array([0, np.inf, 0, 0], np.float32)

    loop, driver, *_ = make(task=Broken())
    with pytest.raises(FaultError, match="element 1 is not finite"):
        loop.run_episode(0, seed=1, explore=False)
    assert len(driver.sent) == 0


def test_stop_request_ends_the_episode_after_the_step_under_way():
    stop = threading.Event()
    calls = []

    def act(observation):
        calls.append(1)
        if len(calls) == 4:
            stop.set()
        return homing(observation)

    loop, driver, recorder, _ = make(policy=ScriptedPolicy(act), stop_requested=stop)
    summary = loop.run_episode(0, seed=1, explore=False)
    assert len(recorder.transitions) == 4
    assert (summary.ending, summary.cause) == ("truncated", STOP_REQUESTED)
    assert driver.stops >= 5
    assert loop.fault is None


def test_stop_before_the_episode_moves_nothing():
    loop, driver, recorder, _ = make()
    loop.stop_requested.set()
    summary = loop.run_episode(0, seed=1, explore=False)
    assert (summary.steps, summary.cause) == (0, STOP_REQUESTED)
    assert driver.resets == []
    assert len(driver.sent) == 0


def test_before_step_sees_every_earlier_transition():
    seen = []
    recorder = Recorder()
    loop, *_ = make(before_step=lambda sequence: seen.append((sequence, len(recorder.transitions))))
    loop._subscribers = (recorder,)
    loop.run_episode(0, seed=1, explore=False)
    assert seen == [(i, i) for i in range(20)]


def test_a_subscriber_that_fails_stops_the_robot():
    loop, driver, recorder, _ = make()

    class Full:
        def on_transition(self, transition):
            raise DataError("Journal", "it is full", "some room")

        def on_episode(self, summary):
            pass

    loop._subscribers = (Full(),)
    with pytest.raises((FaultError, DataError), match="it is full"):
        loop.run_episode(0, seed=1, explore=False)
    assert driver.stops >= 5
    assert loop.fault is not None


def test_a_bug_stops_the_robot_and_stays_visible():
    loop, driver, recorder, _ = make(policy=ScriptedPolicy(lambda o: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        loop.run_episode(0, seed=1, explore=False)
    assert driver.stops >= 5


def test_a_policy_of_another_robot_is_a_fault_before_anything_is_sent():
    loop, driver, *_ = make(policy=ScriptedPolicy(lambda o: np.zeros(5)))
    with pytest.raises(FaultError, match=r"Action: its shape is \(5,\). Expected \(2,\)"):
        loop.run_episode(0, seed=1, explore=False)
    assert len(driver.sent) == 0


def test_speed_does_not_count_from_the_last_episode():
    """The reset has moved the robot: the first command of an episode is not held near the last one before."""
    loop, driver, recorder, _ = make(
        policy=RandomPolicy(2, np.random.default_rng(0)), safety=SafetySettings(max_speed=1.0)
    )
    loop.run_episode(0, seed=1, explore=True)
    last = driver.sent[-1]
    loop._policy_source = lambda: ScriptedPolicy(lambda o: -np.sign(last.values))
    loop.run_episode(1, seed=2, explore=True)
    np.testing.assert_allclose(driver.sent[20].values, -np.sign(last.values))
    assert isinstance(last, Command)


RATES = SafetySettings(max_speed=1.0, max_acceleration=20.0, measured={"target": "position"})


def to_the_end(observation):
    return np.ones(2, np.float32)


def test_the_first_command_starts_at_rest_from_where_the_robot_is_measured():
    loop, driver, recorder, _ = make(policy=ScriptedPolicy(to_the_end), safety=RATES)
    loop.run_episode(0, seed=1, explore=False)
    start = recorder.transitions[0].observation[:2]
    np.testing.assert_allclose(driver.sent[0].values - start, 20.0 * PERIOD**2, atol=1e-7)  # from rest
    sent = np.stack([c.values for c in driver.sent])
    assert np.abs(np.diff(sent, axis=0)).max() <= 1.0 * PERIOD * (1 + 1e-9)
    assert np.abs(np.diff(sent, n=2, axis=0)).max() <= 20.0 * PERIOD**2 * (1 + 1e-9)


class Dropping(FakeDriver):
    """Drops its fourth command."""

    tried = 0

    def send(self, command):
        self.tried += 1
        return -1 if self.tried == 4 else super().send(command)


def test_after_a_dropped_command_the_next_one_starts_at_rest_from_the_one_before_it():
    clock = ManualClock(50.0)
    driver = Dropping(lockstep=False, clock=clock, period_s=PERIOD)
    loop, *_ = make(driver, policy=ScriptedPolicy(to_the_end), safety=RATES, clock=clock)
    loop.run_episode(0, seed=1, explore=False)
    steps = np.diff(np.stack([c.values for c in driver.sent]), axis=0)[:, 0] / (20.0 * PERIOD**2)
    np.testing.assert_allclose(steps[:5], [2, 3, 1, 2, 3])


class Deaf(FakeDriver):
    """Takes every command, but went on following the second one when the third came; and says so."""

    def _state(self):
        state = super()._state()
        followed = 2 if self._commands == 3 else self._commands or -1
        return RobotState(state.values, state.sequence, state.stamp_s, state.received_s, followed)


def test_after_a_command_that_was_not_followed_the_next_one_starts_at_rest_from_the_one_that_was():
    clock = ManualClock(50.0)
    driver = Deaf(lockstep=False, clock=clock, period_s=PERIOD)
    loop, *_ = make(driver, policy=ScriptedPolicy(to_the_end), safety=RATES, clock=clock)
    loop.run_episode(0, seed=1, explore=False)
    sent = np.stack([c.values for c in driver.sent])[:, 0]
    unit = 20.0 * PERIOD**2
    np.testing.assert_allclose(np.array([sent[2], sent[3], sent[4]]) - sent[1], [3 * unit, 1 * unit, 3 * unit])


def test_a_robot_that_stands_beyond_a_hard_limit_after_its_reset_gets_no_command():
    box = {"low": -0.01, "high": 0.01, "unit": "m", "margin": 0.0, "source": "made up"}
    loop, driver, recorder, _ = make(safety=SafetySettings(hard={"position": box}))
    with pytest.raises(FaultError, match=r"safety filter: measured 'position' is .* m at element 0, beyond its hard"):
        loop.run_episode(0, seed=1, explore=False)
    assert len(driver.sent) == 0
    assert driver.stops >= 5
    loop.hold()
    assert loop.arm().startswith("Armed again")  # in lock-step there is no news of where it stands


def test_a_robot_beyond_a_hard_limit_is_not_armed():
    box = {"low": -0.01, "high": 0.01, "unit": "m", "margin": 0.0, "source": "made up"}
    loop, *_ = real_time(safety=SafetySettings(hard={"position": box}))
    with pytest.raises(FaultError):
        loop.run_episode(0, seed=1, explore=False)
    loop.hold()
    with pytest.raises(ArmRefusedError, match="beyond its hard limit"):
        loop.arm()


def test_a_transition_is_handed_on_before_the_next_command_leaves_and_what_that_costs_is_told():
    loop, driver, _, clock = real_time(task=FakeTask(horizon=6))
    seen = []

    class Slow:
        def on_transition(self, transition):
            seen.append((transition.sequence, len(driver.sent)))
            clock.advance(0.004)

        def on_episode(self, summary):
            seen.append("end")

    loop._subscribers = (Slow(),)
    loop.run_episode(0, seed=1, explore=False)
    assert seen == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), "end"]
    assert loop.stats()["record_ms_max"] == pytest.approx(4.0)
