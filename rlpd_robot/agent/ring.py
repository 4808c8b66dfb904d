"""Transitions on the device: a ring that never changes shape, and minibatches drawn from it inside the update."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.types import Batch


class Ring(NamedTuple):
    """The last `capacity` transitions.

    Attributes:
        rows: columns with leading dimension [capacity].
        added: () int32, transitions ever added.
    """

    rows: Batch
    added: jax.Array

    @property
    def capacity(self) -> int:
        """Rows there is room for."""
        return int(self.rows.reward.shape[0])

    @property
    def size(self) -> jax.Array:
        """() int32, rows filled."""
        return jnp.minimum(self.added, self.capacity)


@partial(jax.jit, static_argnums=(0, 1, 2))  # one program: column by column each shape would be one
def make_ring(capacity: int, observation_size: int, action_size: int) -> Ring:
    """An empty ring."""

    def zeros(*shape: int) -> jax.Array:
        return jnp.zeros((capacity, *shape), jnp.float32)

    return Ring(
        Batch(
            observation=zeros(observation_size),
            action=zeros(action_size),
            reward=zeros(),
            next_observation=zeros(observation_size),
            bootstrap=zeros(),
            is_demo=zeros(),
        ),
        jnp.int32(0),
    )


@partial(jax.jit, donate_argnums=0)
def _insert(ring: Ring, rows: Batch, count: jax.Array) -> Ring:
    chunk = rows.reward.shape[0]
    offset = jnp.arange(chunk, dtype=jnp.int32)
    slot = (ring.added + offset) % ring.capacity
    slot = jnp.where(offset < count, slot, ring.capacity)  # padding falls outside and is dropped
    written = jax.tree.map(lambda old, new: old.at[slot].set(new, mode="drop"), ring.rows, rows)
    return Ring(written, ring.added + count)


def add(ring: Ring, rows: Batch, chunk: int = 256) -> Ring:
    """Append rows [N] of NumPy arrays; the old ring is donated.

    Fixed chunks, so that N never causes a compilation; N = 0 compiles what later calls run, and adds nothing.
    """
    chunk = min(chunk, ring.capacity)  # two rows of one chunk for one slot would be written in no certain order
    n = len(rows.reward)
    for start in range(0, max(n, 1), chunk):
        part = Batch(*(np.asarray(column[start : start + chunk], np.float32) for column in rows))
        count = len(part.reward)
        padded = Batch(*(np.pad(c, [(0, chunk - count)] + [(0, 0)] * (c.ndim - 1)) for c in part))
        ring = _insert(ring, padded, np.int32(count))
    return ring


def draw(ring: Ring, key: jax.Array, count: int) -> Batch:
    """`count` rows, uniform with replacement. Inside a jit; an empty ring gives its zero row."""
    index = draw_index(key, ring.size, count)
    return Batch(*(column[index] for column in ring.rows))


def draw_index(key: jax.Array, size: jax.Array, count: int) -> jax.Array:
    """[count] int32, the slots that `draw` takes from a ring with `size` rows filled."""
    return jax.random.randint(key, (count,), 0, jnp.maximum(size, 1))


def draw_symmetric(demos: Ring, live: Ring | Batch, key: jax.Array, batch_size: int, demo_rows: int) -> Batch:
    """One minibatch [B] with exactly `demo_rows` demonstration rows (RLPD, section 4.1), the others live.

    `live` may be the drawn rows [B - demo_rows] themselves, where the ring is in the host's memory.
    """
    demo_key, live_key = jax.random.split(key)
    if demo_rows == batch_size:
        return draw(demos, demo_key, batch_size)
    drawn = draw(live, live_key, batch_size - demo_rows) if isinstance(live, Ring) else live
    if demo_rows == 0:
        return drawn
    halves = draw(demos, demo_key, demo_rows), drawn
    return Batch(*(jnp.concatenate(columns) for columns in zip(*halves, strict=True)))
