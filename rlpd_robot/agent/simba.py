"""SimBa critics: a network in which simple functions are the easy ones, so that it can be made larger.

Source: Lee et al. 2024, "SimBa: simplicity bias for scaling up parameters in deep reinforcement learning",
arXiv:2410.09754, section 4: observations normalised by running statistics, then residual blocks that begin with
LayerNorm, each an inverted bottleneck of four times the width, and a LayerNorm before the last layer.

Two things are not the paper's. The actor stays the plain network that a robot runs in NumPy. And statistics are those
of the observations in the critics' minibatches, prior data in its share included, not of the observations acted upon:
it is there that the critics are asked.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlpd_robot.agent.layers import EnsembleDense, EnsembleNorm, value_head
from rlpd_robot.agent.value_support import ValueSupport

EXPANSION = 4
"""Widths of a block's inner layer (section 4.2)."""

VARIANCE_EPSILON = 1e-6
"""Added to an observation's variance. The authors' code has 1e-8, for which an element that has hardly moved yet, as a
joint at its stop, would be a thousand times larger once it moves."""

ensemble_he = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal", batch_axis=(0,))


class RunningNorm(nn.Module):
    """(E, B, O) less its running mean, over its running standard deviation (section 4.1, RSNorm).

    The statistics lie among the critics' parameters, once for each member, so that whoever has some of the critics has
    all that they need. They have no gradient; `observe` moves them.
    """

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        E, _, size = observation.shape
        mean = self.param("mean", nn.initializers.zeros_init(), (E, 1, size))
        variance = self.param("variance", nn.initializers.ones_init(), (E, 1, size))
        self.param("count", nn.initializers.zeros_init(), (E, 1, 1))
        mean, variance = jax.lax.stop_gradient((mean, variance))
        return (observation - mean) * jax.lax.rsqrt(variance + VARIANCE_EPSILON)


class SimbaCritics(nn.Module):
    """(B, O), (B, A) → (E, B) action values, or (E, B, K) logits of their categories.

    Attributes:
        blocks: residual ones; the settings' hidden layers.
        width: of the residual stream.
    """

    ensemble: int
    blocks: int
    width: int
    support: ValueSupport | None = None
    rounded: bool = False

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array, deterministic: bool = True) -> jax.Array:
        observation, action = (jnp.broadcast_to(x, (self.ensemble, *x.shape)) for x in (observation, action))
        x = jnp.concatenate([RunningNorm(name="observation")(observation), action], axis=-1)
        x = EnsembleDense(self.width, rounded=self.rounded, name="embed")(x)
        for i in range(self.blocks):
            inner = EnsembleNorm(name=f"norm_{i}")(x)
            wide, narrow = f"expand_{i}", f"contract_{i}"
            inner = EnsembleDense(EXPANSION * self.width, ensemble_he, rounded=self.rounded, name=wide)(inner)
            x = x + EnsembleDense(self.width, ensemble_he, rounded=self.rounded, name=narrow)(nn.relu(inner))
        return value_head(self.support, EnsembleNorm(name="norm_out")(x))


def observe(statistics: Any, observation: jax.Array) -> Any:
    """Statistics of `RunningNorm` that count (B, O) more observations.

    Mean and variance of all rows so far, in the form that combines two sets of rows (Chan, Golub and LeVeque 1979);
    for one row at a time it is the paper's.
    """
    rows, count = observation.shape[0], statistics["count"]
    mean, variance = jnp.mean(observation, axis=0)[None, None], jnp.var(observation, axis=0)[None, None]
    total = count + rows
    apart = mean - statistics["mean"]
    share = rows / total
    return {
        "mean": statistics["mean"] + share * apart,
        "variance": (1.0 - share) * statistics["variance"]
        + share * variance
        + share * (1.0 - share) * jnp.square(apart),
        "count": total,
    }
