import math

import numpy as np
import pytest

from rlpd_robot.run.diagnostics.returns import Returns, ValueRange, calibration, discounted


def rewards(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_possible_values_are_the_rewards_for_ever() -> None:
    # 1 / (1 - 0.9) = 10: ten times the lowest and the highest reward
    possible = ValueRange.of_rewards(-1.0, 0.5, 0.9, ends=False)
    assert (possible.low, possible.high) == pytest.approx((-10.0, 5.0))
    # a single reward of 2 before a true end is less than twenty, and more than minus nothing
    ends = ValueRange.of_rewards(2.0, 3.0, 0.9, ends=True)
    assert (ends.low, ends.high) == pytest.approx((2.0, 30.0))
    # an entropy bonus of 0.1 a step adds 1 in all
    with_bonus = ValueRange.of_rewards(-1.0, 0.5, 0.9, ends=False, bonus=0.1)
    assert (with_bonus.low, with_bonus.high) == pytest.approx((-9.0, 6.0))


def test_without_discount_anything_is_possible() -> None:
    endless = ValueRange.of_rewards(0.0, 1.0, 1.0, ends=False)
    assert (endless.low, endless.high) == (-math.inf, math.inf)
    assert math.isnan(endless.outside(rewards(5.0)))


def test_share_outside_leaves_five_percent_of_the_width() -> None:
    possible = ValueRange(0.0, 10.0)
    # -0.5 and 10.5 are still within the tolerance of 0.5
    assert possible.outside(rewards(-0.6, -0.4, 5.0, 10.4, 10.6, 100.0, 0.0, 1.0)) == 3 / 8
    assert math.isnan(ValueRange(1.0, 1.0).outside(rewards(1.0)))


def test_discounted_sums_backwards() -> None:
    # G2 = 4 + 0.5 * 8 = 8; G1 = 2 + 4 = 6; G0 = 1 + 3 = 4
    assert discounted(rewards(1, 2, 4), 0.5, 8.0).tolist() == [4.0, 6.0, 8.0]


def test_a_true_end_leaves_no_doubt() -> None:
    returns = Returns.of_episode(rewards(0, 1), 0.5, True, ValueRange(0.0, 2.0))
    assert returns.low.tolist() == returns.high.tolist() == returns.likely.tolist() == [0.5, 1.0]


def test_a_time_limit_leaves_what_is_possible() -> None:
    returns = Returns.of_episode(rewards(0, 1), 0.5, False, ValueRange(0.0, 2.0))
    assert returns.low.tolist() == [0.5, 1.0]  # nothing follows
    assert returns.high.tolist() == [1.0, 2.0]  # 1 + 0.5 * 2
    assert returns.likely.tolist() == [1.0, 2.0]  # a reward of 1 for ever is worth 2


def test_calibration_counts_what_not_even_the_rest_of_the_episode_could_bring() -> None:
    possible = ValueRange(0.0, 2.0)  # tolerance 0.1
    returns = Returns(np.array([0.0, 1.0, 1.0, 1.0]), np.array([1.0, 2.0, 2.0, 2.0]), np.array([0.0, 1.0, 2.0, 1.0]))
    q = np.array([1.05, 2.2, 0.85, 1.5], np.float32)
    figures = calibration(q, returns, possible)
    assert figures["q_above_return"] == 1 / 4  # 2.2 only
    assert figures["q_below_return"] == 1 / 4  # 0.85 only
    assert figures["q"] == pytest.approx(1.4)
    assert figures["monte_carlo_return"] == 1.0
    assert figures["overestimation"] == pytest.approx(0.4)
    assert figures["q_correlation"] == pytest.approx(np.corrcoef([1.05, 2.2, 0.85, 1.5], [0, 1, 2, 1])[0, 1])


def test_returns_that_do_not_vary_correlate_with_nothing() -> None:
    flat = np.zeros(3)
    assert "q_correlation" not in calibration(rewards(1, 2, 3), Returns(flat, flat, flat), ValueRange(0.0, 2.0))
