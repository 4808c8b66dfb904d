import jax
import numpy as np

from rlpd_robot.agent.export import export_actor
from rlpd_robot.agent.networks import act
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.types import PolicySnapshot
from tests.agent.support import ACT, OBS, make_state, random_batch, tiny


def test_the_exported_policy_acts_as_the_agent_does() -> None:
    config = tiny(initial_log_std=-1.0)
    actor = make_state(config, clipped=True).actor
    arrays = export_actor(actor)
    assert {name: array.shape for name, array in arrays.items()} == {
        "dense_0/kernel": (OBS, 5),
        "dense_0/bias": (5,),
        "dense_1/kernel": (5, 5),
        "dense_1/bias": (5,),
        "mean/kernel": (5, ACT),
        "mean/bias": (ACT,),
        "log_std/kernel": (5, ACT),
        "log_std/bias": (ACT,),
    }
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in arrays.values())
    policy = NumpyActor(PolicySnapshot(7, "f", 0, 0, arrays), np.random.default_rng(0))
    observations = random_batch(3, 200).observation
    mean, log_std = (np.asarray(x) for x in jax.jit(act, static_argnums=0)(config, actor, observations))
    for observation, expected in zip(observations, np.tanh(mean), strict=True):
        np.testing.assert_allclose(policy.act(observation, explore=False), expected, rtol=1e-5, atol=1e-6)

    # Exploring: the same noise on the same mean and spread.
    twin = np.random.default_rng(1)
    policy = NumpyActor(PolicySnapshot(7, "f", 0, 0, arrays), np.random.default_rng(1))
    for i, observation in enumerate(observations[:20]):
        noise = twin.standard_normal(ACT, dtype=np.float32)
        expected = np.tanh(mean[i] + np.exp(log_std[i]) * noise)
        np.testing.assert_allclose(policy.act(observation, explore=True), expected, rtol=1e-4, atol=1e-5)
