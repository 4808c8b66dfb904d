"""Layers of an ensemble: one set of arrays with a leading E, so that each layer is one batched matrix product."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlpd_robot.agent.categorical import starting_logits
from rlpd_robot.agent.value_support import ValueSupport

Initialiser = Callable[..., jax.Array]

LAYER_NORM_EPSILON = 1e-6

ensemble_xavier = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", batch_axis=(0,))


class EnsembleDense(nn.Module):
    """E dense layers at once, as one batch of products: (E, B, I) → (E, B, width).

    Attributes:
        rounded: whether the factors are rounded, as `rounded_product` does.
    """

    width: int
    kernel_init: Initialiser = ensemble_xavier
    bias_init: Initialiser = nn.initializers.zeros_init()
    rounded: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        E, _, inputs = x.shape
        kernel = self.param("kernel", self.kernel_init, (E, inputs, self.width))
        bias = self.param("bias", self.bias_init, (E, 1, self.width))
        return (rounded_product(x, kernel) if self.rounded else x @ kernel) + bias


class EnsembleNormRelu(nn.Module):
    """LayerNorm over the last axis, with a scale and a bias for each member of the ensemble, and ReLU."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[0], 1, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        return norm_relu(x, scale, bias)


class EnsembleNorm(nn.Module):
    """LayerNorm over the last axis, with a scale and a bias for each member of the ensemble."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[0], 1, x.shape[-1])
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + LAYER_NORM_EPSILON) * scale + bias


def value_head(support: ValueSupport | None, x: jax.Array) -> jax.Array:
    """The last layer, "value", of the module that calls it: (E, B, width) → (E, B) values, or (E, B, K) logits."""
    if support is None:
        return EnsembleDense(1, name="value")(x)[..., 0]

    def start(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return jnp.broadcast_to(starting_logits(support), shape)

    return EnsembleDense(support.bins, bias_init=start, name="value")(x)


@jax.custom_vjp
def rounded_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(…, B, I) by (…, I, O) → (…, B, O), factors rounded to bfloat16, products summed in float32.

    Its derivative is written out, so that the two products on the way back have such factors, too.
    """
    return _rounded_product(x, kernel)


def _rounded_product(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x.astype(jnp.bfloat16), y.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def _rounded_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _rounded_product(x, kernel), (x, kernel)


def _rounded_backward(kept: tuple[jax.Array, jax.Array], upstream: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    return _rounded_product(upstream, jnp.swapaxes(kernel, -1, -2)), _rounded_product(jnp.swapaxes(x, -1, -2), upstream)


rounded_product.defvjp(_rounded_forward, _rounded_backward)


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
