"""One super-step of RLPD (arXiv:2302.02948, Algorithm 1 l.9–20): U critic steps, then one actor and temperature step.

`update` takes the minibatches, `update_from_rings` draws them on the device inside the scan; both run the same steps.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rlpd_robot.agent import balanced, conservative, iql
from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import sample_and_log_prob
from rlpd_robot.agent.layout import ONE_DEVICE, Layout
from rlpd_robot.agent.losses import (
    Metrics,
    actor_loss,
    cloning_error,
    critic_loss,
    target_values,
    temperature_loss,
)
from rlpd_robot.agent.networks import Params, act
from rlpd_robot.agent.ring import Ring, draw, draw_index, draw_symmetric
from rlpd_robot.agent.simba import observe
from rlpd_robot.agent.state import AgentState, make_optimisers
from rlpd_robot.types import Batch


def critic_step(config: AgentConfig, state: AgentState, batch: Batch) -> tuple[AgentState, Metrics]:
    """One gradient step of all critics on one minibatch [B], and of the target average."""
    if config.critic == "simba":
        state = see(state, batch.observation)
    key, target_key, dropout_key = jax.random.split(state.key, 3)
    value_metrics: Metrics = {}
    if config.algorithm == "iql":
        state, targets, value_metrics = iql.value_step(config, state, batch, target_key)
    else:
        networks = state.actor, state.target_critics, state.log_temperature
        targets = target_values(config, *networks, batch, target_key, state.proposal)
    loss = partial(conservative.critic_loss, actor=state.actor) if config.conservative_weight else critic_loss
    gradient, metrics = jax.grad(loss, argnums=1, has_aux=True)(config, state.critics, batch, targets, dropout_key)
    return move_critics(config, state._replace(key=key), gradient), metrics | value_metrics


def see(state: AgentState, observation: jax.Array) -> AgentState:
    """Have SimBa critics and their targets, which go by the same statistics, count these observations (B, O)."""
    counted = {"observation": observe(state.critics["observation"], observation)}
    return state._replace(critics=state.critics | counted, target_critics=state.target_critics | counted)


def move_critics(config: AgentConfig, state: AgentState, gradient: Params) -> AgentState:
    """Adam's step of all critics, and of the target average."""
    step, optimiser = make_optimisers(config).critic.update(gradient, state.critic_optimiser, state.critics)
    critics = optax.apply_updates(state.critics, step)
    return state._replace(
        critics=critics,
        target_critics=average_of(state.target_critics, critics, config.target_rate),
        critic_optimiser=optimiser,
        critic_updates=state.critic_updates + 1,
    )


def actor_step(
    config: AgentConfig,
    state: AgentState,
    batch: Batch,
    clone_weight: jax.Array | float,
    value_weight: jax.Array | float = 1.0,
) -> tuple[AgentState, Metrics]:
    """One gradient step of the actor, then of the temperature, on one minibatch [B]."""
    if config.algorithm == "iql":
        return iql.actor_step(config, state, batch)
    key, loss_key = jax.random.split(state.key)
    gradient, metrics = jax.grad(actor_loss, argnums=1, has_aux=True)(
        config, state.actor, state.critics, state.log_temperature, clone_weight, batch, loss_key, value_weight
    )
    optimisers = make_optimisers(config)
    step, actor_optimiser = optimisers.actor.update(gradient, state.actor_optimiser, state.actor)
    temperature_gradient = jax.grad(temperature_loss)(
        state.log_temperature, metrics["entropy"], target_entropy(config, batch.action.shape[-1])
    )
    temperature_step, temperature_optimiser = optimisers.temperature.update(
        temperature_gradient, state.temperature_optimiser, state.log_temperature
    )
    log_temperature = optax.apply_updates(state.log_temperature, temperature_step)
    return state._replace(
        actor=optax.apply_updates(state.actor, step),
        log_temperature=log_temperature,
        actor_optimiser=actor_optimiser,
        temperature_optimiser=temperature_optimiser,
        key=key,
        actor_updates=state.actor_updates + 1,
    ), metrics | {"temperature": jnp.exp(log_temperature)}


def target_entropy(config: AgentConfig, action_size: int) -> float:
    """[nat]; the paper's −A/2 unless set; A counts all actions of a chunk."""
    return -action_size / 2 if config.target_entropy is None else config.chunk * config.target_entropy


@partial(jax.jit, static_argnums=2, donate_argnums=0)
def update(
    state: AgentState,
    batches: Batch,
    config: AgentConfig,
    clone_weight: jax.Array | float = 0.0,
    value_weight: jax.Array | float = 1.0,
) -> tuple[AgentState, Metrics]:
    """U critic steps on minibatches [U, B], then one actor and temperature step on the last one. `state` is donated."""
    state, metrics = jax.lax.scan(partial(critic_step, config), state, batches)
    last = jax.tree.map(lambda column: column[-1], batches)
    state, actor_metrics = actor_step(config, state, last, clone_weight, value_weight)
    return state, jax.tree.map(jnp.mean, metrics) | actor_metrics


