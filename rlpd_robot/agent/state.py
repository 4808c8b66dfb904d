"""All that learning carries from one update to the next, as one pytree."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlpd_robot.agent import adam
from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import Params, init_actor, init_critics

Optimiser = tuple[adam.Moments]
"""Adam's moments; a tuple of one, since checkpoints name them so."""


class AgentState(NamedTuple):
    """Networks, optimisers, random key and counters.

    Attributes:
        actor, critics, target_critics: parameters; critics have a leading E.
        log_temperature: () log α.
        actor_optimiser, critic_optimiser, temperature_optimiser: Adam's moments.
        key: random key, split at each update.
        critic_updates: () int32, critic steps made so far.
        actor_updates: () int32, actor (and temperature) steps made so far.
    """

    actor: Params
    critics: Params
    target_critics: Params
    log_temperature: jax.Array
    actor_optimiser: Optimiser
    critic_optimiser: Optimiser
    temperature_optimiser: Optimiser
    key: jax.Array
    critic_updates: jax.Array
    actor_updates: jax.Array


def init_state(config: AgentConfig, observation_size: int, action_size: int, seed: int) -> AgentState:
    """A fresh agent for observations (O,) and actions (A,); targets start equal to the critics."""
    state: AgentState = _init(config, observation_size, action_size, jax.random.key(seed))
    return state


@partial(jax.jit, static_argnums=(0, 1, 2))  # one compilation: operation by operation it would be dozens, and seconds
def _init(config: AgentConfig, observation_size: int, action_size: int, key: jax.Array) -> AgentState:
    key, actor_key, critic_key = jax.random.split(key, 3)
    actor = init_actor(config, actor_key, observation_size, action_size)
    critics = init_critics(config, critic_key, observation_size, action_size)
    log_temperature = jnp.log(jnp.float32(config.initial_temperature))
    return AgentState(
        actor=actor,
        critics=critics,
        target_critics=jax.tree.map(jnp.copy, critics),
        log_temperature=log_temperature,
        actor_optimiser=(adam.fresh(actor),),
        critic_optimiser=(adam.fresh(critics),),
        temperature_optimiser=(adam.fresh(log_temperature),),
        key=key,
        critic_updates=jnp.int32(0),
        actor_updates=jnp.int32(0),
    )
