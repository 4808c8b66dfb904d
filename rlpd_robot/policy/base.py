"""What acts: the Policy protocol, and the policies that need no training."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError

NO_VERSION = -1
"""The version of a policy that no learner published."""


class Policy(Protocol):
    """Maps observations to actions, in microseconds.

    Attributes:
        version: of the snapshot behind it; -1 where there is none.
    """

    version: int

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """One action.

        Args:
            observation: (O,) float32.
            explore: draw from the policy's distribution; otherwise its most likely action.

        Returns:
            (A,) float32 in [-1, 1]. The caller may keep it: no later call writes into it.
        """


class HoldPolicy:
    """The same action for ever.

    Args:
        action: (A,) in [-1, 1]. Zero is the middle of the command range, which is *not* where a robot stands: map the
            command that holds it still through `ActionMap.to_action`.

    Raises:
        DataError: an action outside [-1, 1], or not a vector.
    """

    version = NO_VERSION

    def __init__(self, action: NDArray[Any]) -> None:
        self._action = _checked(np.asarray(action, np.float32), "HoldPolicy")

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) the action given at the start."""
        return self._action.copy()


class RandomPolicy:
    """Actions drawn uniformly from [-1, 1], exploring or not: RLPD's first steps before any update.

    Raises:
        DataError: no action element.
    """

    version = NO_VERSION

    def __init__(self, action_size: int, rng: np.random.Generator) -> None:
        if action_size < 1:
            raise DataError("RandomPolicy", f"action_size is {action_size}", "at least 1")
        self._size = action_size
        self._rng = rng

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) a fresh draw."""
        return self._rng.uniform(-1.0, 1.0, self._size).astype(np.float32)


class ScriptedPolicy:
    """A plain function of the observation, (O,) float32 → (A,), acting the same whether exploring or not."""

    def __init__(self, function: Callable[[NDArray[np.float32]], Any], version: int = NO_VERSION) -> None:
        self.version = version
        self._function = function

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) what the function returns. Not clipped: the safety filter sees what was asked for."""
        return np.array(self._function(observation), np.float32)


class NoisyPolicy:
    """Another policy with white noise on its actions, as from a person whose hand is not steady.

    Args:
        policy: acts.
        std: standard deviation of the noise, of actions in [-1, 1].
        rng: draws it.
    """

    def __init__(self, policy: Policy, std: float, rng: np.random.Generator) -> None:
        self.version = policy.version
        self._policy, self._std, self._rng = policy, std, rng

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) the other's action and noise, cut off at ±1."""
        action = self._policy.act(observation, explore)
        noise = self._rng.normal(0.0, self._std, action.shape)
        return np.clip(action + noise, -1.0, 1.0).astype(np.float32)


def _checked(action: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    if action.ndim != 1 or not (np.abs(action) <= 1).all():  # NaN compares false
        raise DataError(where, f"its action is {action.tolist()}", "a vector of values in [-1, 1]")
    return action
