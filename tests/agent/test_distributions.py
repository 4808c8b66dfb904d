import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlpd_robot.agent.distributions import sample_and_log_prob

Noise = Callable[[Any], None]
KEY_IS_UNUSED: Any = None


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Noise:
    """Replaces the normal draw by given numbers."""
    return lambda values: monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.broadcast_to(values, shape))


@pytest.mark.parametrize(
    ("mean", "log_std", "epsilon", "action", "log_prob"),
    [
        # -½ log 2π = -0.918939, and tanh 0 changes nothing.
        (0.0, 0.0, 0.0, 0.0, -0.918939),
        # ... - ½ - log(1 - tanh² 1), with tanh 1 = 0.761594 and 1 - tanh² 1 = 0.419974.
        (0.0, 0.0, 1.0, 0.761594, -0.918939 - 0.5 + 0.867562),
        # A std of e: ... - 1; u = 2 - e·½.
        (2.0, 1.0, -0.5, 0.565484, -0.918939 - 0.125 - 1.0 + 0.385328),
        # Saturated: -log(1 - tanh² u) = 2|u| - log 4 once e^-2|u| is nothing.
        (20.0, 0.0, 0.0, 1.0, -0.918939 + 40.0 - 1.386294),
        (-50.0, 0.0, 0.0, -1.0, -0.918939 + 100.0 - 1.386294),
        (0.0, 2.0, 6.0, 1.0, -0.918939 - 18.0 - 2.0 + 2 * 6 * math.e**2 - 1.386294),
        (0.3, -20.0, 1.0, 0.291313, -0.918939 - 0.5 + 20.0 + 0.088668),
    ],
)
def test_hand_derived_log_density(
    noise: Noise, mean: float, log_std: float, epsilon: float, action: float, log_prob: float
) -> None:
    noise(epsilon)
    drawn, density = sample_and_log_prob(KEY_IS_UNUSED, jnp.float32([mean]), jnp.float32([log_std]))
    assert drawn.shape == (1,)
    assert density.shape == ()
    np.testing.assert_allclose(drawn[0], action, atol=2e-6)
    np.testing.assert_allclose(density, log_prob, rtol=2e-6, atol=2e-6)


def test_action_elements_are_independent(noise: Noise) -> None:
    noise(jnp.float32([0.0, 1.0]))
    _, density = sample_and_log_prob(KEY_IS_UNUSED, jnp.zeros((5, 2)), jnp.zeros((5, 2)))
    np.testing.assert_allclose(density, np.full(5, -0.918939 - 0.551377), rtol=1e-5)


def test_saturated_actions_keep_finite_gradients() -> None:
    def density(mean: jax.Array) -> jax.Array:
        return sample_and_log_prob(jax.random.key(0), mean, jnp.zeros(4))[1]

    gradient = jax.grad(density)(jnp.float32([-300.0, -12.0, 12.0, 300.0]))
    np.testing.assert_allclose(gradient, [-2.0, -2.0, 2.0, 2.0], rtol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (1.5, -1.0), (-0.7, 0.5)])
def test_the_density_integrates_to_one(noise: Noise, mean: float, log_std: float) -> None:
    grid = np.linspace(-12.0, 12.0, 4001)[:, None]
    noise(jnp.asarray(grid))
    action, density = sample_and_log_prob(KEY_IS_UNUSED, jnp.full_like(grid, mean), jnp.full_like(grid, log_std))
    mass = np.trapezoid(np.exp(density), np.asarray(action)[:, 0])
    np.testing.assert_allclose(mass, 1.0, atol=1e-4)


def test_draws_have_the_mean_and_spread_asked_for() -> None:
    mean, log_std = np.full((20_000, 1), 0.4, np.float32), np.full((20_000, 1), -1.0, np.float32)
    action, _ = jax.jit(sample_and_log_prob)(jax.random.key(3), mean, log_std)
    before = np.arctanh(np.asarray(action))
    np.testing.assert_allclose(before.mean(), 0.4, atol=0.01)
    np.testing.assert_allclose(before.std(), math.exp(-1.0), atol=0.01)
