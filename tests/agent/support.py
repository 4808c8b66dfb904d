"""Tiny agents with known numbers, and the way from the JAX agent's values to the reference's."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import Params
from rlpd_robot.agent.ring import Ring, add, make_ring
from rlpd_robot.agent.state import AgentState, fresh_state
from rlpd_robot.types import Batch
from tests.agent import reference as ref

OBS, ACT = 3, 2  # observation and action sizes


def tiny(**settings: Any) -> AgentConfig:
    """The paper's Adroit settings on networks of five units."""
    sizes = {"ensemble": 3, "utd": 4, "batch_size": 6, "hidden_layers": 2, "hidden_width": 5, "random_steps": 0}
    return AgentConfig(**{**sizes, **settings})


def make_state(config: AgentConfig, seed: int = 0, dtype: Any = np.float32, clipped: bool = False) -> AgentState:
    """An agent whose every parameter, biases and scales too, is a random number; nothing is compiled for it.

    `clipped` pushes the first action's log standard deviation about its upper limit, so that some rows are clipped.
    """
    shapes = jax.eval_shape(partial(fresh_state, config, OBS, ACT, seed))
    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> Any:
        return jnp.asarray(rng.normal(0.1, 0.6, leaf.shape).astype(dtype))

    def zero(leaf: Any) -> Any:
        return jnp.asarray(np.zeros(leaf.shape, leaf.dtype if jnp.issubdtype(leaf.dtype, jnp.integer) else dtype))

    def networks(tree: Params) -> Params:
        return jax.tree.map(draw, tree)

    actor = networks(shapes.actor)
    if clipped:
        actor["log_std"]["bias"] = jnp.asarray(np.array([2.5, -0.5], dtype))
    value = None if shapes.value is None else networks(shapes.value)
    proposal = None if shapes.proposal is None else networks(shapes.proposal)
    density = None if shapes.density is None else networks(shapes.density)
    optimisers = (shapes.actor_optimiser, shapes.critic_optimiser, shapes.temperature_optimiser)
    return AgentState(
        actor,
        networks(shapes.critics),
        networks(shapes.target_critics),
        jnp.asarray(np.array(np.log(config.initial_temperature), dtype)),
        *(jax.tree.map(zero, optimiser) for optimiser in optimisers),
        key=jax.random.key(seed),
        critic_updates=jnp.int32(0),
        actor_updates=jnp.int32(0),
        value=value,
        value_optimiser=jax.tree.map(zero, shapes.value_optimiser),
        proposal=proposal,
        density=density,
        density_optimiser=jax.tree.map(zero, shapes.density_optimiser),
    )


def random_batch(seed: int, *lead: int, dtype: Any = np.float32) -> Batch:
    """Rows with leading dimensions `lead`, about a third of them terminal and half of them demonstrations."""
    rng = np.random.default_rng(seed)
    return Batch(
        observation=rng.normal(size=(*lead, OBS)).astype(dtype),
        action=rng.uniform(-1, 1, (*lead, ACT)).astype(dtype),
        reward=rng.normal(size=lead).astype(dtype),
        next_observation=rng.normal(size=(*lead, OBS)).astype(dtype),
        bootstrap=(rng.random(lead) > 0.3).astype(dtype),
        is_demo=(rng.random(lead) > 0.5).astype(dtype),
    )


def filled_ring(rows: Batch, capacity: int | None = None) -> Ring:
    """A ring holding these rows [N]."""
    return add(make_ring(capacity or len(rows.reward), OBS, ACT), rows)


def same(left: Any, right: Any) -> bool:
    """Whether every leaf is equal, bit by bit."""
    return all(
        np.array_equal(raw(a), raw(b)) for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    )


def raw(leaf: Any) -> np.ndarray:
    """A leaf in NumPy; a random key as its words."""
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


# --- to the reference ---------------------------------------------------------------------------------------------


def reference_net(params: Params, member: int | None = None) -> ref.Net:
    """One network of the reference; of an ensemble, the given member."""

    def convert(array: Any, name: str) -> np.ndarray:
        values = np.asarray(array, np.float64)
        if member is None:
            return values
        return values[member] if name == "kernel" else values[member, 0]

    return {layer: {name: convert(a, name) for name, a in arrays.items()} for layer, arrays in params.items()}


def reference_ensemble(params: Params) -> list[ref.Net]:
    """All members."""
    return [reference_net(params, i) for i in range(params["value"]["bias"].shape[0])]


def reference_agent(state: AgentState) -> ref.Agent:
    """The reference's agent before its first step."""
    return ref.Agent(
        reference_net(state.actor),
        reference_ensemble(state.critics),
        reference_ensemble(state.target_critics),
        {"log": {"alpha": np.asarray(state.log_temperature, np.float64)}},
    )


def reference_settings(config: AgentConfig, value_weight: float = 1.0) -> ref.Settings:
    """The reference's settings."""
    return ref.Settings(
        discount=config.discount,
        target_rate=config.target_rate,
        actor_rate=config.actor_rate,
        critic_rate=config.critic_rate,
        temperature_rate=config.temperature_rate,
        target_entropy=-ACT / 2 if config.target_entropy is None else config.target_entropy,
        entropy_backup=config.entropy_backup,
        weight_decay=config.weight_decay if config.regulariser == "weight_decay" else 0.0,
        reward_scale=config.reward_scale,
        reward_offset=config.reward_offset,
        clone_weight=config.clone_weight,
        value_weight=value_weight,
    )


def minibatch(batch: Batch, u: int | None = None) -> ref.Minibatch:
    """Minibatch `u` of [U, B], or the whole of [B]."""
    return ref.Minibatch(*(np.asarray(column if u is None else column[u], np.float64) for column in batch))


def target_draws(config: AgentConfig, key: jax.Array, dtype: Any = jnp.float64) -> ref.CriticDraws:
    """What `target_values` draws from `key`."""
    action_key, subset_key, _ = jax.random.split(key, 3)
    noise = jax.random.normal(action_key, (config.batch_size, ACT), dtype)
    subset = range(config.ensemble)
    if config.target_subset < config.ensemble:
        subset = jax.random.choice(subset_key, config.ensemble, (config.target_subset,), replace=False).tolist()
    return ref.CriticDraws(np.asarray(noise, np.float64), subset)


def actor_noise(config: AgentConfig, key: jax.Array, dtype: Any = jnp.float64) -> np.ndarray:
    """What `actor_loss` draws from `key`."""
    action_key, _ = jax.random.split(key)
    return np.asarray(jax.random.normal(action_key, (config.batch_size, ACT), dtype), np.float64)


def update_draws(
    config: AgentConfig, key: jax.Array, updates: int, dtype: Any = jnp.float64
) -> tuple[list[ref.CriticDraws], np.ndarray]:
    """What `update` draws from a state's key: of each critic step, and of the actor step."""
    draws = []
    for _ in range(updates):
        key, target_key, _ = jax.random.split(key, 3)
        draws.append(target_draws(config, target_key, dtype))
    _, loss_key = jax.random.split(key)
    return draws, actor_noise(config, loss_key, dtype)
