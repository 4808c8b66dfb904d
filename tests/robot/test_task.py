import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpd_robot.errors import DataError, SpecError
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.task import ActionMap, problem_of
from rlpd_robot.types import Command


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, 4, elements=st.floats(-1, 1, width=32)),
    arrays(np.float64, 4, elements=st.floats(-100, 100)),
    arrays(np.float64, 4, elements=st.floats(1e-3, 100)),
)
def test_to_action_inverts_to_command(action, low, width):
    action_map = ActionMap(low, low + width)
    back = action_map.to_action(action_map.to_command(action))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, action, atol=1e-6)


def test_ends_and_middle_of_the_range():
    action_map = ActionMap(np.array([0.0, -2.0]), np.array([1.0, 4.0]))
    assert action_map.action_size == 2
    np.testing.assert_array_equal(action_map.to_command(np.array([-1, -1], np.float32)).values, [0, -2])
    np.testing.assert_array_equal(action_map.to_command(np.array([1, 1], np.float32)).values, [1, 4])
    np.testing.assert_array_equal(action_map.to_command(np.array([0, 0], np.float32)).values, [0.5, 1])


def test_to_command_does_not_hide_what_was_asked_for():
    action_map = ActionMap.of(fake_spec())
    np.testing.assert_array_equal(action_map.to_command(np.array([3, np.inf], np.float32)).values, [3, np.inf])


def test_to_action_cuts_off_rounding_past_the_ends():
    action = ActionMap(np.zeros(1), np.full(1, 0.3)).to_action(Command(np.array([0.3 * (1 + 1e-15)])))
    assert action[0] == 1.0


def test_shape_of_the_action_is_checked():
    with pytest.raises(DataError, match=r"Action: its shape is \(3,\). Expected \(2,\)."):
        ActionMap.of(fake_spec()).to_command(np.zeros(3, np.float32))


def test_problem_joins_robot_and_task():
    problem = problem_of(FakeTask(horizon=7), fake_spec(0.02))
    assert (problem.task, problem.observation_size, problem.action_size, problem.horizon) == ("fake-reach", 4, 2, 7)
    assert problem.robot.period_s == 0.02


def test_problem_of_another_robot_is_refused():
    with pytest.raises(SpecError, match="'position' has another size"):
        problem_of(FakeTask(size=3), fake_spec(size=2))
