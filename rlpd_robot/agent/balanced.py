"""Balanced replay: prior data that resembles live data is drawn more often, by a learned density ratio.

Source: Lee, Seo, Lee, Abbeel and Shin 2021, "Offline-to-online reinforcement learning via balanced replay and
pessimistic Q-ensemble", arXiv:2107.00591, section 4.1. A network learns the ratio w of the density of live to that of
prior data by the Jensen-Shannon bound; rows are drawn in proportion to the T-th root of w, over its mean on prior data.

Not the authors': they keep a priority for each row, renewed when the row is drawn, and begin with as much live data as
prior data. Here as many rows of either kind are drawn first, B each, and the minibatch B is drawn from these by weights
that are never old; where the network tells nothing, half of it is live. And the ratio is the exponential of a logit,
whose loss is that of a classifier, instead of a rectified output.
"""

import jax
import jax.numpy as jnp
import optax

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.losses import Metrics
from rlpd_robot.agent.networks import Params, make_density
from rlpd_robot.agent.ring import Ring, draw
from rlpd_robot.agent.state import AgentState, make_optimisers
from rlpd_robot.types import Batch

LEAST, MOST = 1e-3, 1e3
"""Range of a row's weight, as in the authors' code."""


def draw_balanced(
    config: AgentConfig, state: AgentState, demos: Ring, live: Batch, key: jax.Array
) -> tuple[AgentState, Batch, Metrics]:
    """One gradient step of the density ratio, and a minibatch [B] of live rows [B] and as many of the prior data."""
    prior_key, choice_key = jax.random.split(jax.random.fold_in(key, 1))
    prior = draw(demos, prior_key, config.batch_size)
    (loss, logits), gradient = jax.value_and_grad(density_loss, argnums=1, has_aux=True)(
        config, state.density, prior, live
    )
    step, optimiser = make_optimisers(config).value.update(gradient, state.density_optimiser, state.density)
    state = state._replace(density=optax.apply_updates(state.density, step), density_optimiser=optimiser)
    chosen = jax.random.categorical(choice_key, jnp.log(weights(config, *logits)), shape=(config.batch_size,))
    batch = Batch(*(jnp.concatenate(columns)[chosen] for columns in zip(prior, live, strict=True)))
    return state, batch, {"density_loss": loss, "live_share": 1.0 - jnp.mean(batch.is_demo)}


def density_loss(
    config: AgentConfig, density: Params, prior: Batch, live: Batch
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Minus the Jensen-Shannon bound (section 4.1), up to a constant, and both kinds' logits log w (B,).

    With f of that divergence, f'(w) = log 2w/(w + 1) on live and f*(f'(w)) = −log 2/(w + 1) on prior data.
    """
    of_prior, of_live = (_logits(config, density, rows) for rows in (prior, live))
    return jnp.mean(jax.nn.softplus(-of_live)) + jnp.mean(jax.nn.softplus(of_prior)), (of_prior, of_live)


def weights(config: AgentConfig, of_prior: jax.Array, of_live: jax.Array) -> jax.Array:
    """(2B,) of prior and live rows: w^(1/T) over its mean on prior data, cut off."""
    roots = jnp.exp(jnp.concatenate([of_prior, of_live]) / config.density_temperature)
    return jnp.clip(roots / jnp.mean(roots[: len(of_prior)]), LEAST, MOST)


def _logits(config: AgentConfig, density: Params, rows: Batch) -> jax.Array:
    said: jax.Array = make_density(config).apply({"params": density}, rows.observation, rows.action)  # type: ignore[assignment]
    return said[0]
