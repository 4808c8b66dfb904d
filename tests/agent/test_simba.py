"""SimBa critics beside the same in NumPy, one critic at a time, and their gradient beside differences of that."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from rlpd_robot.agent.losses import critic_loss
from rlpd_robot.agent.simba import observe
from tests.agent.support import make_state, random_batch, tiny

CONFIG = tiny(critic="simba", hidden_layers=2, hidden_width=4, ensemble=2)


def values(net: Any, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(B,) of one critic."""

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ net[name]["kernel"] + net[name]["bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        standard = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-6)
        return standard * net[name]["scale"] + net[name]["bias"]

    seen = (observation - net["observation"]["mean"]) / np.sqrt(net["observation"]["variance"] + 1e-6)
    x = dense(np.concatenate([seen, action], axis=1), "embed")
    for i in range(2):
        x = x + dense(np.maximum(dense(norm(x, f"norm_{i}"), f"expand_{i}"), 0.0), f"contract_{i}")
    return dense(norm(x, "norm_out"), "value")[:, 0]


def member(critics: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i], critics)


@pytest.mark.usefixtures("float64")
def test_values_and_gradients_equal_the_reference() -> None:
    critics = make_state(CONFIG, seed=1, dtype=np.float64).critics
    assert critics["expand_0"]["kernel"].shape == (2, 4, 16)
    critics["observation"]["variance"] = np.random.default_rng(0).uniform(0.5, 2.0, (2, 1, 3))
    batch, targets = random_batch(2, 6, dtype=np.float64), np.linspace(-1.0, 1.0, 6)

    def loss(critics: Any) -> float:
        said = [values(member(critics, i), batch.observation, batch.action) for i in range(2)]
        return float(np.mean((np.array(said) - targets) ** 2))

    both = jax.jit(jax.value_and_grad(partial(critic_loss, CONFIG), has_aux=True))
    (value, metrics), gradient = both(critics, batch, targets, jax.random.key(0))
    np.testing.assert_allclose(value, loss(critics), rtol=1e-10)
    np.testing.assert_allclose(
        metrics["q"], np.mean([values(member(critics, i), batch.observation, batch.action) for i in range(2)])
    )
    statistics = gradient.pop("observation")
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(statistics)), "statistics are not learned"
    seen = critics.pop("observation")
    here, tree = jax.tree.flatten(jax.tree.map(np.asarray, critics))
    slopes, rng = jax.tree.leaves(jax.tree.map(np.asarray, gradient)), np.random.default_rng(0)
    for _ in range(6):
        way = [rng.normal(size=leaf.shape) for leaf in here]
        moved = [tree.unflatten([p + s * 1e-6 * w for p, w in zip(here, way, strict=True)]) for s in (1, -1)]
        ahead, behind = (loss(net | {"observation": seen}) for net in moved)
        slope = sum((g * w).sum() for g, w in zip(slopes, way, strict=True))
        np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-6, atol=1e-8)


def test_running_statistics_are_those_of_all_rows_so_far() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(3.0, size, (6, 3)).astype(np.float32) for size in (0.1, 2.0, 5.0)]
    shape = {"mean": (2, 1, 3), "variance": (2, 1, 3), "count": (2, 1, 1)}
    statistics = {name: np.full(size, float(name == "variance"), np.float32) for name, size in shape.items()}
    for part in rows:
        statistics = observe(statistics, part)
    every = np.concatenate(rows).astype(np.float64)
    for i in range(2):
        np.testing.assert_allclose(statistics["mean"][i, 0], every.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(statistics["variance"][i, 0], every.var(axis=0), rtol=1e-5)
    assert (np.asarray(statistics["count"]) == 18).all()
