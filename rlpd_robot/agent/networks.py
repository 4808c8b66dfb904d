"""Actor and critic ensemble, as in the reference implementation of RLPD: Dense, LayerNorm (critics), ReLU.

The ensemble is one set of arrays with a leading E, so that each layer is one batched matrix product.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import LOG_STD_MAX, LOG_STD_MIN

Params = Any  # a pytree of arrays, as Flax makes it
Initialiser = Callable[..., jax.Array]

xavier = nn.initializers.xavier_uniform()
ensemble_xavier = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", batch_axis=(0,))


class Actor(nn.Module):
    """(…, O) → mean and log standard deviation (…, A) of the Gaussian before the tanh. No LayerNorm."""

    action_size: int
    hidden_layers: int
    hidden_width: int
    initial_log_std: float

    @nn.compact
    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = observation
        for i in range(self.hidden_layers):
            x = nn.relu(nn.Dense(self.hidden_width, kernel_init=xavier, name=f"dense_{i}")(x))
        mean = nn.Dense(self.action_size, kernel_init=xavier, name="mean")(x)
        # The offset sits in the bias, so that an exported policy needs no further constant.
        offset = nn.initializers.constant(self.initial_log_std)
        log_std = nn.Dense(self.action_size, kernel_init=xavier, bias_init=offset, name="log_std")(x)
        return mean, jnp.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)


class EnsembleDense(nn.Module):
    """E dense layers at once: (B, I) or (E, B, I) → (E, B, width)."""

    ensemble: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", ensemble_xavier, (self.ensemble, x.shape[-1], self.width))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.ensemble, 1, self.width))
        spec = "bi,eio->ebo" if x.ndim == 2 else "ebi,eio->ebo"
        return jnp.einsum(spec, x, kernel) + bias


class EnsembleLayerNorm(nn.Module):
    """LayerNorm over the last axis, with a scale and a bias for each member of the ensemble."""

    ensemble: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.ensemble, 1, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + 1e-6) * scale + bias


class Critics(nn.Module):
    """(B, O), (B, A) → (E, B) action values.

    LayerNorm bounds the value of actions far from the data by the norm of the last layer's weights (section 4.2).
    """

    ensemble: int
    hidden_layers: int
    hidden_width: int
    layer_norm: bool
    dropout_rate: float

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array, deterministic: bool = True) -> jax.Array:
        x = jnp.concatenate([observation, action], axis=-1)
        for i in range(self.hidden_layers):
            x = EnsembleDense(self.ensemble, self.hidden_width, name=f"dense_{i}")(x)
            if self.dropout_rate > 0.0:  # before LayerNorm, as in DroQ (Hiraoka et al. 2022, arXiv:2110.02034)
                x = nn.Dropout(self.dropout_rate, deterministic=deterministic)(x)
            if self.layer_norm:
                x = EnsembleLayerNorm(self.ensemble, name=f"norm_{i}")(x)
            x = nn.relu(x)
        return EnsembleDense(self.ensemble, 1, name="value")(x)[..., 0]


def make_actor(config: AgentConfig, action_size: int) -> Actor:
    """The actor of these settings."""
    return Actor(action_size, config.hidden_layers, config.hidden_width, config.initial_log_std)


def make_critics(config: AgentConfig, ensemble: int) -> Critics:
    """`ensemble` critics of these settings: all E of them, or a target subset."""
    dropout_rate = config.dropout_rate if config.regulariser == "dropout" else 0.0
    return Critics(ensemble, config.hidden_layers, config.hidden_width, config.layer_norm, dropout_rate)


def act(config: AgentConfig, actor: Params, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation (…, A) before the tanh, of observations (…, O)."""
    network = make_actor(config, actor["mean"]["bias"].shape[-1])
    output: tuple[jax.Array, jax.Array] = network.apply({"params": actor}, observation)  # type: ignore[assignment]
    return output


def evaluate(
    config: AgentConfig, critics: Params, observation: jax.Array, action: jax.Array, dropout_key: jax.Array
) -> jax.Array:
    """(B, O), (B, A) → (E, B) values of as many critics as `critics` holds. Dropout is live when it is configured."""
    network = make_critics(config, critics["value"]["bias"].shape[0])
    values: jax.Array = network.apply(  # type: ignore[assignment]
        {"params": critics}, observation, action, deterministic=False, rngs={"dropout": dropout_key}
    )
    return values
