"""Super-steps of IQL against the same in float64 NumPy, every gradient written out by hand."""

import jax
import numpy as np
import pytest

from rlpd_robot.agent.distributions import log_prob
from rlpd_robot.agent.update import update
from tests.agent import reference as ref
from tests.agent.support import (
    make_state,
    minibatch,
    random_batch,
    reference_agent,
    reference_net,
    tiny,
)

CONFIG = tiny(
    algorithm="iql",
    ensemble=2,
    utd=2,
    hidden_layers=1,
    layer_norm=False,
    expectile=0.8,
    advantage_scale=1.5,
    discount=0.9,
    critic_rate=1e-2,
    actor_rate=2e-2,
    target_rate=0.1,
    reward_offset=0.5,
)


class Reference:
    """IQL written from its paper, eq. 5 to 7."""

    def __init__(self, agent: ref.Agent, value: ref.Net) -> None:
        self.agent, self.value, self.value_adam = agent, value, ref.Adam()

    def of(self, observation: np.ndarray) -> tuple[np.ndarray, list]:
        return ref.critic_forward(self.value, observation, np.zeros((len(observation), 0)))

    def least(self, batch: ref.Minibatch) -> np.ndarray:
        said = [ref.critic_forward(net, batch.observation, batch.action)[0] for net in self.agent.targets]
        return np.min(said, axis=0)

    def critic_step(self, batch: ref.Minibatch) -> float:
        value, tape = self.of(batch.observation)
        error = self.least(batch) - value
        share = np.where(error > 0, 0.8, 0.2)
        gradient, _ = ref.critic_backward(self.value, tape, -2.0 * share * error / len(error))
        self.value_adam.step(self.value, gradient, 1e-2)
        targets = batch.reward + 0.5 + 0.9 * batch.bootstrap * self.of(batch.next_observation)[0]
        _, gradients = ref.critic_loss(self.agent.critics, batch, targets)
        for net, slope, adam in zip(self.agent.critics, gradients, self.agent.critic_adams, strict=True):
            adam.step(net, slope, 1e-2)
        ref.average(self.agent.targets, self.agent.critics, 0.1)
        return float(np.mean(share * error**2))

    def actor_step(self, batch: ref.Minibatch) -> np.ndarray:
        """The weights of the rows."""
        weight = np.minimum(np.exp(1.5 * (self.least(batch) - self.of(batch.observation)[0])), 100.0)
        mean, log_std, inputs, raw = ref.actor_forward(self.agent.actor, batch.observation)
        u = np.arctanh(np.clip(batch.action, -0.999, 0.999))
        z = (u - mean) / np.exp(log_std)
        share = -weight[:, None] / len(weight)
        slopes = share * z / np.exp(log_std), share * (z**2 - 1.0)  # of log π by mean and by log std
        gradient = ref.actor_backward(self.agent.actor, inputs, raw, *slopes)
        self.agent.actor_adam.step(self.agent.actor, gradient, 2e-2)
        return weight


@pytest.mark.usefixtures("float64")
def test_two_super_steps_equal_the_reference() -> None:
    state = make_state(CONFIG, seed=1, dtype=np.float64, clipped=True)
    state.value["value"]["bias"] -= 3.0  # so that some advantages are large
    theirs = Reference(reference_agent(state), reference_net(state.value, 0))
    weights = []
    for i in range(2):
        batches = random_batch(10 + i, 2, 6, dtype=np.float64)
        batches.action[:, 0, 0] = 1.0  # lies at infinity before the tanh
        batches.observation[:, 1] *= 9.0
        state, metrics = update(state, batches, CONFIG, np.float64(0.0), np.float64(1.0))
        rows = [minibatch(batches, u) for u in range(2)]
        losses = [theirs.critic_step(row) for row in rows]
        weights.append(theirs.actor_step(rows[-1]))
        np.testing.assert_allclose(metrics["value_loss"], np.mean(losses), rtol=1e-9)
        np.testing.assert_allclose(metrics["advantage_weight"], weights[-1].mean(), rtol=1e-9)
    assert np.max(weights) == 100.0, "a weight is cut somewhere"
    pairs = [
        (reference_net(state.actor), theirs.agent.actor),
        (reference_net(state.value, 0), theirs.value),
        *((reference_net(state.critics, i), theirs.agent.critics[i]) for i in range(2)),
        *((reference_net(state.target_critics, i), theirs.agent.targets[i]) for i in range(2)),
    ]
    for ours, other in pairs:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, other)
    assert float(state.log_temperature) == 0.0


def test_the_density_of_given_actions() -> None:
    action, mean = np.float32([[0.5, -1.0]]), np.float32([[0.2, -3.0]])
    u = np.arctanh([0.5, -0.999])
    z = (u - mean[0]) / np.exp(0.3)
    wanted = np.sum(-0.5 * z**2 - 0.3 - 0.5 * np.log(2 * np.pi) - np.log1p(-(np.tanh(u) ** 2)))
    np.testing.assert_allclose(log_prob(action, mean, np.full((1, 2), 0.3, np.float32)), [wanted], rtol=1e-4)
