"""Products of factors in bfloat16, beside the same in float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.agent.layers import rounded_product
from rlpd_robot.agent.networks import Params
from tests.agent.support import reference_net
from tests.agent.test_update_reference import run_both


def rounded(array: Any) -> np.ndarray:
    return np.asarray(jnp.asarray(array).astype(jnp.bfloat16).astype(jnp.float32)).astype(np.float64)


def test_factors_are_rounded_and_sums_are_not_there_and_back() -> None:
    rng = np.random.default_rng(0)
    x, kernel, upstream = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((2, 64, 96), (2, 96, 5), (2, 64, 5))
    )

    def there_and_back(x: jax.Array, kernel: jax.Array, upstream: jax.Array) -> Any:
        value, back = jax.vjp(rounded_product, x, kernel)
        return value, *back(upstream)

    found = jax.jit(there_and_back)(x, kernel, upstream)
    x64, kernel64, upstream64 = rounded(x), rounded(kernel), rounded(upstream)
    expected = (
        x64 @ kernel64,
        upstream64 @ kernel64.swapaxes(1, 2),
        x64.swapaxes(1, 2) @ upstream64,
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-5)


def test_a_super_step_is_that_of_float64_within_the_rounding_of_its_factors() -> None:
    state, agent, pairs = run_both({"utd": 1, "hidden_layers": 1, "precision": "bfloat16"}, np.float32, steps=1)
    assert all(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves((state.actor, state.critics)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state.critic_optimiser[0].mu))
    # Adam's first moments are the gradients: a factor is off by 1 in 512 at most, in three products in a row.
    errors = [
        _apart(reference_net(state.critic_optimiser[0].mu, i), adam.first) for i, adam in enumerate(agent.critic_adams)
    ]
    errors.append(_apart(reference_net(state.actor_optimiser[0].mu), agent.actor_adam.first))
    assert max(errors) < 0.03
    assert min(errors) > 1e-5, "nothing was rounded"
    metrics, expected = pairs[0]
    for name in ("critic_loss", "entropy"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=0.02, atol=0.01)


def _apart(ours: Params, theirs: Any) -> float:
    """Of all parameters together, the distance as a share of the length."""
    pairs = [(ours[layer][name], array) for (layer, name), array in theirs.items()]
    distance = sum(float(np.sum((a - b) ** 2)) for a, b in pairs)
    return float(np.sqrt(distance / sum(float(np.sum(b**2)) for _, b in pairs)))
