"""Adam (Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1), with decoupled weight decay of kernels (AdamW) where asked.

One expression for each array, from which XLA makes as few passes over the memory as it can.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rlpd_robot.agent.networks import Params

DECAY_1, DECAY_2, EPSILON = 0.9, 0.999, 1e-8


class Moments(NamedTuple):
    """Running averages of a gradient.

    Attributes:
        count: () int32, steps made.
        mu: of the gradient, shaped as the parameters.
        nu: of its square.
    """

    count: jax.Array  # type: ignore[assignment]  # tuples have a method of that name
    mu: Params
    nu: Params


def fresh(params: Params) -> Moments:
    """Before the first step."""
    return Moments(jnp.int32(0), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))


def step(
    rate: float, gradient: Params, moments: Moments, params: Params, weight_decay: float = 0.0
) -> tuple[Params, Moments]:
    """One step down the gradient: new parameters and moments. Only arrays named "kernel" decay."""
    count = moments.count + 1
    t = count.astype(jax.tree.leaves(params)[0].dtype)
    scale_1, scale_2 = 1.0 / (1.0 - DECAY_1**t), 1.0 / (1.0 - DECAY_2**t)
    mu = jax.tree.map(lambda m, g: DECAY_1 * m + (1.0 - DECAY_1) * g, moments.mu, gradient)
    nu = jax.tree.map(lambda v, g: DECAY_2 * v + (1.0 - DECAY_2) * jnp.square(g), moments.nu, gradient)

    def moved(path: Any, p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        change = scale_1 * m / (jnp.sqrt(scale_2 * v) + EPSILON)
        decays = weight_decay > 0.0 and path[-1].key == "kernel"
        return p - rate * (change + weight_decay * p if decays else change)

    return jax.tree_util.tree_map_with_path(moved, params, mu, nu), Moments(count, mu, nu)
