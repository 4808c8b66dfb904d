"""Conservative critics: a penalty on values of actions that are not in the data, while critics are pre-trained on it.

Source: Kumar, Zhou, Tucker and Levine 2020, "Conservative Q-learning for offline reinforcement learning",
arXiv:2006.04779, eq. 4, with the importance sampling of its appendix F: as many actions drawn uniformly as from the
policy. Here for Off2On (Lee et al. 2021, arXiv:2107.00591, section 4.2), whose critics are such an ensemble, trained
beforehand with the penalty and fine-tuned without it. Not the authors': all critics have one actor and one set of
targets.
"""

import math

import jax
import jax.numpy as jnp

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import sample_and_log_prob
from rlpd_robot.agent.losses import Metrics
from rlpd_robot.agent.losses import critic_loss as plain_loss
from rlpd_robot.agent.networks import Params, act, evaluate
from rlpd_robot.types import Batch

SAMPLES = 10
"""Actions of either kind for each row, as in the authors' code."""


def critic_loss(
    config: AgentConfig, critics: Params, batch: Batch, targets: jax.Array, key: jax.Array, *, actor: Params
) -> tuple[jax.Array, Metrics]:
    """As `losses.critic_loss`, and the weighted penalty."""
    loss, metrics = plain_loss(config, critics, batch, targets, key)
    gap = value_gap(config, critics, actor, batch, jax.random.fold_in(key, 1))
    return loss + config.conservative_weight * gap, metrics | {"conservative_gap": gap}


def value_gap(config: AgentConfig, critics: Params, actor: Params, batch: Batch, key: jax.Array) -> jax.Array:
    """() by how much the soft maximum of the critics over actions exceeds their value of the data's; mean over E, B."""
    uniform_key, policy_key, dropout_key = jax.random.split(key, 3)
    B, A = batch.action.shape
    uniform = jax.random.uniform(uniform_key, (SAMPLES, B, A), minval=-1.0, maxval=1.0)
    mean, log_std = act(config, actor, batch.observation)
    spread = (SAMPLES, B, A)
    sampled, density = sample_and_log_prob(
        policy_key, jnp.broadcast_to(mean, spread), jnp.broadcast_to(log_std, spread)
    )
    actions = jax.lax.stop_gradient(jnp.concatenate([uniform, sampled]))
    densities = jax.lax.stop_gradient(jnp.concatenate([jnp.full((SAMPLES, B), -A * math.log(2.0)), density]))
    rows = jnp.broadcast_to(batch.observation, (2 * SAMPLES, *batch.observation.shape))
    flat = rows.reshape(-1, rows.shape[-1]), actions.reshape(-1, A)
    values = evaluate(config, critics, *flat, dropout_key).reshape(-1, 2 * SAMPLES, B)
    soft = jax.nn.logsumexp(values - densities[None], axis=1) - math.log(2 * SAMPLES)
    return jnp.mean(soft - evaluate(config, critics, batch.observation, batch.action, dropout_key))
