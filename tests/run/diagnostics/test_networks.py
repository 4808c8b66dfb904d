from functools import partial

import jax
import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import act, evaluate
from rlpd_robot.run.diagnostics.networks import dormant_share, look_at_actor, look_at_critics, saturated_share


def numbers(*shape: int) -> np.ndarray:
    """Scales that are not 1 and biases that are not 0, which would hide a mistake."""
    return (np.random.default_rng(shape[-1]).normal(size=shape) / 2).astype(np.float32)


OBSERVATION, ACTION = numbers(7, 5), np.tanh(numbers(7, 2))


@pytest.mark.parametrize("layer_norm", [True, False])
def test_its_critics_are_the_learners(layer_norm: bool) -> None:
    config = AgentConfig(ensemble=3, hidden_layers=2, hidden_width=8, layer_norm=layer_norm)
    critics = {
        "dense_0": {"kernel": numbers(3, 7, 8), "bias": numbers(3, 1, 8)},
        "dense_1": {"kernel": numbers(3, 8, 8), "bias": numbers(3, 1, 8)},
        "value": {"kernel": numbers(3, 8, 1), "bias": numbers(3, 1, 1)},
    }
    if layer_norm:
        critics |= {f"norm_{i}": {"scale": numbers(3, 1, 8) + 1, "bias": numbers(3, 1, 8)} for i in range(2)}
    look = look_at_critics(critics, OBSERVATION, ACTION)
    expected = jax.jit(partial(evaluate, config))(critics, OBSERVATION, ACTION, jax.random.key(0))
    np.testing.assert_allclose(look.values, expected, rtol=2e-4, atol=2e-5)
    assert [h.shape for h in look.hidden] == [(3, 7, 8)] * 2
    assert [n.shape for n in look.norm_inputs] == [(3, 7)] * (2 if layer_norm else 0)


def test_its_simba_critics_with_categories_are_the_learners() -> None:
    config = AgentConfig(
        ensemble=3, hidden_layers=1, hidden_width=8, critic="simba", value_bins=11, value_low=0.0, value_high=4.0
    )
    norm = {"scale": numbers(3, 1, 8) + 1, "bias": numbers(3, 1, 8)}
    critics = {
        "observation": {
            "mean": numbers(3, 1, 5),
            "variance": numbers(3, 1, 5) ** 2 + 0.1,
            "count": np.ones((3, 1, 1), np.float32),
        },
        "embed": {"kernel": numbers(3, 7, 8), "bias": numbers(3, 1, 8)},
        "norm_0": norm,
        "expand_0": {"kernel": numbers(3, 8, 32), "bias": numbers(3, 1, 32)},
        "contract_0": {"kernel": numbers(3, 32, 8), "bias": numbers(3, 1, 8)},
        "norm_out": norm,
        "value": {"kernel": numbers(3, 8, 11), "bias": numbers(3, 1, 11)},
    }
    look = look_at_critics(critics, OBSERVATION, ACTION, config.support)
    expected = jax.jit(partial(evaluate, config))(critics, OBSERVATION, ACTION, jax.random.key(0))
    np.testing.assert_allclose(look.values, expected, rtol=2e-4, atol=2e-5)
    assert [h.shape for h in look.hidden] == [(3, 7, 32)]
    assert [n.shape for n in look.norm_inputs] == [(3, 7)] * 2


def test_its_actor_is_the_learners() -> None:
    actor = {
        "dense_0": {"kernel": numbers(5, 8), "bias": numbers(8)},
        "mean": {"kernel": numbers(8, 2), "bias": numbers(2)},
        "log_std": {"kernel": numbers(8, 2), "bias": numbers(2)},
    }
    config = AgentConfig(hidden_layers=1, hidden_width=8)
    mean, log_std = jax.jit(partial(act, config))(actor, OBSERVATION)
    acting = look_at_actor(actor, OBSERVATION)
    np.testing.assert_allclose(acting.action, np.tanh(mean), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(acting.std, np.exp(log_std), rtol=1e-5)


def test_a_unit_that_fires_a_fortieth_of_its_layers_mean_is_dormant() -> None:
    # means over the rows: 0, 0.05, 4, 3.95: their mean is 2, a fortieth of it 0.05
    rows = np.array([[0.0, 0.1, 8.0, 4.0], [0.0, 0.0, 0.0, 3.9]], np.float32)
    assert dormant_share([rows]) == 2 / 4
    assert dormant_share([rows, np.ones((2, 4), np.float32)]) == 2 / 8
    assert dormant_share([np.stack([rows, np.ones((2, 4), np.float32)])]) == 2 / 8  # two critics


def test_an_element_at_its_end_stop_is_saturated() -> None:
    assert saturated_share(np.array([[1.0, -0.995], [0.98, 0.0]], np.float32)) == 2 / 4
