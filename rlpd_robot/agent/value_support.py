"""Where the categories of a categorical critic lie. No JAX here: settings and diagnostics read it too."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGMA = 0.75
"""Standard deviation of a target's Gaussian, in widths of a category (HL-Gauss, arXiv:2403.03950, section 3.1)."""

MARGIN = 4.0
"""Standard deviations that the categories reach beyond the range of values at either end."""

FEWEST = 11
"""Categories that leave some for the range itself."""


@dataclass(frozen=True)
class ValueSupport:
    """K categories of equal width over the range of possible values, and a margin on either side of it.

    The margin is not the paper's. Without it a target at an end of the range loses half of its Gaussian, its mean
    moves inwards by more than half a category, and bootstrapping adds this up over 1/(1 − γ) steps; with sparse rewards
    most values lie at an end.

    Attributes:
        low, high: range of values [reward], low < high.
        bins: K.
    """

    low: float
    high: float
    bins: int

    @property
    def width(self) -> float:
        """Of a category [reward]."""
        return (self.high - self.low) / (self.bins - 2.0 * MARGIN * SIGMA)

    @property
    def sigma(self) -> float:
        """Standard deviation of a target's Gaussian [reward]."""
        return SIGMA * self.width

    @property
    def edges(self) -> NDArray[np.float64]:
        """(K + 1,) between categories, the outermost ones included [reward]."""
        steps = np.arange(self.bins + 1, dtype=np.float64)
        return np.asarray(self.low - MARGIN * self.sigma + self.width * steps, np.float64)

    @property
    def centers(self) -> NDArray[np.float64]:
        """(K,) values that the categories stand for [reward]."""
        return np.asarray(self.edges[:-1] + 0.5 * self.width, np.float64)
