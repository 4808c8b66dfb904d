"""Episodes unlike the others, by robust statistics: the median, and the median distance from it."""

import numpy as np
from numpy.typing import NDArray

FEWEST = 8
FAR = 8.0
MOST = 0.1
"""Part of the episodes that may be far out; where there are more, they are another kind, and no outliers."""

Mask = NDArray[np.bool_]


def far_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(E,) or (E, D): distance from the median in robust standard deviations; 0 for fewer than eight episodes.

    The spread is taken as at least 5 % of the median's size, so that a constant with one slight exception is not
    infinitely far.
    """
    if len(values) < FEWEST:
        return np.zeros(values.shape)
    middle = np.median(values, axis=0)
    distance = np.abs(values - middle)
    spread = 1.4826 * np.median(distance, axis=0)
    far: NDArray[np.float64] = distance / np.maximum(spread, 0.05 * np.abs(middle) + 1e-9)
    return far


def outliers(values: NDArray[np.float64]) -> Mask:
    """(E,) which of the values are those of outliers."""
    far: Mask = far_out(values) > FAR
    return far if far.mean() <= MOST else np.zeros_like(far)


def repeats(digests: list[bytes]) -> list[tuple[int, int]]:
    """Positions of each digest that has been there before, and of the first one."""
    first: dict[bytes, int] = {}
    return [(i, first[d]) for i, d in enumerate(digests) if first.setdefault(d, i) != i]
