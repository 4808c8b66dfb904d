"""Balanced replay and conservative critics against NumPy."""

import jax
import numpy as np
import pytest

from rlpd_robot.agent import balanced, conservative
from rlpd_robot.agent.ring import Ring
from rlpd_robot.types import Batch
from tests.agent import reference as ref
from tests.agent.support import ACT, make_state, random_batch, reference_net, tiny

CONFIG = tiny(
    prior="balanced", density_temperature=2.0, conservative_weight=0.5, ensemble=2, hidden_layers=1, critic_rate=0.1
)
B = CONFIG.batch_size


@pytest.mark.usefixtures("float64")
def test_density_ratio_and_penalty_equal_the_reference() -> None:
    state = make_state(CONFIG, seed=3, dtype=np.float64)
    demos = Ring(random_batch(1, 9, dtype=np.float64)._replace(is_demo=np.ones(9)), np.int32(9))
    live = random_batch(2, B, dtype=np.float64)._replace(is_demo=np.zeros(B))
    key, targets = jax.random.key(5), np.linspace(-1, 1, B)

    @jax.jit
    def of_jax(demos: Ring, live: Batch) -> tuple:
        prior_key, choice_key = jax.random.split(jax.random.fold_in(key, 1))
        moved, batch, metrics = balanced.draw_balanced(CONFIG, state, demos, live, key)
        uniform_key, policy_key, _ = jax.random.split(jax.random.fold_in(key, 1), 3)
        spread = conservative.SAMPLES, B, ACT
        draws = (
            balanced.draw(demos, prior_key, B),
            jax.random.gumbel(choice_key, (B, 2 * B)),  # of which `categorical` takes the largest, with the logits
            jax.random.uniform(uniform_key, spread, minval=-1.0, maxval=1.0),
            jax.random.normal(policy_key, spread),
        )
        loss = conservative.critic_loss(CONFIG, state.critics, live, targets, key, actor=state.actor)
        return moved.density, batch, metrics, loss, draws

    moved, batch, metrics, (loss, parts), (prior, gumbel, uniform, noise) = jax.device_get(of_jax(demos, live))

    net = reference_net(state.density, 0)
    logits = [ref.critic_forward(net, rows.observation, rows.action) for rows in (prior, live)]
    ratio = [np.exp(said) for said, _ in logits]
    # The Jensen-Shannon bound as the paper has it, without the 2 log 2 that does not depend on the network.
    bound = np.mean(np.log(2 * ratio[1] / (ratio[1] + 1))) - np.mean(-np.log(2 / (ratio[0] + 1)))
    np.testing.assert_allclose(metrics["density_loss"], 2 * np.log(2) - bound, rtol=1e-9)
    roots = np.sqrt(np.concatenate(ratio))
    weights = roots / roots[:B].mean()
    np.testing.assert_allclose(balanced.weights(CONFIG, *(said for said, _ in logits)), weights, rtol=1e-5)
    chosen = np.argmax(gumbel + np.log(weights), axis=1)
    both_kinds = Batch(*(np.concatenate(parts) for parts in zip(prior, live, strict=True)))
    for drawn, wanted in zip(batch, both_kinds, strict=True):
        np.testing.assert_array_equal(drawn, wanted[chosen])
    assert metrics["live_share"] == np.mean(chosen >= B)
    slopes = [1 / (1 + np.exp(-logits[0][0])) / B, -1 / (1 + np.exp(logits[1][0])) / B]
    gradients = [ref.critic_backward(net, tape, slope)[0] for (_, tape), slope in zip(logits, slopes, strict=True)]
    ref.Adam().step(net, jax.tree.map(np.add, *gradients), 0.1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), reference_net(moved, 0), net)

    mean, log_std, _, _ = ref.actor_forward(reference_net(state.actor), live.observation)
    raw = mean + np.exp(log_std) * noise
    density = np.sum(-0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi) - np.log(1 - np.tanh(raw) ** 2), axis=-1)
    actions = np.concatenate([uniform, np.tanh(raw)])
    log_density = np.concatenate([np.full(uniform.shape[:2], -ACT * np.log(2)), density])
    gaps = []
    for i in range(2):
        critic = reference_net(state.critics, i)
        said = np.array([ref.critic_forward(critic, live.observation, a)[0] for a in actions])
        soft = np.log(np.mean(np.exp(said - log_density), axis=0))
        gaps.append(np.mean(soft - ref.critic_forward(critic, live.observation, live.action)[0]))
    np.testing.assert_allclose(parts["conservative_gap"], np.mean(gaps), rtol=1e-8)
    np.testing.assert_allclose(loss, parts["critic_loss"] + 0.5 * np.mean(gaps), rtol=1e-8)


def test_a_network_that_tells_nothing_leaves_half_of_it_live() -> None:
    weights = balanced.weights(CONFIG, np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert weights.tolist() == [1.0] * 6
