"""How far the states that a policy visits are those of the demonstrations, and the other way round."""

import math

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import Batch

_MOST = 800  # demonstrated states that are compared with
_NEAR = 0.9  # share of demonstrated states that lie within the radius of those of another demonstration
_FLOOR = 0.1  # of the median deviation: what hardly moves in the demonstrations may not outweigh everything else


class DemoCoverage:
    """Nearness to demonstrated states.

    Each element of an observation is measured in its own standard deviation over the demonstrations. A state is near
    another within a radius that 90 % of demonstrated states keep to the nearest one of *another* demonstration: so
    nearness is as the demonstrations are among themselves.

    Args:
        demos: transitions of whole episodes, one after the other.

    Attributes:
        radius: [standard deviations]; NaN where there is only one demonstration.
    """

    def __init__(self, demos: Batch) -> None:
        every = -(-len(demos.reward) // _MOST)
        episode = np.concatenate([[0], np.cumsum((demos.next_observation[:-1] != demos.observation[1:]).any(axis=1))])
        self._middle = np.mean(demos.observation, axis=0, dtype=np.float64).astype(np.float32)
        scale = np.std(demos.observation, axis=0, dtype=np.float64)
        known = scale[scale > 0]
        floor = _FLOOR * float(np.median(known)) if len(known) else 1.0
        self._scale = np.maximum(scale, floor).astype(np.float32)
        self._states = self._scaled(demos.observation[::every])
        self.radius = self._radius_of(episode[::every])

    def of(self, states: NDArray[np.float32]) -> dict[str, float]:
        """Of visited states (N, O), N ≥ 1; nothing where there is only one demonstration.

        Returns:
            visited_near_demos: share of them that are near a demonstrated state [0..1].
            demos_visited: share of demonstrated states that are near one of them [0..1].
        """
        if math.isnan(self.radius):
            return {}
        near = _squared_distances(self._scaled(states), self._states) <= self.radius**2
        return {
            "visited_near_demos": float(np.mean(near.any(axis=1))),
            "demos_visited": float(np.mean(near.any(axis=0))),
        }

    def _radius_of(self, episode: NDArray[np.int64]) -> float:
        if episode[0] == episode[-1]:
            return math.nan
        squared = _squared_distances(self._states, self._states)
        squared[episode[:, None] == episode[None]] = np.inf
        return float(np.sqrt(np.quantile(squared.min(axis=1), _NEAR)))

    def _scaled(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = (states - self._middle) / self._scale
        return scaled


def _squared_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, O), (M, O) → (N, M)."""
    squared: NDArray[np.float32] = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None] - 2 * (a @ b.T)
    return np.maximum(squared, np.float32(0.0))