@partial(jax.jit, static_argnums=(4, 5, 7), donate_argnums=0)
def update_from_rings(
    state: AgentState,
    demos: Ring,
    live: Ring | Batch,
    clone_weight: jax.Array | float,
    config: AgentConfig,
    demo_rows: int,
    value_weight: jax.Array | float = 1.0,
    layout: Layout = ONE_DEVICE,
) -> tuple[AgentState, Metrics]:
    """As `update`, each minibatch drawn on the device with exactly `demo_rows` demonstration rows.

    `live` may be rows [U, B - demo_rows] instead, which `live_slots` has drawn from a ring in the host's memory: with
    the state's key, the result is the same.
    """
    drawn = None if isinstance(live, Ring) else live

    def draw_and_step(carry: tuple[AgentState, Batch], rows: Batch | None) -> tuple[tuple[AgentState, Batch], Metrics]:
        state, _unused = carry
        key, draw_key = jax.random.split(state.key)
        batch = draw_symmetric(demos, live if rows is None else rows, draw_key, config.batch_size, demo_rows)
        drawn_metrics: Metrics = {}
        if config.prior == "balanced" and demo_rows < config.batch_size:
            state, batch, drawn_metrics = balanced.draw_balanced(config, state, demos, batch, draw_key)
        batch = layout.divide(batch)
        state, metrics = critic_step(config, state._replace(key=key), batch)
        return (layout.keep_state(state), batch), metrics | drawn_metrics

    empty: Any = jax.tree.map(lambda c: jnp.zeros((config.batch_size, *c.shape[1:]), c.dtype), demos.rows)
    (state, last), metrics = jax.lax.scan(
        draw_and_step, (state, layout.divide(empty)), drawn, length=config.utd, unroll=layout.unroll
    )
    state, actor_metrics = actor_step(config, state, last, clone_weight, value_weight)
    return layout.keep_state(state), jax.tree.map(jnp.mean, metrics) | actor_metrics


@partial(jax.jit, static_argnums=(2, 3))
def live_slots(key: jax.Array, size: jax.Array, config: AgentConfig, demo_rows: int) -> tuple[jax.Array, jax.Array]:
    """The slots [U, B - demo_rows] of the live ring that the next super-step draws, and the key it leaves behind.

    It follows the key through `update_from_rings`, `critic_step` and `actor_step`, so that minibatches can be fetched
    while the super-step before is still under way.
    """

    def one(key: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        key, draw_key = jax.random.split(key)
        _, live_key = jax.random.split(draw_key)
        return jax.random.split(key, 3)[0], draw_index(live_key, size, config.batch_size - demo_rows)

    key, slots = jax.lax.scan(one, key, None, length=config.utd)
    return slots, jax.random.split(key)[0]


@partial(jax.jit, donate_argnums=0)
def average(old: Params, new: Params, share: jax.Array | float) -> Params:
    """Running average of parameters, exactly `new` at share 1; `old` is donated."""
    return average_of(old, new, share)


def average_of(old: Params, new: Params, share: jax.Array | float) -> Params:
    """(1 - share) · old + share · new."""
    return jax.tree.map(lambda a, b: (1.0 - share) * a + share * b, old, new)


CLONE_STEPS = 100  # per dispatch of `clone`


@partial(jax.jit, static_argnums=2, donate_argnums=0)
def clone(state: AgentState, demos: Ring, config: AgentConfig) -> tuple[AgentState, Metrics]:
    """`CLONE_STEPS` behaviour-cloning steps of the actor on demonstration minibatches (beyond the paper)."""

    def loss(actor: Any, batch: Batch, key: jax.Array) -> jax.Array:
        action, _ = sample_and_log_prob(key, *act(config, actor, batch.observation))
        return cloning_error(action, batch)

    def step(state: AgentState, _: None) -> tuple[AgentState, jax.Array]:
        key, draw_key, loss_key = jax.random.split(state.key, 3)
        batch = draw(demos, draw_key, config.batch_size)
        value, gradient = jax.value_and_grad(loss)(state.actor, batch, loss_key)
        change, optimiser = make_optimisers(config).actor.update(gradient, state.actor_optimiser, state.actor)
        return state._replace(actor=optax.apply_updates(state.actor, change), actor_optimiser=optimiser, key=key), value

    state, errors = jax.lax.scan(step, state, None, length=CLONE_STEPS)
    return state, {"clone_error": jnp.mean(errors)}
