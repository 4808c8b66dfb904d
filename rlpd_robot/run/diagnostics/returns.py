"""What an action value may be at all, and what it turned out to be: bounds and Monte-Carlo returns, in NumPy.

Rewards here are those that the learner sees, after `agent.reward_scale` and `agent.reward_offset`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.05
"""Share of the width of the possible values by which a critic may miss a bound: networks are no tables."""


@dataclass(frozen=True)
class ValueRange:
    """Lowest and highest value that any policy can have.

    Attributes:
        low, high: [reward]; infinite where γ is 1.
    """

    low: float
    high: float

    @staticmethod
    def of_rewards(low: float, high: float, discount: float, ends: bool, bonus: float = 0.0) -> "ValueRange":
        """From the lowest and highest reward seen: [low, high] / (1 − γ), if no episode truly ends.

        Args:
            low, high: reward of one transition.
            discount: γ per transition.
            ends: whether episodes may terminate, so that a value may also be one reward alone.
            bonus: entropy bonus α·H per transition, where targets carry it; 0 otherwise.
        """
        low, high = low + bonus, high + bonus
        if discount >= 1.0:
            return ValueRange(-math.inf, math.inf)
        for_ever = low / (1 - discount), high / (1 - discount)
        if not ends:
            return ValueRange(*for_ever)
        return ValueRange(min(low, for_ever[0]), max(high, for_ever[1]))

    @property
    def width(self) -> float:
        """[reward]."""
        return self.high - self.low

    def outside(self, values: NDArray[np.float32]) -> float:
        """Share of `values` that miss the range by more than `TOLERANCE` of its width; NaN where it has none."""
        if not 0 < self.width < math.inf:
            return math.nan
        slack = TOLERANCE * self.width
        return float(np.mean((values < self.low - slack) | (values > self.high + slack)))


@dataclass(frozen=True)
class Returns:
    """Discounted returns (N,) of the N transitions of one episode.

    A time limit cuts a return short: what would have followed is bounded by the possible values. Where an episode
    truly ended, all three are equal.

    Attributes:
        low, high: lowest and highest that the episode leaves possible.
        likely: as if the last reward went on for ever.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    likely: NDArray[np.float64]

    @staticmethod
    def of_episode(rewards: NDArray[np.float32], discount: float, terminated: bool, possible: ValueRange) -> "Returns":
        """Of an episode's rewards (N,), N ≥ 1."""
        if terminated:
            exact = discounted(rewards, discount, 0.0)
            return Returns(exact, exact, exact)
        endless = float(rewards[-1]) / (1 - discount) if discount < 1 else math.nan
        tails = possible.low, possible.high, endless
        return Returns(*(discounted(rewards, discount, tail) for tail in tails))


def discounted(rewards: NDArray[np.float32], discount: float, tail: float) -> NDArray[np.float64]:
    """(N,) G_t = r_t + γ·G_{t+1}, with `tail` after the last reward."""
    returns = np.empty(len(rewards), np.float64)
    following = tail
    for t in range(len(rewards) - 1, -1, -1):
        following = float(rewards[t]) + discount * following
        returns[t] = following
    return returns


def calibration(q: NDArray[np.float32], returns: Returns, possible: ValueRange) -> dict[str, float]:
    """How action values (N,) of transitions compare with the returns that followed them.

    Returns:
        q, monte_carlo_return: means [reward], the latter of `Returns.likely`.
        overestimation: their difference [reward].
        q_above_return, q_below_return: share of transitions whose value misses even the bounds of its return [0..1].
        q_correlation: between value and return [-1..1]; left out where either does not vary.
    """
    figures = {
        "q": float(np.mean(q)),
        "monte_carlo_return": float(np.mean(returns.likely)),
        "overestimation": float(np.mean(q - returns.likely)),
    }
    if 0 < possible.width < math.inf:
        slack = TOLERANCE * possible.width
        figures["q_above_return"] = float(np.mean(q > returns.high + slack))
        figures["q_below_return"] = float(np.mean(q < returns.low - slack))
        if np.std(returns.likely) > TOLERANCE * possible.width / 10 and np.std(q) > 0:
            figures["q_correlation"] = float(np.corrcoef(q, returns.likely)[0, 1])
    return figures
