"""Actor and critic ensemble, as in the reference implementation of RLPD: Dense, LayerNorm (critics), ReLU.

Critics of another shape (beyond the paper) are chosen here: `simba`, and the categories of `categorical`.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rlpd_robot.agent.categorical import expected
from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import LOG_STD_MAX, LOG_STD_MIN
from rlpd_robot.agent.layers import EnsembleDense, EnsembleNormRelu, rounded_product, value_head
from rlpd_robot.agent.simba import SimbaCritics
from rlpd_robot.agent.value_support import ValueSupport

Params = Any  # a pytree of arrays, as Flax makes it

xavier = nn.initializers.xavier_uniform()


class Actor(nn.Module):
    """(…, O) → mean and log standard deviation (…, A) of the Gaussian before the tanh. No LayerNorm.

    With `rounded`, (B, O): the hidden layers' products are `rounded_product`.
    """

    action_size: int
    hidden_layers: int
    hidden_width: int
    initial_log_std: float
    rounded: bool = False

    @nn.compact
    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = observation
        product = _rounded if self.rounded else None
        for i in range(self.hidden_layers):
            x = nn.relu(nn.Dense(self.hidden_width, kernel_init=xavier, dot_general=product, name=f"dense_{i}")(x))
        mean = nn.Dense(self.action_size, kernel_init=xavier, name="mean")(x)
        # The offset sits in the bias, so that an exported policy needs no further constant.
        offset = nn.initializers.constant(self.initial_log_std)
        log_std = nn.Dense(self.action_size, kernel_init=xavier, bias_init=offset, name="log_std")(x)
        return mean, jnp.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)


class Critics(nn.Module):
    """(B, O), (B, A) → (E, B) action values, or (E, B, K) logits of their categories.

    LayerNorm bounds the value of actions far from the data by the norm of the last layer's weights (section 4.2).
    """

    ensemble: int
    hidden_layers: int
    hidden_width: int
    layer_norm: bool
    dropout_rate: float
    support: ValueSupport | None = None
    rounded: bool = False

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array, deterministic: bool = True) -> jax.Array:
        x = jnp.concatenate([observation, action], axis=-1)
        x = jnp.broadcast_to(x, (self.ensemble, *x.shape))  # else XLA transposes the first layer's kernels
        for i in range(self.hidden_layers):
            x = EnsembleDense(self.hidden_width, rounded=self.rounded, name=f"dense_{i}")(x)
            if self.dropout_rate > 0.0:  # before LayerNorm, as in DroQ (Hiraoka et al. 2022, arXiv:2110.02034)
                x = nn.Dropout(self.dropout_rate, deterministic=deterministic)(x)
            x = EnsembleNormRelu(name=f"norm_{i}")(x) if self.layer_norm else nn.relu(x)
        return value_head(self.support, x)


def make_actor(config: AgentConfig, action_size: int) -> Actor:
    """The actor of these settings."""
    sizes = action_size, config.hidden_layers, config.hidden_width
    return Actor(*sizes, config.initial_log_std, _is_rounded(config))


def make_critics(config: AgentConfig, ensemble: int) -> Critics | SimbaCritics:
    """`ensemble` critics of these settings: all E of them, or a target subset."""
    if config.critic == "simba":
        return SimbaCritics(ensemble, config.hidden_layers, config.hidden_width, config.support, _is_rounded(config))
    dropout_rate = config.dropout_rate if config.regulariser == "dropout" else 0.0
    sizes = ensemble, config.hidden_layers, config.hidden_width
    return Critics(*sizes, config.layer_norm, dropout_rate, config.support, _is_rounded(config))


def make_value(config: AgentConfig) -> Critics:
    """A value of observations alone: one critic of the paper's shape that is given no action."""
    sizes = 1, config.hidden_layers, config.hidden_width
    return Critics(*sizes, config.layer_norm, dropout_rate=0.0, rounded=_is_rounded(config))


def make_density(config: AgentConfig) -> Critics:
    """The logit of live data against prior data: one network of the paper's shape, without LayerNorm."""
    return Critics(1, config.hidden_layers, config.hidden_width, layer_norm=False, dropout_rate=0.0)


def value_of(config: AgentConfig, value: Params, observation: jax.Array) -> jax.Array:
    """(B, O) → (B,) values of observations."""
    said: jax.Array = make_value(config).apply({"params": value}, observation, observation[:, :0])  # type: ignore[assignment]
    return said[0]


def act(config: AgentConfig, actor: Params, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and log standard deviation (…, A) before the tanh, of observations (…, O)."""
    network = make_actor(config, actor["mean"]["bias"].shape[-1])
    output: tuple[jax.Array, jax.Array] = network.apply({"params": actor}, observation)  # type: ignore[assignment]
    return output


def evaluate(
    config: AgentConfig, critics: Params, observation: jax.Array, action: jax.Array, dropout_key: jax.Array
) -> jax.Array:
    """(B, O), (B, A) → (E, B) values of as many critics as `critics` holds. Dropout is live when it is configured."""
    said = heads(config, critics, observation, action, dropout_key)
    return said if config.support is None else expected(config.support, said)


def heads(
    config: AgentConfig, critics: Params, observation: jax.Array, action: jax.Array, dropout_key: jax.Array
) -> jax.Array:
    """As `evaluate`, but of categorical critics the logits (E, B, K)."""
    network = make_critics(config, critics["value"]["bias"].shape[0])
    said: jax.Array = network.apply(  # type: ignore[assignment]
        {"params": critics}, observation, action, deterministic=False, rngs={"dropout": dropout_key}
    )
    return said


def _is_rounded(config: AgentConfig) -> bool:
    return config.precision == "bfloat16"


def _rounded(x: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """As Flax wants it, who also says which axes to sum over: the last and the first."""
    return rounded_product(x, kernel)
