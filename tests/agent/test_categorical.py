"""HL-Gauss beside the same written once more in NumPy, with the normal distribution's integral from `math.erf`."""

import math
from functools import partial

import jax
import numpy as np
import pytest

from rlpd_robot.agent.categorical import project, starting_logits
from rlpd_robot.agent.losses import critic_loss
from rlpd_robot.agent.value_support import ValueSupport
from tests.agent.support import make_state, random_batch, tiny

SUPPORT = ValueSupport(-2.0, 3.0, 16)  # ten categories of ½ in the range, and three on either side


def by_hand(target: float, low: float = -2.0, high: float = 3.0) -> np.ndarray:
    """Probabilities of the sixteen categories, each from its own two edges."""
    mean, sigma = min(max(target, low), high), 0.75 * 0.5

    def below(edge: float) -> float:
        return 0.5 * (1.0 + math.erf((edge - mean) / sigma / math.sqrt(2.0)))

    edges = [-3.5 + 0.5 * i for i in range(17)]
    whole = below(edges[-1]) - below(edges[0])
    return np.array([(below(b) - below(a)) / whole for a, b in zip(edges[:-1], edges[1:], strict=True)])


def test_the_categories_reach_four_deviations_beyond_the_range() -> None:
    assert (SUPPORT.width, SUPPORT.sigma) == (0.5, 0.375)
    np.testing.assert_allclose(SUPPORT.edges[[0, 3, 13, 16]], [-3.5, -2.0, 3.0, 4.5], rtol=1e-12)
    np.testing.assert_allclose(SUPPORT.centers[[0, -1]], [-3.25, 4.25], rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_targets_become_gaussians_whose_mean_is_the_target_up_to_the_ends_of_the_range() -> None:
    targets = np.array([-2.0, -1.9, 0.1, 0.5, 3.0, -7.0, 9.0])
    probabilities = np.asarray(project(SUPPORT, targets))
    np.testing.assert_allclose(probabilities, [by_hand(t) for t in targets], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)
    # No bias for bootstrapping to add up, also where a Gaussian without the margin would be cut in half.
    np.testing.assert_allclose(probabilities @ SUPPORT.centers, np.clip(targets, -2.0, 3.0), atol=1e-4)


def test_critics_start_near_nothing_or_the_possible_value_next_to_it() -> None:
    for low, high, value in ((0.0, 100.0, 0.0), (-100.0, 0.0, 0.0), (5.0, 9.0, 5.0)):
        support = ValueSupport(low, high, 101)
        start = np.asarray(starting_logits(support))
        assert start.min() > math.log(1e-5), "each category can be learned"
        np.testing.assert_allclose(np.exp(start).sum(), 1.0, rtol=1e-5)
        assert abs(np.exp(start) @ support.centers - value) < 0.011 * (high - low) / 2


@pytest.mark.usefixtures("float64")
def test_the_critics_gradient_is_that_of_the_cross_entropy() -> None:
    config = tiny(hidden_layers=1, value_bins=16, value_low=-2.0, value_high=3.0)
    critics, batch = make_state(config, dtype=np.float64).critics, random_batch(1, 6, dtype=np.float64)
    targets = np.linspace(-2.5, 3.5, 6)
    loss = jax.jit(jax.value_and_grad(partial(critic_loss, config), has_aux=True))
    (value, metrics), gradient = loss(critics, batch, targets, jax.random.key(0))
    # The same critics by hand, up to the logits: LayerNorm of one layer, ReLU, the last layer.
    net = jax.tree.map(np.asarray, critics)
    x = np.concatenate([batch.observation, batch.action], axis=1) @ net["dense_0"]["kernel"] + net["dense_0"]["bias"]
    x = (x - x.mean(axis=2, keepdims=True)) / np.sqrt(x.var(axis=2, keepdims=True) + 1e-6)
    x = np.maximum(x * net["norm_0"]["scale"] + net["norm_0"]["bias"], 0.0)
    logits = x @ net["value"]["kernel"] + net["value"]["bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    wanted = np.array([by_hand(t) for t in targets])
    entropy = -(wanted * np.log(shares)).sum(axis=2)
    np.testing.assert_allclose(value, entropy.mean(), rtol=1e-9)
    np.testing.assert_allclose(metrics["q"], (shares @ SUPPORT.centers).mean(), rtol=1e-9)
    np.testing.assert_allclose(metrics["q_spread"], (shares @ SUPPORT.centers).std(axis=0).mean(), rtol=1e-9)
    upstream = (shares - wanted) / (3 * 6)  # of a softmax with cross-entropy, mean over E and B
    np.testing.assert_allclose(gradient["value"]["bias"][:, 0], upstream.sum(axis=1), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(gradient["value"]["kernel"], np.swapaxes(x, 1, 2) @ upstream, rtol=1e-8, atol=1e-12)
