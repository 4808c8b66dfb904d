"""Implicit Q-learning, a baseline: critics never value an action that is not in the data.

Source: Kostrikov et al. 2021, "Offline reinforcement learning with implicit Q-learning", arXiv:2110.06169. Values of
observations are an upper expectile of the critics over the data's actions (eq. 5), critics bootstrap from them (eq. 6),
and the policy is cloned from the data with weights exp(β · advantage) (eq. 7). Its fine-tuning (section 5.3) is the
same, on a ring that was seeded with the prior data.

Not the authors': the policy is the tanh-Gaussian that robots run, with a state-dependent standard deviation and without
dropout, where theirs is a Gaussian about a tanh; and it follows after the critics' steps, once a super-step.
"""

import jax
import jax.numpy as jnp
import optax

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import log_prob
from rlpd_robot.agent.losses import Metrics, bootstrapped, draw_subset
from rlpd_robot.agent.networks import Params, act, evaluate, value_of
from rlpd_robot.agent.state import AgentState, make_optimisers
from rlpd_robot.types import Batch

LARGEST_WEIGHT = 100.0
"""Of one row in the policy's loss, as in the authors' code."""


def value_step(
    config: AgentConfig, state: AgentState, batch: Batch, key: jax.Array
) -> tuple[AgentState, jax.Array, Metrics]:
    """One gradient step of the values on one minibatch [B], and with them the targets (B,) of the critics."""
    wanted = _least(config, state, batch, key)
    loss, gradient = jax.value_and_grad(value_loss, argnums=1)(config, state.value, batch, wanted)
    step, optimiser = make_optimisers(config).value.update(gradient, state.value_optimiser, state.value)
    value = optax.apply_updates(state.value, step)
    targets = bootstrapped(config, batch, value_of(config, value, batch.next_observation))
    return state._replace(value=value, value_optimiser=optimiser), targets, {"value_loss": loss}


def value_loss(config: AgentConfig, value: Params, batch: Batch, wanted: jax.Array) -> jax.Array:
    """Expectile regression (eq. 5): squared errors to `wanted` (B,), τ times where it is above, 1 − τ where below."""
    error = wanted - value_of(config, value, batch.observation)
    return jnp.mean(jnp.where(error > 0.0, config.expectile, 1.0 - config.expectile) * jnp.square(error))


def actor_step(config: AgentConfig, state: AgentState, batch: Batch) -> tuple[AgentState, Metrics]:
    """One gradient step of the actor on one minibatch [B]. There is no temperature to learn."""
    key, loss_key = jax.random.split(state.key)
    assert state.value is not None
    advantage = _least(config, state, batch, loss_key) - value_of(config, state.value, batch.observation)
    weight = jnp.minimum(jnp.exp(config.advantage_scale * advantage), LARGEST_WEIGHT)
    gradient, metrics = jax.grad(actor_loss, argnums=1, has_aux=True)(config, state.actor, batch, weight)
    step, optimiser = make_optimisers(config).actor.update(gradient, state.actor_optimiser, state.actor)
    moved = state._replace(
        actor=optax.apply_updates(state.actor, step),
        actor_optimiser=optimiser,
        key=key,
        actor_updates=state.actor_updates + 1,
    )
    return moved, metrics | {"advantage": jnp.mean(advantage), "advantage_weight": jnp.mean(weight)}


def actor_loss(config: AgentConfig, actor: Params, batch: Batch, weight: jax.Array) -> tuple[jax.Array, Metrics]:
    """−weight · log π of the data's actions (eq. 7), mean over rows; weight (B,)."""
    mean, log_std = act(config, actor, batch.observation)
    loss = -jnp.mean(weight * log_prob(batch.action, mean, log_std))
    return loss, {"actor_loss": loss, "policy_std": jnp.mean(jnp.exp(log_std))}


def _least(config: AgentConfig, state: AgentState, batch: Batch, key: jax.Array) -> jax.Array:
    """(B,) the smallest of Z target critics' values of the data's own actions."""
    subset_key, dropout_key = jax.random.split(key)
    subset = draw_subset(config, state.target_critics, subset_key)
    return jnp.min(evaluate(config, subset, batch.observation, batch.action, dropout_key), axis=0)
