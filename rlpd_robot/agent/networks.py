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

LAYER_NORM_EPSILON = 1e-6

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
    """E dense layers at once, as one batch of products: (E, B, I) → (E, B, width)."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        E, _, inputs = x.shape
        kernel = self.param("kernel", ensemble_xavier, (E, inputs, self.width))
        bias = self.param("bias", nn.initializers.zeros_init(), (E, 1, self.width))
        return x @ kernel + bias


class EnsembleNormRelu(nn.Module):
    """LayerNorm over the last axis, with a scale and a bias for each member of the ensemble, and ReLU."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[0], 1, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        return norm_relu(x, scale, bias)


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
        x = jnp.broadcast_to(x, (self.ensemble, *x.shape))  # else XLA transposes the first layer's kernels
        for i in range(self.hidden_layers):
            x = EnsembleDense(self.hidden_width, name=f"dense_{i}")(x)
            if self.dropout_rate > 0.0:  # before LayerNorm, as in DroQ (Hiraoka et al. 2022, arXiv:2110.02034)
                x = nn.Dropout(self.dropout_rate, deterministic=deterministic)(x)
            x = EnsembleNormRelu(name=f"norm_{i}")(x) if self.layer_norm else nn.relu(x)
        return EnsembleDense(1, name="value")(x)[..., 0]


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


@jax.custom_vjp
def norm_relu(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """ReLU of LayerNorm over the last axis: (E, B, width), and (E, 1, width) for each member's scale and bias.

    Its derivative is written out: what is kept for the way back is the input and two numbers a row, and everything else
    is computed from them where it is needed, in fewer passes over the activations than derived ones make.
    """
    return _norm_relu(x, scale, bias)[0]


def _norm_relu(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, Any]:
    mean = jnp.mean(x, axis=-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
    return jax.nn.relu((x - mean) * inverse * scale + bias), (x, mean, inverse, scale, bias)


def _norm_relu_backward(kept: Any, upstream: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, mean, inverse, scale, bias = kept
    standard = (x - mean) * inverse
    through = jnp.where(standard * scale + bias > 0.0, upstream, 0.0)
    inner = through * scale
    # Of the standardised row, the parts along the constant and along the row itself drop out.
    along = jnp.mean(inner * standard, axis=-1, keepdims=True)
    constant = jnp.mean(inner, axis=-1, keepdims=True)
    return (
        (inner - constant - standard * along) * inverse,
        jnp.sum(through * standard, axis=-2, keepdims=True),
        jnp.sum(through, axis=-2, keepdims=True),
    )


norm_relu.defvjp(_norm_relu, _norm_relu_backward)
