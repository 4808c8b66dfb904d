from typing import Any

import jax
import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.networks import act, evaluate
from rlpd_robot.agent.state import fresh_state, init_state
from tests.agent.support import ACT, OBS, make_state, random_batch, same, tiny

KEY = jax.random.key(0)


def values(
    config: AgentConfig, critics: Any, observation: np.ndarray, action: np.ndarray, key: Any = KEY
) -> np.ndarray:
    return np.asarray(jax.jit(evaluate, static_argnums=0)(config, critics, observation, action, key))


def test_an_agent_starts_as_the_authors_code_does() -> None:
    config = tiny(initial_log_std=-1.5, initial_temperature=0.25)
    state = init_state(config, OBS, ACT, seed=0)
    for params, inputs in ((state.actor, OBS), (state.critics, OBS + ACT)):
        for layer, arrays in params.items():
            if layer.startswith("norm"):
                assert (np.asarray(arrays["scale"]) == 1).all()
                assert not np.asarray(arrays["bias"]).any()
                continue
            kernel = np.asarray(arrays["kernel"])
            fan_in, fan_out = kernel.shape[-2:]
            assert fan_in == (inputs if layer == "dense_0" else 5)
            limit = (6 / (fan_in + fan_out)) ** 0.5  # Glorot and Bengio 2010, eq. 16
            assert 0.7 * limit < np.abs(kernel).max() <= limit, layer
            assert (np.asarray(arrays["bias"]) == (-1.5 if layer == "log_std" else 0.0)).all()
    kernel = np.asarray(state.critics["dense_0"]["kernel"])
    assert len({member.tobytes() for member in kernel}) == 3, "no two critics alike"
    assert same(state.critics, state.target_critics)
    np.testing.assert_allclose(state.log_temperature, np.log(0.25))
    assert "norm_0" not in state.actor, "no LayerNorm in the actor"


def test_the_networks_have_the_papers_size() -> None:
    shapes = jax.eval_shape(lambda: fresh_state(AgentConfig(), 45, 24, seed=0))

    def size(tree: Any) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    hidden = 2 * (256 * 256 + 256)
    assert size(shapes.actor) == (45 + 1) * 256 + hidden + 2 * (256 + 1) * 24
    assert size(shapes.critics) == 10 * ((69 + 1) * 256 + hidden + 3 * 2 * 256 + 256 + 1)


def test_layer_norm_bounds_values_far_from_the_data() -> None:
    near = random_batch(0, 6)
    bounds, far = {}, {}
    for layer_norm in (True, False):
        config = tiny(layer_norm=layer_norm)
        critics = make_state(config).critics
        # Section 4.2: |Q| ≤ |w| · |LayerNorm(...)|, and a standardised vector of n entries has length √n.
        last, top = critics["value"], critics.get("norm_1", {"scale": np.ones((3, 1, 5)), "bias": np.zeros((3, 1, 5))})
        length = np.abs(top["scale"]).max() * 5**0.5 + np.linalg.norm(np.asarray(top["bias"])[:, 0], axis=1)
        bounds[layer_norm] = np.linalg.norm(np.asarray(last["kernel"])[..., 0], axis=1) * length
        bounds[layer_norm] = bounds[layer_norm] + np.abs(last["bias"])[:, 0, 0]
        far[layer_norm] = np.abs(values(config, critics, 1e5 * near.observation, near.action)).max(axis=1)
    assert (far[True] <= bounds[True]).all()
    assert (far[False] > 100 * bounds[False]).all()


def test_members_of_the_ensemble_do_not_mix() -> None:
    config = tiny()
    critics, batch = make_state(config).critics, random_batch(0, 6)
    before = values(config, critics, batch.observation, batch.action)
    assert before.shape == (3, 6)
    changed = jax.tree.map(lambda leaf: np.concatenate([leaf[:1], leaf[1:2] + 0.3, leaf[2:]]), critics)
    after = values(config, changed, batch.observation, batch.action)
    np.testing.assert_array_equal(before[[0, 2]], after[[0, 2]])
    assert (before[1] != after[1]).all()


def test_dropout_is_live_in_the_critics_and_only_when_configured() -> None:
    batch = random_batch(0, 6)
    for regulariser, alike in (("none", True), ("weight_decay", True), ("dropout", False)):
        config = tiny(regulariser=regulariser, dropout_rate=0.5)
        critics = make_state(config).critics
        drawn = [values(config, critics, batch.observation, batch.action, jax.random.key(i)) for i in (1, 2)]
        assert (drawn[0] == drawn[1]).all() == alike, regulariser


@pytest.mark.parametrize(("bias", "expected"), [(50.0, 2.0), (-50.0, -20.0)])
def test_log_standard_deviations_are_clipped(bias: float, expected: float) -> None:
    config = tiny()
    actor = make_state(config).actor
    actor["log_std"]["bias"] = np.full(ACT, bias, np.float32)
    _, log_std = jax.jit(act, static_argnums=0)(config, actor, random_batch(0, 6).observation)
    assert (np.asarray(log_std) == expected).all()
