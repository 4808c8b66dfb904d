"""The actor against an independent float64 computation, written out element by element."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.policy.numpy_actor import NumpyActor
from tests.policy.networks import snapshot


def reference(arrays, observation, noise=None):
    """tanh(mean + exp(clip(log_std)) noise) in Python floats: no matrix product, no NumPy broadcasting."""

    def dense(name, x):
        kernel, bias = arrays[f"{name}/kernel"].tolist(), arrays[f"{name}/bias"].tolist()
        return [math.fsum([b, *(x[i] * kernel[i][j] for i in range(len(x)))]) for j, b in enumerate(bias)]

    x = [float(v) for v in observation]
    depth = sum(name.startswith("dense_") for name in arrays) // 2
    for i in range(depth):
        x = [v if v > 0 else 0.0 for v in dense(f"dense_{i}", x)]
    mean, log_std = dense("mean", x), dense("log_std", x)
    if noise is None:
        return [math.tanh(m) for m in mean]
    stds = [math.exp(min(max(v, -20.0), 2.0)) for v in log_std]
    return [math.tanh(m + s * float(e)) for m, s, e in zip(mean, stds, noise, strict=True)]


@pytest.mark.parametrize("sizes", [(5, 16, 16), (39, 256, 256, 256), (4, 8), (6,)])
def test_deterministic_action_matches_float64(sizes):
    network = snapshot(sizes)
    actor = NumpyActor(network, np.random.default_rng(0))
    for seed in range(3):
        observation = np.random.default_rng(seed).normal(size=sizes[0]).astype(np.float32)
        action = actor.act(observation, explore=False)
        assert action.dtype == np.float32
        np.testing.assert_allclose(action, reference(network.arrays, observation), atol=2e-6)


def test_exploring_action_matches_float64_given_the_noise():
    network = snapshot()
    actor = NumpyActor(network, np.random.default_rng(11))
    twin = np.random.default_rng(11)
    for seed in range(5):
        observation = np.random.default_rng(seed).normal(size=5).astype(np.float32)
        noise = twin.standard_normal(3, dtype=np.float32)
        action = actor.act(observation, explore=True)
        np.testing.assert_allclose(action, reference(network.arrays, observation, noise), atol=2e-6)


@pytest.mark.parametrize(("bias", "log_std"), [(50.0, 2.0), (-50.0, -20.0), (0.5, 0.5)])
def test_log_std_is_clipped_where_the_authors_clip_it(bias, log_std):
    network = snapshot()
    arrays = dict(network.arrays)
    arrays["log_std/kernel"] = np.zeros_like(arrays["log_std/kernel"])
    arrays["log_std/bias"] = np.full(3, bias, np.float32)
    arrays["mean/kernel"] = np.zeros_like(arrays["mean/kernel"])
    arrays["mean/bias"] = np.zeros(3, np.float32)
    actor = NumpyActor(replace(network, arrays=arrays), np.random.default_rng(3))
    noise = np.random.default_rng(3).standard_normal(3, dtype=np.float32)
    expected = np.tanh(np.exp(log_std) * noise.astype(np.float64))
    np.testing.assert_allclose(actor.act(np.zeros(5, np.float32), explore=True), expected, rtol=1e-5, atol=1e-12)


def test_no_later_call_writes_into_an_earlier_action():
    actor = NumpyActor(snapshot(), np.random.default_rng(0))
    for explore in (False, True):
        first = actor.act(np.ones(5, np.float32), explore)
        kept = first.copy()
        actor.act(-np.ones(5, np.float32), explore)
        np.testing.assert_array_equal(first, kept)


def test_observation_is_left_alone():
    observation = -np.ones(6, np.float32)
    NumpyActor(snapshot((6,)), np.random.default_rng(0)).act(observation, explore=True)
    np.testing.assert_array_equal(observation, -1)


def test_saturated_actions_stay_in_range():
    network = snapshot()
    arrays = {**network.arrays, "mean/bias": np.array([1e4, -1e4, 0], np.float32)}
    action = NumpyActor(replace(network, arrays=arrays), np.random.default_rng(0)).act(np.ones(5, np.float32), True)
    assert (np.abs(action) <= 1).all()


def test_read_only_misaligned_views_of_a_message_will_do():
    network = snapshot()
    arrays = {}
    for name, array in network.arrays.items():
        data = b"?" + array.tobytes()
        arrays[name] = np.frombuffer(data, np.float32, array.size, offset=1).reshape(array.shape)
    observation = np.ones(5, np.float32)
    expected = NumpyActor(network, np.random.default_rng(0)).act(observation, explore=False)
    actual = NumpyActor(replace(network, arrays=arrays), np.random.default_rng(0)).act(observation, explore=False)
    np.testing.assert_array_equal(actual, expected)


def change(name, array):
    network = snapshot()
    arrays = {**network.arrays, name: array}
    if array is None:
        del arrays[name]
    return replace(network, arrays=arrays)


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("mean/bias", None, "Policy snapshot 7: its arrays are"),
        ("extra", np.zeros(1, np.float32), "Policy snapshot 7: its arrays are"),
        ("dense_1/kernel", np.zeros((9, 16), np.float32), r"dense_1/kernel has shape \(9, 16\)"),
        ("log_std/kernel", np.zeros((9, 3), np.float32), r"log_std/kernel has shape \(9, 3\)"),
        ("mean/bias", np.zeros(4, np.float32), r"mean has kernel \(16, 3\) and bias \(4,\)"),
        ("mean/bias", np.zeros(3), "mean/bias is float64. Expected float32."),
        ("mean/bias", np.array([0, np.nan, 0], np.float32), "mean/bias holds a non-finite number"),
        ("dense_0/kernel", np.full((5, 16), np.inf, np.float32), "dense_0/kernel holds a non-finite number"),
        ("dense_0/kernel", np.zeros(16, np.float32), r"dense_0 has kernel \(16,\)"),
    ],
)
def test_a_network_that_cannot_act_is_refused(name, array, sentence):
    with pytest.raises(DataError, match=sentence):
        NumpyActor(change(name, array), np.random.default_rng(0))
