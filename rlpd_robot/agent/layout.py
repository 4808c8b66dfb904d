"""How an agent is laid out over the devices of a mesh: critics over its ensemble axis, minibatches over its data axis.

And how its updates are laid out in the program. Everything else is held by every device. XLA puts the communication in
between: targets need critics of other devices, gradients are summed over parts of a minibatch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rlpd_robot.agent.state import AgentState
from rlpd_robot.types import Batch

ENSEMBLE, DATA = "ensemble", "data"
"""Axes of the mesh."""


@dataclass(frozen=True)
class Layout:
    """Static for the compiler, like the agent's settings.

    Attributes:
        mesh: the devices; None: JAX's default device alone.
        unroll: critic updates of a super-step that the compiler sees one after the other, not as a loop.
    """

    mesh: Mesh | None = None
    unroll: int = 1

    @property
    def described(self) -> str:
        """In words."""
        if self.mesh is None:
            device = jax.devices()[0]
            return f"one device ({device.device_kind})"
        sizes = self.mesh.shape
        kind = self.mesh.devices.flat[0].device_kind
        return f"{self.mesh.size} devices ({kind}): {sizes[ENSEMBLE]} for the critics, {sizes[DATA]} for each minibatch"

    def state(self, state: AgentState) -> Any:
        """The sharding of every leaf of a state. Needs a mesh."""
        every = jax.tree.map(lambda _: self._sharding(), state)
        critics = jax.tree.map(self._by_member, (state.critics, state.target_critics, state.critic_optimiser))
        return every._replace(critics=critics[0], target_critics=critics[1], critic_optimiser=critics[2])

    def keep_state(self, state: AgentState) -> AgentState:
        """Inside a jit: the same state, laid out so. Else its next caller would find another one, and compile anew."""
        if self.mesh is None:
            return state
        kept: AgentState = jax.lax.with_sharding_constraint(state, self.state(state))  # type: ignore[no-untyped-call]
        return kept

    def divide(self, batch: Batch) -> Batch:
        """Inside a jit: the same minibatch [B], its rows divided among the devices of the data axis."""
        if self.mesh is None:
            return batch
        divided: Batch = jax.lax.with_sharding_constraint(batch, self._sharding(DATA))  # type: ignore[no-untyped-call]
        return divided

    @property
    def spans(self) -> bool:
        """Whether some of the devices are another process's."""
        return self.mesh is not None and self.mesh.is_multi_process

    def place_state(self, state: AgentState) -> AgentState:
        """Outside: move a state to where it belongs."""
        if self.mesh is None:
            return state
        if self.spans:
            words = state._replace(key=jax.random.key_data(state.key))
            placed: AgentState = jax.tree.map(_spread, words, self.state(words))
            return placed._replace(key=jax.random.wrap_key_data(placed.key))
        placed = jax.device_put(state, self.state(state))
        return placed

    def everywhere(self) -> NamedSharding:
        """The sharding of what every device holds. Needs a mesh."""
        return self._sharding()

    def place(self, tree: Any) -> Any:
        """Outside: put arrays where every device holds them."""
        if self.spans:
            return jax.tree.map(lambda leaf: _spread(leaf, self._sharding()), tree)
        return jax.device_put(tree, None if self.mesh is None else self._sharding())

    def gathered(self, tree: Any) -> Any:
        """Outside: the same arrays, as this process can read them whole; all processes of the mesh have to ask."""
        return local(_gathering(self._sharding())(tree)) if self.spans else tree

    def _sharding(self, *axes: str) -> NamedSharding:
        assert self.mesh is not None
        return NamedSharding(self.mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]

    def _by_member(self, leaf: Any) -> NamedSharding:
        return self._sharding(ENSEMBLE) if leaf.ndim else self._sharding()


def local(tree: Any) -> Any:
    """Of arrays that every device holds, this process's own: what is done with them is done here alone."""
    return jax.tree.map(lambda leaf: leaf if leaf.is_fully_addressable else leaf.addressable_data(0), tree)


@cache
def _gathering(sharding: NamedSharding) -> Callable[[Any], Any]:
    return jax.jit(lambda tree: tree, out_shardings=sharding)


def _spread(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """The same array, which every process has, over devices of all of them; they need not wait for each other."""
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])


ONE_DEVICE = Layout()


def mesh_of(devices: Sequence[jax.Device], ensemble: int, data: int) -> Mesh:
    """`ensemble` times `data` devices as a mesh; neighbours share a minibatch's sums."""
    return Mesh(np.asarray(devices).reshape(ensemble, data), (ENSEMBLE, DATA))
