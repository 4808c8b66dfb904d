import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.run.statistics import mean_interval, rolling_mean, wilson_interval

# z² = 3.8414588. At 0 of n the interval ends at z²/(n + z²), at n of n it begins at n/(n + z²);
# at a half it is 1/2 ± z/2 · sqrt(1/(n + z²)); 1 of 1 begins at 1/(1 + z²).
HAND_DERIVED = [
    (0, 20, 0.0, 0.161125),
    (20, 20, 0.838875, 1.0),
    (10, 20, 0.299298, 0.700702),
    (1, 1, 0.206549, 1.0),
    (0, 0, 0.0, 1.0),
    (16, 20, 0.583983, 0.919342),  # (0.8 + 0.0960365 ± 1.959964 · sqrt(0.008 + 0.0024009)) / 1.1920729
]


@pytest.mark.parametrize(("successes", "n", "low", "high"), HAND_DERIVED)
def test_wilson_interval(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=2e-6)


def test_wilson_interval_is_a_mirror_image_and_holds_the_share():
    for successes in range(21):
        low, high = wilson_interval(successes, 20)
        assert 0 <= low <= successes / 20 <= high <= 1
        assert wilson_interval(20 - successes, 20) == pytest.approx((1 - high, 1 - low))


def test_wilson_interval_ends_where_the_score_test_does():
    for successes in range(1, 20):
        for p in wilson_interval(successes, 20):
            assert (successes - 20 * p) ** 2 == pytest.approx(3.841458820694124 * 20 * p * (1 - p))


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(successes, n):
    with pytest.raises(DataError, match=f"Wilson interval: {successes} successes of {n}"):
        wilson_interval(successes, n)


def test_mean_interval_has_the_width_that_theory_gives():
    # 100 values, half 0 and half 100: the mean's standard error is 50/sqrt(100) = 5, so about 50 ± 9.8.
    low, high = mean_interval([0.0, 100.0] * 50)
    assert low == pytest.approx(40.2, abs=1.5)
    assert high == pytest.approx(59.8, abs=1.5)
    assert mean_interval([0.0, 100.0] * 50) == (low, high)


def test_mean_interval_of_equal_values_is_a_point_and_of_none_is_refused():
    assert mean_interval([7.0] * 5) == (7.0, 7.0)
    with pytest.raises(DataError, match="at least one, all finite"):
        mean_interval([])
    with pytest.raises(DataError, match="at least one, all finite"):
        mean_interval([1.0, float("nan")])


def test_rolling_mean_looks_back_over_the_window_and_past_gaps():
    nan = float("nan")
    np.testing.assert_allclose(rolling_mean([1, 2, 3, 4], 2), [1, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(rolling_mean([nan, 2, nan, 4], 2), [nan, 2, 2, 4])
    assert rolling_mean([], 3).shape == (0,)
