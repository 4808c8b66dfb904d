"""What acts in a study: the actor's newest policy, its chunks played out, or the better of it and the clone."""

import jax
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.agent.export import export_actor
from rlpd_robot.agent.proposals import least_values
from rlpd_robot.policy.base import Policy, RandomPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import PolicySnapshot


class Acting:
    """`Policy` of one trainer, in its own process: it may ask the critics, which no robot has.

    With `agent.chunk` above 1 a decision is a chunk of actions, which are played open loop (Q-chunking,
    arXiv:2507.07969). With `agent.clone_acts` a decision is the better, by the critics, of the actor's and that of the
    cloned actor (IBRL, arXiv:2311.02198, section 4.1: actor proposals).

    Args:
        trainer: learns between two decisions, never during one.
        rng: draws what exploration needs.

    Attributes:
        version: of the newest policy.
    """

    def __init__(self, trainer: Trainer, rng: np.random.Generator) -> None:
        self._trainer, self._rng = trainer, rng
        self._action_size = trainer.problem.action_size
        self._plan: list[NDArray[np.float32]] = []
        self._policy: Policy
        self._clone: Policy | None = None
        self.version = 0
        self._decisions = self._cloned = 0

    def take(self, snapshot: PolicySnapshot) -> None:
        """Decide by this policy from the next decision on; a chunk under way is played to its end."""
        self.version = snapshot.version
        if not snapshot.arrays:
            self._policy = RandomPolicy(self._trainer.actor_size, self._rng)
            return
        self._policy = NumpyActor(snapshot, self._rng)
        if self._clone is None and self._trainer.config.clone_acts:
            arrays = export_actor(self._trainer.state.proposal)
            self._clone = NumpyActor(PolicySnapshot(snapshot.version, snapshot.fingerprint, 0, 0, arrays), self._rng)

    def begin(self) -> None:
        """An episode begins: what is left of a chunk belongs to the one before."""
        self._plan = []

    def figures(self) -> dict[str, float]:
        """Since the last call: of the decisions between actor and clone, the share that was the clone's."""
        if not self._decisions:
            return {}
        share = self._cloned / self._decisions
        self._decisions = self._cloned = 0
        return {"clone_share": share}

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """See `Policy.act`."""
        if not self._plan:
            self._plan = list(self._decide(observation, explore).reshape(-1, self._action_size))
        return self._plan.pop(0)

    def _decide(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(h · A,) the next chunk."""
        action = self._policy.act(observation, explore)
        if self._clone is None:
            return action
        proposed = self._clone.act(observation, False)
        both: NDArray[np.float32] = np.stack([action, proposed])
        values = least_values(self._trainer.config, self._trainer.state.target_critics, observation, both)
        better = int(np.argmax(jax.device_get(values)))
        self._decisions, self._cloned = self._decisions + 1, self._cloned + better
        return (action, proposed)[better]
