"""Targets and losses by hand, on critics Q_e = w_e · max(0, s + a) + b_e with w = (1, 2, -1) and b = (0, -1, 5)."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.losses import actor_loss, cloning_error, critic_loss, target_values, temperature_loss
from rlpd_robot.types import Batch, Segment, to_batch
from tests.agent.support import make_state, random_batch, tiny

KEY = jax.random.key(0)


def by_hand(**settings: Any) -> AgentConfig:
    defaults = {"hidden_layers": 1, "hidden_width": 1, "layer_norm": False, "discount": 0.5, "target_subset": 3}
    return tiny(**{**defaults, **settings})


def hand_critics() -> Any:
    return {
        "dense_0": {"kernel": np.ones((3, 2, 1), np.float32), "bias": np.zeros((3, 1, 1), np.float32)},
        "value": {
            "kernel": np.float32([1, 2, -1]).reshape(3, 1, 1),
            "bias": np.float32([0, -1, 5]).reshape(3, 1, 1),
        },
    }


def hand_actor(action: float) -> Any:
    """Always this action, with the smallest standard deviation there is: log std -20."""

    def head(bias: float) -> Any:
        return {"kernel": np.zeros((1, 1), np.float32), "bias": np.float32([bias])}

    return {
        "dense_0": {"kernel": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)},
        "mean": head(math.atanh(action)),
        "log_std": head(-20.0),
    }


def rows(*pairs: tuple[float, float]) -> Batch:
    """At s = 1, a = ½, s' = 2, with these rewards and bootstraps, all demonstrations."""
    reward, bootstrap = np.float32(pairs or [(-1.0, 1.0)]).T
    ones = np.ones((len(reward), 1), np.float32)
    return Batch(1.0 * ones, 0.5 * ones, reward, 2.0 * ones, bootstrap, np.ones_like(reward))


def compiled(function: Any, *first: Any, gradient: int | None = None) -> Any:
    """The function with its first arguments given; a new one each time, so that no other test meets its compilation."""
    whole = partial(function, *first)
    return jax.jit(whole if gradient is None else jax.value_and_grad(whole, argnums=gradient, has_aux=True))


@pytest.fixture
def _no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.zeros(shape))


LOG_ALPHA = np.float32(math.log(0.1))
LOG_PI = -0.9189385 + 20.0  # of action 0: -½ log 2π - log std


