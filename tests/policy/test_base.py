import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.policy.base import NO_VERSION, HoldPolicy, RandomPolicy, ScriptedPolicy

OBSERVATION = np.zeros(4, np.float32)


def test_hold_gives_the_same_action_and_the_caller_may_keep_it():
    policy = HoldPolicy(np.array([0.5, -1.0]))
    kept = policy.act(OBSERVATION, explore=True)
    kept[:] = 9
    np.testing.assert_array_equal(policy.act(OBSERVATION, explore=False), np.array([0.5, -1.0], np.float32))
    assert policy.version == NO_VERSION


@pytest.mark.parametrize("action", [[1.5], [np.nan], [[0.0]]])
def test_hold_refuses_what_is_no_action(action):
    with pytest.raises(DataError, match=r"Expected a vector of values in \[-1, 1\]"):
        HoldPolicy(np.array(action))


def test_random_covers_the_whole_range_and_repeats_with_its_seed():
    policy = RandomPolicy(3, np.random.default_rng(1))
    actions = np.stack([policy.act(OBSERVATION, explore=False) for _ in range(2_000)])
    assert actions.dtype == np.float32
    assert actions.shape == (2_000, 3)
    assert (np.abs(actions) <= 1).all()
    assert np.abs(actions.mean(0)).max() < 0.06  # 4.6 standard errors
    assert actions.min() < -0.98
    assert actions.max() > 0.98
    again = RandomPolicy(3, np.random.default_rng(1)).act(OBSERVATION, explore=True)
    np.testing.assert_array_equal(again, actions[0])


def test_random_needs_an_action_element():
    with pytest.raises(DataError, match="action_size is 0"):
        RandomPolicy(0, np.random.default_rng(0))


def test_scripted_passes_on_what_the_function_asks_for():
    policy = ScriptedPolicy(lambda o: 2 * o, version=4)
    np.testing.assert_array_equal(policy.act(np.ones(2, np.float32), explore=True), np.full(2, 2, np.float32))
    assert policy.version == 4


def test_scripted_copies_so_that_a_reused_buffer_does_no_harm():
    buffer = np.zeros(2, np.float32)
    action = ScriptedPolicy(lambda _: buffer).act(OBSERVATION, explore=False)
    buffer[:] = 1
    np.testing.assert_array_equal(action, 0)
