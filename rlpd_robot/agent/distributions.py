"""The tanh-squashed diagonal Gaussian of SAC (Haarnoja et al. 2018, arXiv:1812.05905, appendix C)."""

import jax
import jax.numpy as jnp

LOG_STD_MIN = -20.0
LOG_STD_MAX = 2.0

ACTION_LIMIT = 0.999
"""Beyond it, actions that were not drawn here count as this: where the tanh saturates they would lie at infinity."""


def sample_and_log_prob(key: jax.Array, mean: jax.Array, log_std: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw tanh(mean + std · ε) and its log density.

    Args:
        key: random key.
        mean, log_std: (…, A), of the Gaussian before the tanh.

    Returns:
        action (…, A) in (-1, 1) and log density (…), [nat].
    """
    noise = jax.random.normal(key, mean.shape)
    raw = mean + jnp.exp(log_std) * noise
    gaussian, squash = _densities(noise, raw, log_std)
    return jnp.tanh(raw), jnp.sum(gaussian - squash, axis=-1)


def log_prob(action: jax.Array, mean: jax.Array, log_std: jax.Array) -> jax.Array:
    """Log density (…) [nat] of given actions (…, A) in [-1, 1]."""
    raw = jnp.arctanh(jnp.clip(action, -ACTION_LIMIT, ACTION_LIMIT))
    gaussian, squash = _densities((raw - mean) * jnp.exp(-log_std), raw, log_std)
    return jnp.sum(gaussian - squash, axis=-1)


def _densities(noise: jax.Array, raw: jax.Array, log_std: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log density (…, A) before the tanh, and log of the tanh's derivative, by which it stretches."""
    gaussian = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi)
    # log(1 - tanh(x)^2) in a form that does not lose its digits where tanh saturates.
    squash = 2.0 * (jnp.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
    return gaussian, squash