@pytest.mark.usefixtures("_no_noise")
@pytest.mark.parametrize(
    ("settings", "pairs", "targets"),
    [
        # At s' = 2, a' = 0 the critics say 2, 3, 3: the smallest is 2.
        ({}, [(-1.0, 1.0), (0.0, 1.0), (0.0, 0.0)], [-1.0 + 0.5 * 2.0, 1.0, 0.0]),
        ({"entropy_backup": True}, [(-1.0, 1.0), (-1.0, 0.0)], [-1.0 + 0.5 * (2.0 - 0.1 * LOG_PI), -1.0]),
        ({"reward_offset": -1.0, "discount": 0.9}, [(1.0, 1.0), (0.0, 0.0)], [0.0 + 0.9 * 2.0, -1.0]),
        ({"reward_scale": 4.0, "reward_offset": 1.0}, [(-0.5, 1.0)], [4.0 * 0.5 + 0.5 * 2.0]),
    ],
    ids=["plain", "entropy backup", "offset", "scale of the offset reward"],
)
def test_targets(settings: dict[str, Any], pairs: list[tuple[float, float]], targets: list[float]) -> None:
    values = compiled(target_values, by_hand(**settings))(hand_actor(0.0), hand_critics(), LOG_ALPHA, rows(*pairs), KEY)
    assert values.shape == (len(pairs),)
    np.testing.assert_allclose(values, targets, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("_no_noise")
def test_the_better_of_the_actors_and_the_cloned_ones_next_action_bootstraps() -> None:
    # At s' = 2 the critics say of a' = ½ (2½, 4, 2½), of 0 (2, 3, 3) and of -½ (1½, 2, 3½): 2½, 2 and 1½ at least.
    aim = compiled(target_values, by_hand())
    for own, cloned, better in ((0.0, 0.5, 2.5), (0.5, 0.0, 2.5), (0.0, -0.5, 2.0)):
        values = aim(hand_actor(own), hand_critics(), LOG_ALPHA, rows(), KEY, hand_actor(cloned))
        np.testing.assert_allclose(values, [-1.0 + 0.5 * better], rtol=1e-6)


@pytest.mark.usefixtures("_no_noise")
@pytest.mark.parametrize(("ending", "targets"), [("truncated", [0.0, 0.0]), ("terminated", [0.0, -1.0])])
def test_a_time_limit_bootstraps_and_a_terminal_does_not(ending: Any, targets: list[float]) -> None:
    column = np.zeros(2, np.bool_)
    segment = Segment(
        boot="b",
        first_sequence=0,
        episode=0,
        first_step=0,
        observations=np.full((3, 1), 2.0, np.float32),
        actions=np.zeros((2, 1), np.float32),
        proposed_actions=np.zeros((2, 1), np.float32),
        rewards=np.full(2, -1.0, np.float32),
        success=column,
        intervened=column,
        safety=np.zeros(2, np.uint16),
        policy_versions=np.zeros(2, np.int64),
        stamps_s=np.zeros((2, 4)),
        ending=ending,
        cause="",
    )
    batch = to_batch(segment, is_demo=False)
    values = compiled(target_values, by_hand())(hand_actor(0.0), hand_critics(), LOG_ALPHA, batch, KEY)
    np.testing.assert_allclose(values, targets, atol=1e-6)


def test_critic_loss() -> None:
    # At s = 1, a = ½ the critics say 1½, 2, 3½; the target is 1: squared errors ¼, 1, 6¼.
    targets = np.ones(1, np.float32)
    (loss, metrics), gradient = compiled(critic_loss, by_hand(), gradient=0)(hand_critics(), rows(), targets, KEY)
    np.testing.assert_allclose(loss, 2.5)
    np.testing.assert_allclose(metrics["q"], 7 / 3, rtol=1e-6)
    np.testing.assert_allclose(metrics["q_spread"], math.sqrt(26) / 6, rtol=1e-6)
    np.testing.assert_allclose(metrics["target_q"], 1.0)
    errors = np.float32([0.5, 1.0, 2.5])
    np.testing.assert_allclose(gradient["value"]["bias"][:, 0, 0], 2 * errors / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient["value"]["kernel"][:, 0, 0], 2 * errors / 3 * 1.5, rtol=1e-6)
    np.testing.assert_allclose(gradient["dense_0"]["bias"][:, 0, 0], 2 * errors / 3 * [1, 2, -1], rtol=1e-6)


@pytest.mark.usefixtures("_no_noise")
def test_actor_loss_uses_the_mean_of_the_ensemble() -> None:
    # a = ½ at s = 1: the mean of Q is 7/3 (the smallest 1½), log π = 19.081062 - log ¾.
    (loss, metrics), gradient = compiled(actor_loss, by_hand(), gradient=0)(
        hand_actor(0.5), hand_critics(), LOG_ALPHA, np.float32(9.0), rows(), KEY
    )
    log_pi = LOG_PI - math.log(0.75)
    np.testing.assert_allclose(loss, 0.1 * log_pi - 7 / 3, rtol=1e-5)
    np.testing.assert_allclose(metrics["entropy"], -log_pi, rtol=1e-6)
    # α · 2a - mean(w) · (1 - a²)
    np.testing.assert_allclose(gradient["mean"]["bias"], [0.1 * 1.0 - 2 / 3 * 0.75], rtol=1e-5)
    assert "clone_error" not in metrics, "the cloning term is off, whatever weight is passed"


@pytest.mark.usefixtures("_no_noise")
def test_cloning_term_adds_to_the_actor_loss() -> None:
    config = by_hand(clone_weight=1.0)
    loss = compiled(actor_loss, config)
    without, _ = loss(hand_actor(0.25), hand_critics(), LOG_ALPHA, np.float32(0.0), rows(), KEY)
    total, metrics = loss(hand_actor(0.25), hand_critics(), LOG_ALPHA, np.float32(8.0), rows(), KEY)
    np.testing.assert_allclose(metrics["clone_error"], 0.0625, rtol=1e-5)
    np.testing.assert_allclose(total - without, 8.0 * 0.0625, rtol=1e-4)


def test_cloning_error_is_of_demonstrations_alone() -> None:
    batch = random_batch(0, 3)._replace(action=np.zeros((3, 2), np.float32), is_demo=np.float32([1, 0, 1]))
    action = jnp.float32([[0.5, -0.5], [9.0, 9.0], [0.0, 1.0]])
    np.testing.assert_allclose(cloning_error(action, batch), (0.5 + 1.0) / 2)
    np.testing.assert_allclose(cloning_error(action, batch._replace(is_demo=np.zeros(3, np.float32))), 0.0)


def test_temperature_loss() -> None:
    loss, slope = jax.value_and_grad(temperature_loss)(LOG_ALPHA, jnp.float32(-3.0), -1.0)
    np.testing.assert_allclose([loss, slope], [-0.2, -0.2], rtol=1e-6)  # too certain: α rises
    _, slope = jax.value_and_grad(temperature_loss)(LOG_ALPHA, jnp.float32(4.0), -1.0)
    np.testing.assert_allclose(slope, 0.5, rtol=1e-6)


@pytest.mark.usefixtures("_no_noise")
def test_the_target_subset_is_drawn_without_replacement() -> None:
    # Four critics that say 1, 2, 3, 4 whatever they see: the smallest of two different ones is never 4, and
    # 1, 2, 3 have chances 3/6, 2/6, 1/6. With replacement 4 would have 1/16.
    config = tiny(ensemble=4, hidden_layers=1, hidden_width=1, discount=1.0)
    state = make_state(config)
    critics = jax.tree.map(lambda leaf: jnp.asarray(np.zeros_like(leaf)), state.critics)
    critics["value"]["bias"] = jnp.asarray(np.arange(1.0, 5.0, dtype=np.float32).reshape(4, 1, 1))
    batch = random_batch(0, 6)._replace(reward=np.zeros(6, np.float32), bootstrap=np.ones(6, np.float32))

    def targets(key: jax.Array) -> jax.Array:
        return target_values(config, state.actor, critics, state.log_temperature, batch, key)

    drawn = np.asarray(jax.jit(jax.vmap(targets))(jax.random.split(KEY, 2000)))
    assert (drawn == drawn[:, :1]).all(), "one subset for the whole minibatch"
    shares = [(drawn[:, 0] == value).mean() for value in (1, 2, 3, 4)]
    np.testing.assert_allclose(shares, [3 / 6, 2 / 6, 1 / 6, 0], atol=0.03)
    assert shares[3] == 0


@pytest.mark.usefixtures("float64")
def test_gradients_equal_finite_differences() -> None:
    config = tiny(hidden_layers=1, clone_weight=1.0)
    state, batch = make_state(config, seed=2, dtype=np.float64), random_batch(1, 6, dtype=np.float64)
    targets = np.linspace(-1, 1, 6)

    def critics_loss(critics: Any) -> jax.Array:
        return critic_loss(config, critics, batch, jnp.asarray(targets), KEY)[0]

    def actors_loss(actor: Any) -> jax.Array:
        return actor_loss(config, actor, state.critics, state.log_temperature, jnp.float64(0.7), batch, KEY)[0]

    rng = np.random.default_rng(0)
    for loss, params in ((critics_loss, state.critics), (actors_loss, state.actor)):
        both = jax.jit(jax.value_and_grad(loss))
        here, tree = jax.tree.flatten(jax.tree.map(np.asarray, params))
        gradient = jax.tree.leaves(jax.tree.map(np.asarray, both(params)[1]))
        for _ in range(4):
            way = [rng.normal(size=leaf.shape) for leaf in here]
            moved = [tree.unflatten([p + s * 1e-6 * w for p, w in zip(here, way, strict=True)]) for s in (1, -1)]
            ahead, behind = (float(both(params)[0]) for params in moved)
            slope = sum((g * w).sum() for g, w in zip(gradient, way, strict=True))
            np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-6, atol=1e-8)
