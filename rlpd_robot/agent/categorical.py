"""HL-Gauss: values as a distribution over categories, learned by cross-entropy.

Source: Farebrother et al. 2024, "Stop regressing: training value functions via classification for scalable deep RL",
arXiv:2403.03950, section 3.1; Imani and White 2018, arXiv:1806.04613. A value is the mean of its distribution; a target
is a Gaussian about the scalar target, cut into the categories.
"""

import jax
import jax.numpy as jnp

from rlpd_robot.agent.value_support import ValueSupport

_FLOOR = 0.01


def project(support: ValueSupport, targets: jax.Array) -> jax.Array:
    """Scalar targets (…) → probabilities (…, K): what a Gaussian about each has within each category.

    Targets outside the support's range count as its nearest end.
    """
    mean = jnp.clip(targets, support.low, support.high)[..., None]
    edges = jnp.asarray(support.edges, targets.dtype).reshape((1,) * targets.ndim + (-1,))
    below = jax.scipy.special.ndtr((edges - mean) / support.sigma)
    return (below[..., 1:] - below[..., :-1]) / (below[..., -1:] - below[..., :1])


def expected(support: ValueSupport, logits: jax.Array) -> jax.Array:
    """Logits (…, K) → values (…)."""
    return jax.nn.softmax(logits, axis=-1) @ jnp.asarray(support.centers, logits.dtype)


def cross_entropy(logits: jax.Array, probabilities: jax.Array) -> jax.Array:
    """(…, K) of both → (…) [nat]."""
    return -jnp.sum(probabilities * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def starting_logits(support: ValueSupport) -> jax.Array:
    """(K,) of a value of about 0, or of the nearest that is possible, as a scalar critic starts.

    Equal logits would start in the middle of the range, where every untried action looks good. A hundredth is left
    evenly for all categories, so that each can be learned.
    """
    return jnp.log((1.0 - _FLOOR) * project(support, jnp.zeros(())) + _FLOOR / support.bins)
