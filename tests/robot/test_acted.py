"""What the robot followed is what a transition stores."""

import numpy as np
import pytest

from rlpd_robot.robot.acted import SentCommands
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import History, SafetyLimits, SafetySettings, filter_command
from rlpd_robot.robot.task import problem_of
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import Command, RobotState


def command(value):
    return Command(np.full(2, value))


def state(executed):
    return RobotState({}, 0, 0.0, 0.0, executed)


def test_a_robot_that_does_not_say_is_believed_to_follow():
    sent, one = SentCommands(), command(0.1)
    sent.add(1, one)
    assert sent.acted(one, state(None)) is one
    assert sent.not_executed == 0


def test_a_command_that_was_not_followed_shows_as_the_one_before_it():
    sent, one, two = SentCommands(), command(0.1), command(0.2)
    sent.add(1, one)
    assert sent.acted(one, state(1)) is one
    sent.add(2, two)
    assert sent.acted(two, state(1)) is one
    assert sent.acted(two, state(2)) is two
    assert sent.not_executed == 1


def test_before_the_first_command_nothing_acts():
    sent, one = SentCommands(), command(0.1)
    assert sent.add(7, one)
    assert sent.acted(one, state(-1)) is None
    assert sent.acted(one, state(6)) is None  # of the last episode
    assert not sent.add(-1, command(0.2))
    sent.begin()
    assert sent.acted(one, state(7)) is None


class Lossy(FakeDriver):
    """Follows every second command only, and says so."""

    def send(self, command):
        number = self._commands + 1
        if number % 2 == 0 or number == 1:
            return super().send(command)
        self._commands = number
        return number

    def _state(self):
        inner = super()._state()
        followed = self._commands - (self._commands % 2) if self._commands > 1 else self._commands
        return RobotState(inner.values, inner.sequence, inner.stamp_s, inner.received_s, followed)


def test_the_stored_action_is_the_one_that_the_robot_followed():
    clock = ManualClock()
    driver, task = Lossy(lockstep=False, clock=clock), FakeTask()
    spec = driver.connect(1.0)
    actions = iter(np.linspace(-0.5, 0.5, 40))

    class Policy:
        version = 0

        def act(self, observation, explore):
            return np.full(2, next(actions), np.float32)

    transitions = []

    class Recorder:
        def on_transition(self, transition):
            transitions.append(transition)

        def on_episode(self, summary):
            pass

    policy = Policy()
    limits = SafetyLimits.from_settings(SafetySettings(), spec)
    loop = ControlLoop(driver, task, problem_of(task, spec), limits, lambda: policy, "b", clock, [Recorder()])
    loop.run_episode(0, 1, explore=False)
    proposed = [float(t.proposed_action[0]) for t in transitions]
    executed = [float(t.action[0]) for t in transitions]
    followed = [float(c.values[0]) for c in driver.sent]
    np.testing.assert_allclose(executed[:2], proposed[:2], atol=1e-6)
    np.testing.assert_allclose(executed[2::2], proposed[1:-1:2], atol=1e-6)  # lost: the one before it was held
    np.testing.assert_allclose(executed[3::2], proposed[3::2], atol=1e-6)
    assert set(np.round(executed, 5)) == set(np.round(followed, 5))
    assert loop.stats()["not_executed"] == len(executed[2::2])


@pytest.mark.parametrize("seed", range(20))
def test_a_late_command_and_the_next_one_make_no_double_step(seed):
    """The robot seems to hold the one before; a step from there the other way would be two from the one under way."""
    rng = np.random.default_rng(seed)
    spec = RobotSpec(
        "slide", 0.01, (Field("x", (1,), "float64", "m"),), (Field("target", (1,), "float64", "m", (-1.0,), (1.0,)),)
    )
    limits = SafetyLimits.from_settings(SafetySettings(max_speed=1.0), spec)
    sent, history, followed, previous, late = SentCommands(), History.at_rest(np.zeros(1)), -1, np.zeros(1), None
    for number in range(60):
        now = state(followed)
        if (held := sent.held(now)) is not None:
            history = History.at_rest(held.values, sent.under_way())
        safe, _, history = filter_command(limits, history, Command(rng.uniform(-1, 1, 1)), now)
        sent.add(number, safe)
        arrived = [] if late is None or rng.random() < 0.3 else [(number - 1, late)]  # else it is lost
        late = None
        if number == 0 or rng.random() < 0.5:
            arrived.append((number, safe.values))
        else:
            late = safe.values  # it comes after the next state is measured
        for place, values in arrived:
            assert abs(values - previous) <= 0.01 * (place - followed) + 1e-9
            followed, previous = place, values
