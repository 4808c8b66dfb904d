"""Actor and critic ensemble, as in the reference implementation of RLPD: Dense, LayerNorm (critics), ReLU.

Parameters are mappings by layer of mappings by name. The ensemble is one set of arrays with a leading E, so that each
layer is one batched matrix product. Plain functions: a library of layers would take longer to import than the first
update to compile.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import LOG_STD_MAX, LOG_STD_MIN

Params = Any  # a pytree of arrays: layer → name → array

LAYER_NORM_EPSILON = 1e-6


def init_actor(config: AgentConfig, key: jax.Array, observation_size: int, action_size: int) -> Params:
    """A fresh actor; `initial_log_std` sits in a bias, so that an exported policy needs no further constant."""
    keys = iter(jax.random.split(key, config.hidden_layers + 2))
    sizes = [observation_size] + [config.hidden_width] * config.hidden_layers
    actor = {
        f"dense_{i}": _dense(next(keys), (sizes[i], sizes[i + 1]), (sizes[i + 1],)) for i in range(config.hidden_layers)
    }
    for name in ("mean", "log_std"):
        actor[name] = _dense(next(keys), (sizes[-1], action_size), (action_size,))
    actor["log_std"]["bias"] += config.initial_log_std
    return actor


def init_critics(config: AgentConfig, key: jax.Array, observation_size: int, action_size: int) -> Params:
    """All E critics, no two alike."""
    keys = iter(jax.random.split(key, config.hidden_layers + 1))
    E, sizes = config.ensemble, [observation_size + action_size] + [config.hidden_width] * config.hidden_layers
    critics = {}
    for i in range(config.hidden_layers):
        vector = (E, 1, sizes[i + 1])
        critics[f"dense_{i}"] = _dense(next(keys), (E, sizes[i], sizes[i + 1]), vector)
        if config.layer_norm:
            critics[f"norm_{i}"] = {"scale": jnp.ones(vector), "bias": jnp.zeros(vector)}
    critics["value"] = _dense(next(keys), (E, sizes[-1], 1), (E, 1, 1))
    return critics


def _dense(key: jax.Array, kernel: tuple[int, ...], bias: tuple[int, ...]) -> dict[str, jax.Array]:
    """Uniform kernels whose range follows the layer's inputs and outputs (Glorot and Bengio 2010, eq. 16), no bias."""
    limit = math.sqrt(6.0 / (kernel[-2] + kernel[-1]))
    return {"kernel": jax.random.uniform(key, kernel, minval=-limit, maxval=limit), "bias": jnp.zeros(bias)}


def act(config: AgentConfig, actor: Params, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation (…, A) before the tanh, of observations (…, O). No LayerNorm."""
    x = observation
    for i in range(config.hidden_layers):
        x = jax.nn.relu(_apply(actor[f"dense_{i}"], x))
    log_std = jnp.clip(_apply(actor["log_std"], x), LOG_STD_MIN, LOG_STD_MAX)
    return _apply(actor["mean"], x), log_std


def evaluate(
    config: AgentConfig, critics: Params, observation: jax.Array, action: jax.Array, dropout_key: jax.Array
) -> jax.Array:
    """(B, O), (B, A) → (E, B) values of as many critics as `critics` holds. Dropout is live when it is configured.

    LayerNorm bounds the value of actions far from the data by the norm of the last layer's weights (section 4.2).
    """
    E = critics["value"]["bias"].shape[0]
    x = jnp.concatenate([observation, action], axis=-1)
    x = jnp.broadcast_to(x, (E, *x.shape))
    for i in range(config.hidden_layers):
        x = _apply(critics[f"dense_{i}"], x)
        if config.regulariser == "dropout":  # before LayerNorm, as in DroQ (Hiraoka et al. 2022, arXiv:2110.02034)
            x = _dropout(jax.random.fold_in(dropout_key, i), x, config.dropout_rate)
        x = norm_relu(x, **critics[f"norm_{i}"]) if config.layer_norm else jax.nn.relu(x)
    return _apply(critics["value"], x)[..., 0]


def _apply(layer: Params, x: jax.Array) -> jax.Array:
    """x · kernel + bias, a leading E of both being a batch of products."""
    product: jax.Array = x @ layer["kernel"]
    bias = layer["bias"]
    return product + jnp.reshape(bias, (1,) * (product.ndim - bias.ndim) + bias.shape)


def _dropout(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    kept = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(kept, x / (1.0 - rate), 0.0)


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
