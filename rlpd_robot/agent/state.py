"""All that learning carries from one update to the next, as one pytree."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import Params, make_actor, make_critics, make_density, make_value


class AgentState(NamedTuple):
    """Networks, optimisers, random key and counters.

    Attributes:
        actor, critics, target_critics: parameters; critics have a leading E.
        log_temperature: () log α.
        actor_optimiser, critic_optimiser, temperature_optimiser: Adam's moments.
        key: random key, split at each update.
        critic_updates: () int32, critic steps made so far.
        actor_updates: () int32, actor (and temperature) steps made so far.
        value, value_optimiser: of observations alone, and Adam's moments, where IQL learns them; None otherwise.
        proposal: the actor as cloning left it, where its actions compete in the targets; None otherwise.
        density, density_optimiser: logit of live data against prior data, and Adam's moments, where they balance the
            replay; None otherwise.
    """

    actor: Params
    critics: Params
    target_critics: Params
    log_temperature: jax.Array
    actor_optimiser: Any
    critic_optimiser: Any
    temperature_optimiser: Any
    key: jax.Array
    critic_updates: jax.Array
    actor_updates: jax.Array
    value: Params | None = None
    value_optimiser: Any = None
    proposal: Params | None = None
    density: Params | None = None
    density_optimiser: Any = None


class Optimisers(NamedTuple):
    """The optax transformations."""

    actor: optax.GradientTransformation
    critic: optax.GradientTransformation
    value: optax.GradientTransformation
    temperature: optax.GradientTransformation


def make_optimisers(config: AgentConfig) -> Optimisers:
    """Adam for all; AdamW on the critics' kernels when weight decay regularises them."""
    critic = optax.adam(config.critic_rate)
    if config.regulariser == "weight_decay":
        critic = optax.adamw(config.critic_rate, weight_decay=config.weight_decay, mask=_kernels)
    plain = (optax.adam(rate) for rate in (config.critic_rate, config.temperature_rate))
    return Optimisers(optax.adam(config.actor_rate), critic, *plain)


def _kernels(params: Params) -> Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def init_state(config: AgentConfig, observation_size: int, action_size: int, seed: int) -> AgentState:
    """A fresh agent for observations (O,) and actions (A,); targets start equal to the critics."""
    state: AgentState = _init(config, observation_size, action_size, np.int64(seed))
    return state


def fresh_state(config: AgentConfig, observation_size: int, action_size: int, seed: jax.Array | int) -> AgentState:
    """As `init_state`, for use inside a jit or `jax.eval_shape`."""
    key, actor_key, critic_key = jax.random.split(jax.random.key(seed), 3)
    observation, action = jnp.zeros((1, observation_size)), jnp.zeros((1, action_size))
    actor = make_actor(config, action_size).init(actor_key, observation)["params"]
    critics = make_critics(config, config.ensemble).init(critic_key, observation, action)["params"]
    log_temperature = jnp.log(jnp.float32(config.initial_temperature))
    optimisers = make_optimisers(config)
    value = None
    if config.algorithm == "iql":
        value = make_value(config).init(jax.random.fold_in(key, 1), observation, action[:, :0])["params"]
    density = None
    if config.prior == "balanced":
        density = make_density(config).init(jax.random.fold_in(key, 2), observation, action)["params"]
    return AgentState(
        actor=actor,
        critics=critics,
        target_critics=jax.tree.map(jnp.copy, critics),
        log_temperature=log_temperature,
        actor_optimiser=optimisers.actor.init(actor),
        critic_optimiser=optimisers.critic.init(critics),
        temperature_optimiser=optimisers.temperature.init(log_temperature),
        key=key,
        critic_updates=jnp.int32(0),
        actor_updates=jnp.int32(0),
        value=value,
        value_optimiser=None if value is None else optimisers.value.init(value),
        proposal=jax.tree.map(jnp.copy, actor) if config.clone_proposals else None,
        density=density,
        density_optimiser=None if density is None else optimisers.value.init(density),
    )


# One compilation: operation by operation it would be dozens, and seconds. What runs once is compiled in a third of the
# time to slower code, which gives the same numbers.
_init = jax.jit(
    fresh_state,
    static_argnums=(0, 1, 2),
    compiler_options={"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
)
