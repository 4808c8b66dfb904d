"""How many steps after an action its motion follows, by cross-correlation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AHEAD, BEHIND = 25, 5
"""Lags that are tried [steps]: motion after the action, and before it, which would be a wrong pairing."""

FEWEST_STEPS = 200
CLEAR = 0.5  # correlation from which a lag is believed


@dataclass(frozen=True)
class Lag:
    """Of one action dimension.

    Attributes:
        action, observation: numbers of the dimensions that go together best.
        steps: from an action to the change of the observation that goes with it best. 0: the very next observation.
        correlation: there, in absolute value.
    """

    action: int
    observation: int
    steps: int
    correlation: float


class LagSums:
    """Gathers the correlations of changing actions with changing motion, episode by episode.

    Trajectories as such go together at any lag, since they are smooth. What changes from one step to the next is
    nearly without memory, so that the step of an action is found again in the acceleration that it causes and nowhere
    else; for targets of position and of velocity alike.

    Args:
        action_size, observation_size: A and O.
        most_steps: steps that are enough; the rest is passed over.
    """

    def __init__(self, action_size: int, observation_size: int, most_steps: int = 20_000) -> None:
        self._lags = np.arange(-BEHIND, AHEAD + 1)
        self._cross = np.zeros((len(self._lags), action_size, observation_size))
        self._action = np.zeros((len(self._lags), action_size))
        self._motion = np.zeros((len(self._lags), observation_size))
        self._steps, self._most = 0, most_steps

    def add(self, actions: NDArray[np.float32], observations: NDArray[np.float32]) -> None:
        """Take in one episode of finite numbers: (N, A) and (N+1, O)."""
        n = len(actions) - 1
        if self._steps >= self._most or n <= AHEAD + BEHIND + 2:
            return
        changes = np.diff(actions.astype(np.float64), axis=0)
        accelerations = np.diff(observations.astype(np.float64), 2, axis=0)
        a = _centred(changes[BEHIND : n - AHEAD])  # every lag over the same number of steps, cut at both ends
        for i, lag in enumerate(self._lags):
            m = _centred(accelerations[BEHIND + lag : n - AHEAD + lag])
            self._cross[i] += a.T @ m
            self._action[i] += (a**2).sum(axis=0)
            self._motion[i] += (m**2).sum(axis=0)
        self._steps += n

    def lags(self) -> list[Lag]:
        """One for each action dimension that clearly moves something; none from too few steps."""
        if self._steps < FEWEST_STEPS:
            return []
        scale = np.sqrt(self._action[:, :, None] * self._motion[:, None, :])
        r = np.where(scale > 1e-12, np.abs(self._cross) / np.maximum(scale, 1e-12), 0.0)
        best = []
        for action in range(r.shape[1]):
            i, observation = np.unravel_index(int(r[:, action].argmax()), r[:, action].shape)
            strength = float(r[i, action, observation])
            if strength >= CLEAR:
                best.append(Lag(action, int(observation), int(self._lags[i]), strength))
        return best


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - values.mean(axis=0)
    return centred
