"""The reference itself: its gradients, derived by hand, against finite differences."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.agent import reference as ref
from tests.agent.support import make_state, minibatch, random_batch, reference_agent, reference_settings, tiny

STEP = 1e-6


def assert_slopes(loss: Callable[[], float], net: ref.Net, gradient: ref.Net) -> None:
    """Every single parameter, by central differences."""
    assert gradient.keys() == net.keys()
    for layer, arrays in net.items():
        for name, array in arrays.items():
            assert gradient[layer][name].shape == array.shape
            for index in np.ndindex(array.shape):
                before = array[index]
                array[index] = before + STEP
                ahead = loss()
                array[index] = before - STEP
                behind = loss()
                array[index] = before
                np.testing.assert_allclose(
                    gradient[layer][name][index], (ahead - behind) / (2 * STEP), rtol=1e-5, atol=1e-8
                )


@pytest.mark.parametrize("layer_norm", [True, False])
def test_critic_gradients(layer_norm: bool) -> None:
    config = tiny(layer_norm=layer_norm)
    agent = reference_agent(make_state(config, seed=3))
    batch, targets = minibatch(random_batch(4, 6)), np.linspace(-1.0, 2.0, 6)
    _, gradients = ref.critic_loss(agent.critics, batch, targets)
    for net, gradient in zip(agent.critics, gradients, strict=True):
        assert_slopes(lambda: ref.critic_loss(agent.critics, batch, targets)[0], net, gradient)


@pytest.mark.parametrize(("clone_weight", "value_weight"), [(0.0, 1.0), (1.5, 0.4)])
def test_actor_gradients(clone_weight: float, value_weight: float) -> None:
    config = tiny(clone_weight=clone_weight)
    agent, settings = (
        reference_agent(make_state(config, seed=3, clipped=True)),
        reference_settings(config, value_weight),
    )
    batch, noise = minibatch(random_batch(4, 6)), np.random.default_rng(5).normal(size=(6, 2))
    _, _, _, raw = ref.actor_forward(agent.actor, batch.observation)
    assert (raw > 2.0).any(), "some rows are clipped"
    assert (raw < 2.0).any(), "and some are not"
    _, gradient, _ = ref.actor_loss(settings, agent, batch, noise)
    assert_slopes(lambda: ref.actor_loss(settings, agent, batch, noise)[0], agent.actor, gradient)


def test_temperature_gradient() -> None:
    ahead, behind = (ref.temperature_loss(-0.7 + s * STEP, -3.0, -1.0)[0] for s in (1, -1))
    np.testing.assert_allclose(ref.temperature_loss(-0.7, -3.0, -1.0)[1], (ahead - behind) / (2 * STEP), rtol=1e-8)


def test_first_step_of_adam_is_the_rate_against_the_gradients_sign() -> None:
    net, gradient = {"x": {"bias": np.zeros(3)}}, {"x": {"bias": np.array([5.0, -0.01, 0.0])}}
    adam = ref.Adam()
    adam.step(net, gradient, rate=0.1)
    np.testing.assert_allclose(net["x"]["bias"], [-0.1, 0.1, 0.0], rtol=1e-5)
    # Second moments: m = 0.9·0.1·5 + 0.1·(-5) over 1 - 0.81, v = (0.999 + 1)·0.001·25 over 1 - 0.998001.
    adam.step(net, {"x": {"bias": np.array([-5.0, -0.01, 0.0])}}, rate=0.1)
    np.testing.assert_allclose(net["x"]["bias"][0], -0.1 + 0.1 * (0.05 / 0.19) / 5.0, rtol=1e-6)
