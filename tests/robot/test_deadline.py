"""What is sent in the place of a late action: by hand, by rule, and through the control loop on a manual clock."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ConfigError, FaultError
from rlpd_robot.policy.base import ScriptedPolicy
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.deadline import MISSES, Deadline, Substitute
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import LATE, VELOCITY, SafetyLimits, SafetySettings
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.watchdog import WatchdogSettings
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import Command

PERIOD = 0.01


def mixed_spec():
    """A place, a rate, a place of another kind, and an effort."""
    units = (("reach", "m"), ("turn", "rad/s"), ("elbow", "rad"), ("grip", "N"))
    command = tuple(Field(name, (), "float64", unit, (-9.0,), (9.0,)) for name, unit in units)
    return RobotSpec("mixed", PERIOD, (Field("reach", (), "float64", "m"),), command)


def after(miss, *sent):
    substitute = Substitute(miss, mixed_spec())
    for values in sent:
        substitute.sent(Command(np.array(values, float)))
    return substitute


@pytest.mark.parametrize(
    ("miss", "expected"),
    [
        ("hold", [[2.0, 0.0, -1.0, 4.0], [2.0, 0.0, -1.0, 4.0]]),
        ("reuse", [[2.0, 3.0, -1.0, 4.0], [2.0, 3.0, -1.0, 4.0]]),
        ("decay", [[2.4, 1.5, -2.0, 4.0], [2.6, 0.75, -2.5, 4.0]]),
    ],
)
def test_each_word_means_what_its_table_says(miss, expected):
    """The last step was 0.8 m and -2 rad; two late actions follow each other."""
    substitute = after(miss, [1.2, 3.0, 1.0, 7.0], [2.0, 3.0, -1.0, 4.0])
    for values in expected:
        command = substitute.command()
        np.testing.assert_allclose(command.values, values)
        substitute.sent(command)
    assert substitute.count == 2


@pytest.mark.parametrize("miss", MISSES)
def test_nothing_is_made_up_before_the_first_command_of_an_episode(miss):
    substitute = after(miss, [1.0, 1.0, 1.0, 1.0])
    substitute.begin()
    assert substitute.command() is None
    assert substitute.count == 0


@given(st.sampled_from(MISSES), st.lists(st.lists(st.floats(-9, 9), min_size=4, max_size=4), min_size=1, max_size=5))
def test_late_for_ever_comes_to_rest_or_repeats(miss, sent):
    """However often it is asked, places stay within one more last step of where they were, and rates never grow."""
    substitute = after(miss, *sent)
    last = np.array(sent[-1])
    step = np.abs(last - np.array(sent[-2])) if len(sent) > 1 else np.zeros(4)
    for _ in range(60):
        command = substitute.command()
        assert (np.abs(command.values - last) <= step + 1e-9)[[0, 2]].all()
        assert abs(command.values[1]) <= abs(last[1])
        substitute.sent(command)
    if miss != "reuse":
        assert abs(command.values[1]) < 1e-9


@pytest.mark.parametrize(
    ("miss", "periods", "key"),
    [("stop", 1.0, "deadline_miss"), ("hold", 0.0, "deadline"), ("hold", float("nan"), "deadline"), ("hold", 3, "2.5")],
)
def test_settings_that_mean_nothing_are_refused(miss, periods, key):
    with pytest.raises(ConfigError, match=key):
        Deadline(miss, periods)


class Recorder:
    def __init__(self):
        self.transitions, self.summaries = [], []

    def on_transition(self, transition):
        self.transitions.append(transition)

    def on_episode(self, summary):
        self.summaries.append(summary)


def acting(work_s, actions, deadline=None, safety=None, lockstep=False, watchdog=None):
    """One episode of a policy that takes `work_s` [s] for each of its actions in turn."""
    clock, recorder, calls = ManualClock(50.0), Recorder(), []
    driver = FakeDriver(lockstep=lockstep, clock=clock, period_s=PERIOD)
    spec, task = driver.connect(1.0), FakeTask(horizon=8)

    def act(observation):
        i = len(calls)
        calls.append(clock.now())
        clock.advance(work_s[i % len(work_s)])
        return np.array(actions[i % len(actions)], np.float32)

    loop = ControlLoop(
        driver,
        task,
        problem_of(task, spec),
        SafetyLimits.from_settings(safety or SafetySettings(), spec),
        lambda: ScriptedPolicy(act),
        "boot",
        clock,
        [recorder],
        watchdog=watchdog,
        deadline=deadline,
    )
    return loop, driver, recorder, clock


RISING = [[0.1 * i, 0.0] for i in range(1, 10)]


def test_a_late_action_is_not_sent_and_what_was_executed_is_stored():
    """The fourth of eight comes 12 ms after its state, in a period of 10 ms: the third command stays."""
    loop, driver, recorder, _ = acting([0.001] * 3 + [0.012] + [0.001] * 4, RISING)
    loop.run_episode(0, seed=1, explore=False)
    np.testing.assert_allclose([c.values[0] for c in driver.sent], [0.1, 0.2, 0.3, 0.3, 0.5, 0.6, 0.7, 0.8])
    late = recorder.transitions[3]
    np.testing.assert_allclose(late.action, [0.3, 0.0], atol=1e-7)
    np.testing.assert_allclose(late.proposed_action, [0.4, 0.0], atol=1e-7)
    assert [t.safety for t in recorder.transitions] == [0, 0, 0, LATE, 0, 0, 0, 0]
    stats = loop.stats()
    assert (stats["late_actions"], stats["filtered"]) == (1, 0)  # the filter had nothing to do with it


def test_decay_goes_on_and_the_filter_stays_in_the_way():
    """Steps of 0.1 m are as fast as is allowed; the speed limit then cuts what "decay" asks for when it is lower."""
    deadline = Deadline("decay")
    loop, driver, recorder, _ = acting([0.001] * 3 + [0.012] * 2 + [0.001] * 3, RISING, deadline)
    loop.run_episode(0, seed=1, explore=False)
    np.testing.assert_allclose([c.values[0] for c in driver.sent][:5], [0.1, 0.2, 0.3, 0.35, 0.375])
    steep = [[0.0, 0.0], [0.8, 0.0], [0.8, 0.0]]
    loop, driver, recorder, _ = acting([0.001, 0.001, 0.012, 0.001], steep, deadline, SafetySettings(max_speed=20.0))
    loop.run_episode(0, seed=1, explore=False)
    np.testing.assert_allclose([c.values[0] for c in driver.sent][:3], [0.0, 0.2, 0.3])
    assert recorder.transitions[1].safety == VELOCITY
    edge = [[0.6, 0.0], [0.95, 0.0]]
    loop, driver, recorder, _ = acting([0.001, 0.001, 0.012, 0.001], edge, deadline)
    loop.run_episode(0, seed=1, explore=False)
    np.testing.assert_allclose([c.values[0] for c in driver.sent][:3], [0.6, 0.95, 1.0])  # asked for 1.125
    assert recorder.transitions[2].safety & LATE
    assert recorder.transitions[2].safety != LATE


def test_before_the_first_command_a_late_action_means_another_look():
    """The robot stands where its reset put it: nothing is sent, and there is no transition of nothing."""
    loop, driver, recorder, clock = acting([0.012, 0.001], RISING)
    loop.run_episode(0, seed=1, explore=False)
    assert len(driver.sent) == len(recorder.transitions) == 8
    np.testing.assert_allclose(driver.sent[0].values, [0.2, 0.0], atol=1e-7)
    assert recorder.transitions[0].safety == 0
    assert recorder.transitions[0].stamps_s[0] > 50.01


def test_the_deadline_is_counted_from_the_state():
    loop, driver, recorder, _ = acting([0.006], RISING, Deadline("hold", 0.5))
    with pytest.raises(FaultError, match=r"25 actions in a row came after their deadline \(actor.deadline\)"):
        loop.run_episode(0, seed=1, explore=False)
    assert len(driver.sent) == 0
    loop, driver, recorder, _ = acting([0.006], RISING, Deadline("hold", 0.7))
    loop.run_episode(0, seed=1, explore=False)
    assert loop.stats()["late_actions"] == 0


def test_a_policy_that_is_always_late_is_an_overrun_and_not_a_robot_that_stands_for_ever():
    loop, driver, recorder, _ = acting([0.001, *[0.012] * 50], RISING, watchdog=WatchdogSettings(misses=4))
    with pytest.raises(FaultError, match="overrun: 4 actions in a row"):
        loop.run_episode(0, seed=1, explore=False)
    assert [t.safety for t in recorder.transitions] == [0, LATE, LATE, LATE]
    assert driver.stops >= 5


def test_lockstep_knows_no_late_action():
    loop, driver, recorder, _ = acting([1.0], RISING, lockstep=True)
    loop.run_episode(0, seed=1, explore=False)
    assert loop.stats()["late_actions"] == 0
    np.testing.assert_allclose([c.values[0] for c in driver.sent], [0.1 * i for i in range(1, 9)], atol=1e-7)
