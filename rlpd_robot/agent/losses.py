"""The three losses of SAC with the paper's changes (RLPD, arXiv:2302.02948, Algorithm 1), and cloning.

Pure functions of parameters and one minibatch. Shapes: observation (B, O), action (B, A), reward (B,), bootstrap (B,).
"""

import jax
import jax.numpy as jnp

from rlpd_robot.agent.categorical import cross_entropy, expected, project
from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.distributions import sample_and_log_prob
from rlpd_robot.agent.networks import Params, act, evaluate, heads
from rlpd_robot.types import Batch

Metrics = dict[str, jax.Array]


def target_values(
    config: AgentConfig,
    actor: Params,
    target_critics: Params,
    log_temperature: jax.Array,
    batch: Batch,
    key: jax.Array,
    proposal: Params | None = None,
) -> jax.Array:
    """Targets (B,) of the critics: r + γ · bootstrap · (min over Z random targets − α log π), Alg. 1 l.12–14.

    The subset of Z is drawn *without* replacement, anew at each call. The entropy term counts only with
    `entropy_backup`. With a `proposal`, an actor beside this one, the better by the same critics of both next actions
    counts, the sampled one and the proposal's most likely one (Hu et al. 2023, "Imitation bootstrapped reinforcement
    learning", arXiv:2311.02198, section 4.1).
    """
    action_key, subset_key, dropout_key = jax.random.split(key, 3)
    mean, log_std = act(config, actor, batch.next_observation)
    next_action, next_log_prob = sample_and_log_prob(action_key, mean, log_std)
    subset = draw_subset(config, target_critics, subset_key)
    next_values = evaluate(config, subset, batch.next_observation, next_action, dropout_key)
    next_value = jnp.min(next_values, axis=0)
    if proposal is not None:
        proposed = jnp.tanh(act(config, proposal, batch.next_observation)[0])
        proposed_values = evaluate(config, subset, batch.next_observation, proposed, dropout_key)
        next_value = jnp.maximum(next_value, jnp.min(proposed_values, axis=0))
    if config.entropy_backup:
        next_value = next_value - jnp.exp(log_temperature) * next_log_prob
    return jax.lax.stop_gradient(bootstrapped(config, batch, next_value))


def draw_subset(config: AgentConfig, critics: Params, key: jax.Array) -> Params:
    """Z of the E critics, without replacement."""
    if config.target_subset == config.ensemble:
        return critics
    chosen = jax.random.choice(key, config.ensemble, (config.target_subset,), replace=False)
    return jax.tree.map(lambda leaf: leaf[chosen], critics)


def bootstrapped(config: AgentConfig, batch: Batch, next_value: jax.Array) -> jax.Array:
    """Reward as the learner sees it, and γ times the next value (B,) where that counts."""
    reward = config.reward_scale * (batch.reward + config.reward_offset)
    targets: jax.Array = reward + config.discount * batch.bootstrap * next_value
    return targets


def critic_loss(
    config: AgentConfig, critics: Params, batch: Batch, targets: jax.Array, key: jax.Array
) -> tuple[jax.Array, Metrics]:
    """Mean squared error of all E critics to the same targets (B,), Alg. 1 l.15; of categorical ones, cross-entropy."""
    values = said = heads(config, critics, batch.observation, batch.action, key)
    if config.support is None:
        loss = jnp.mean(jnp.square(values - targets[None]))
    else:
        values = expected(config.support, said)
        loss = jnp.mean(cross_entropy(said, project(config.support, targets)[None]))
    return loss, {
        "critic_loss": loss,
        "q": jnp.mean(values),
        "q_spread": jnp.mean(jnp.std(values, axis=0)),
        "target_q": jnp.mean(targets),
    }


def actor_loss(
    config: AgentConfig,
    actor: Params,
    critics: Params,
    log_temperature: jax.Array,
    clone_weight: jax.Array | float,
    batch: Batch,
    key: jax.Array,
    value_weight: jax.Array | float = 1.0,
) -> tuple[jax.Array, Metrics]:
    """α log π − *mean* over the ensemble of Q, Alg. 1 l.18; plus the weighted cloning term where it is on.

    `value_weight` is 1 but while the critics warm up (beyond the paper): at 0 the actor does not follow them.
    """
    action_key, dropout_key = jax.random.split(key)
    mean, log_std = act(config, actor, batch.observation)
    action, log_prob = sample_and_log_prob(action_key, mean, log_std)
    values = evaluate(config, critics, batch.observation, action, dropout_key)
    loss = jnp.mean(jnp.exp(log_temperature) * log_prob - value_weight * jnp.mean(values, axis=0))
    metrics = {
        "entropy": -jnp.mean(log_prob),
        "policy_q": jnp.mean(values),
        "policy_std": jnp.mean(jnp.exp(log_std)),
    }
    if config.clone_weight > 0.0:
        error = cloning_error(action, batch)
        loss = loss + clone_weight * error
        metrics["clone_error"] = error
    return loss, metrics | {"actor_loss": loss}


def cloning_error(action: jax.Array, batch: Batch) -> jax.Array:
    """Squared distance of sampled actions (B, A) to the demonstrated ones, summed over A, mean over demonstration rows.

    Samples, not the mean: the expectation is squared bias *plus variance*, so that cloning also makes the policy
    certain where the demonstrations are. With the mean alone the standard deviation is left to chance.
    """
    squared = jnp.sum(jnp.square(action - batch.action), axis=-1)
    return jnp.sum(squared * batch.is_demo) / jnp.maximum(jnp.sum(batch.is_demo), 1.0)


def temperature_loss(log_temperature: jax.Array, entropy: jax.Array, target_entropy: float) -> jax.Array:
    """α · (entropy − target entropy): α rises while the policy is more certain than asked for, Alg. 1 l.19."""
    return jnp.exp(log_temperature) * (jax.lax.stop_gradient(entropy) - target_entropy)
