"""The few statistics that a report of a run needs."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the standard normal distribution."""


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion: honest at 0 and at n of n, where the textbook interval has no width.

    Returns:
        (low, high), both in [0, 1]; (0, 1) when nothing was tried.

    Raises:
        DataError: not 0 ≤ successes ≤ n.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if not 0 <= successes <= n:
        raise DataError("Wilson interval", f"{successes} successes of {n}", "0 ≤ successes ≤ n")
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half  # exact there; the sum above would leave a rounding error
    high = 1.0 if successes == n else centre + half
    return low, high


def mean_interval(values: Sequence[float], resamples: int = 2000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; the same values always give the same interval.

    A normalised return is bounded and far from Gaussian, so an interval of ± standard errors could leave [0, 100].

    Args:
        values: (N,) finite numbers, N ≥ 1.
        resamples: how many times the sample is redrawn.

    Raises:
        DataError: no value, or one that is not finite.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise DataError("Interval of a mean", f"the values are {list(values)!r:.80}", "at least one, all finite")
    draws = np.random.default_rng(0).integers(0, sample.size, (resamples, sample.size))
    low, high = np.percentile(sample[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def rolling_mean(values: Sequence[float] | NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """(N,) mean over each value and up to `window` - 1 before it; values that are NaN are left out of the means."""
    sample = np.asarray(values, np.float64)
    known = np.isfinite(sample)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, sample, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    end = np.arange(1, sample.size + 1)
    start = np.maximum(end - window, 0)
    seen = count[end] - count[start]
    return np.where(seen > 0, (total[end] - total[start]) / np.maximum(seen, 1), np.nan)
