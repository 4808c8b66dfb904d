"""Whole super-steps of the JAX agent against the NumPy reference, parameter by parameter."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlpd_robot.agent.ring import draw_symmetric
from rlpd_robot.agent.state import AgentState
from rlpd_robot.agent.update import update, update_from_rings
from tests.agent import reference as ref
from tests.agent.support import (
    actor_noise,
    filled_ring,
    make_state,
    minibatch,
    random_batch,
    reference_agent,
    reference_ensemble,
    reference_net,
    reference_settings,
    target_draws,
    tiny,
    update_draws,
)

RATES = {"critic_rate": 1e-2, "actor_rate": 2e-2, "temperature_rate": 3e-2, "target_rate": 0.1}
"""Rates at which one step moves every parameter visibly, all different so that none stands in for another."""

CASES = {
    "adroit, U=1": {"utd": 1, "hidden_layers": 1},
    "adroit, U=4": {"utd": 4},
    "no clipping, entropy backup, reward offset, U=4": {
        "hidden_layers": 1,
        "target_subset": 1,
        "entropy_backup": True,
        "initial_temperature": 0.3,
        "discount": 0.9,
        "reward_offset": -1.0,
    },
    "no LayerNorm, whole ensemble, entropy backup, U=1": {
        "utd": 1,
        "hidden_layers": 1,
        "layer_norm": False,
        "target_subset": 3,
        "entropy_backup": True,
        "target_entropy": 0.7,
    },
    "weight decay, cloning and warm-up, U=2": {
        "utd": 2,
        "hidden_layers": 1,
        "regulariser": "weight_decay",
        "weight_decay": 0.3,
        "clone_weight": 2.5,
        "value_weight": 0.4,
        "reward_scale": 3.0,
        "reward_offset": 0.25,
    },
}


def run_both(settings: dict[str, Any], dtype: Any, steps: int = 2) -> tuple[AgentState, ref.Agent, list[Any]]:
    """Two super-steps of each side: the second starts from moments that are not zero."""
    settings = dict(settings)
    value_weight = settings.pop("value_weight", 1.0)
    config = tiny(**RATES, **settings)
    state = make_state(config, seed=1, dtype=dtype, clipped=True)
    agent, theirs = reference_agent(state), reference_settings(config, value_weight)
    pairs = []
    for i in range(steps):
        batches = random_batch(10 + i, config.utd, config.batch_size, dtype=dtype)
        draws, noise = update_draws(config, state.key, config.utd, dtype)
        state, metrics = update(state, batches, config, dtype(config.clone_weight), dtype(value_weight))
        rows = [minibatch(batches, u) for u in range(config.utd)]
        pairs.append((metrics, ref.super_step(theirs, agent, rows, draws, noise)))
    return state, agent, pairs


def assert_same_agent(state: AgentState, agent: ref.Agent, tolerance: float) -> None:
    def close(ours: ref.Net, theirs: ref.Net) -> None:
        assert ours.keys() == theirs.keys()
        for layer in ours:
            assert ours[layer].keys() == theirs[layer].keys()
            for name in ours[layer]:
                np.testing.assert_allclose(
                    ours[layer][name], theirs[layer][name], rtol=tolerance, atol=tolerance, err_msg=f"{layer}/{name}"
                )

    def moments(optimiser: Any, member: int | None, adam: ref.Adam) -> None:
        for ours, theirs in ((optimiser[0].mu, adam.first), (optimiser[0].nu, adam.second)):
            nested: ref.Net = {}
            for (layer, name), array in theirs.items():
                nested.setdefault(layer, {})[name] = array
            close(reference_net(ours, member), nested)
        assert int(optimiser[0].count) == adam.steps

    close(reference_net(state.actor), agent.actor)
    moments(state.actor_optimiser, None, agent.actor_adam)
    for i, (ours, theirs) in enumerate(zip(reference_ensemble(state.critics), agent.critics, strict=True)):
        close(ours, theirs)
        moments(state.critic_optimiser, i, agent.critic_adams[i])
    for ours, theirs in zip(reference_ensemble(state.target_critics), agent.targets, strict=True):
        close(ours, theirs)
    np.testing.assert_allclose(state.log_temperature, agent.log_alpha, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        state.temperature_optimiser[0].mu, agent.temperature_adam.first["log", "alpha"], rtol=tolerance, atol=tolerance
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_two_super_steps_equal_the_reference_in_float64(settings: dict[str, Any]) -> None:
    state, agent, pairs = run_both(settings, np.float64)
    assert_same_agent(state, agent, 1e-9)
    for metrics, expected in pairs:
        assert metrics.keys() >= expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


def test_two_super_steps_equal_the_reference_in_float32() -> None:
    state, agent, _ = run_both(CASES["adroit, U=4"], np.float32)
    # Adam divides small gradients by their own size, so that its first steps magnify rounding.
    assert_same_agent(state, agent, 2e-4)
    networks = jax.tree.leaves((state.actor, state.critics, state.target_critics))
    assert all(leaf.dtype == jnp.float32 for leaf in networks)


@pytest.mark.usefixtures("float64")
def test_drawing_on_the_device_runs_the_same_algorithm() -> None:
    """`update_from_rings`, given what it draws, is the reference too, and so is `update` on the same minibatches."""
    config = tiny(**RATES, utd=3, hidden_layers=1)
    demos, live = (filled_ring(random_batch(seed, 9)) for seed in (1, 2))
    state = make_state(config, seed=1, dtype=np.float64)
    agent, key = reference_agent(state), state.key
    batches, draws = [], []
    for _ in range(config.utd):
        key, draw_key = jax.random.split(key)
        batches.append(minibatch(draw_symmetric(demos, live, draw_key, config.batch_size, config.demo_rows)))
        key, target_key, _ = jax.random.split(key, 3)
        draws.append(target_draws(config, target_key))
    noise = actor_noise(config, jax.random.split(key)[1])
    state, metrics = update_from_rings(state, demos, live, np.float64(0.0), config, config.demo_rows, np.float64(1.0))
    expected = ref.super_step(reference_settings(config), agent, batches, draws, noise)
    assert_same_agent(state, agent, 1e-9)
    # Minibatches are in single precision here, and so is the mean that the metrics take of them.
    np.testing.assert_allclose(metrics["critic_loss"], expected["critic_loss"], rtol=1e-6)


def test_the_state_is_donated() -> None:
    config = tiny(**RATES, **CASES["adroit, U=4"])  # compiled already
    state = make_state(config)
    update(state, random_batch(0, config.utd, config.batch_size), config, np.float32(0.0), np.float32(1.0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.actor, state.critics, state.target_critics)))
