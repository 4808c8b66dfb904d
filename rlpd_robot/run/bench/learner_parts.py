"""What `bench learner` needs: rows of no robot, the arithmetic of an update, and matrix products alone."""

import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Batch

_PRODUCTS = 60  # of one dispatch


def pen_sized() -> ProblemSpec:
    """A problem of the Adroit pen's sizes: 45 observed numbers, 24 action elements."""
    low, high = (-1.0,) * 24, (1.0,) * 24
    robot = RobotSpec(
        name="pen_sized",
        period_s=0.04,
        state=(Field("state", (45,), "float64", ""),),
        command=(Field("target", (24,), "float64", "", low=low, high=high),),
    )
    return ProblemSpec(robot, "pen", 45, 24, 100)


def made_up_rows(
    observation_size: int, action_size: int, count: int, chunk: int, *, is_demo: bool = False
) -> Iterator[Batch]:
    """`count` random transitions, `chunk` at a time."""
    rng = np.random.default_rng(0)
    for start in range(0, count, chunk):
        n = min(chunk, count - start)
        observation = rng.standard_normal((n + 1, observation_size), np.float32)
        yield Batch(
            observation=observation[:-1],
            action=rng.uniform(-1, 1, (n, action_size)).astype(np.float32),
            reward=-np.ones(n, np.float32),
            next_observation=observation[1:],
            bootstrap=np.ones(n, np.float32),
            is_demo=np.full(n, is_demo, np.float32),
        )


def update_flops(config: AgentConfig, observation_size: int, action_size: int) -> float:
    """Multiplications and additions of the dense layers for one critic update, its share of the actor's step included.

    What an update cannot do without: activations, LayerNorm, optimisers and averages are left out, and so are gradients
    that nobody needs (of a critic's loss by its input; of the actor's loss by the critics' weights).
    """
    hidden = config.hidden_width**2 * (config.hidden_layers - 1)
    first = (observation_size + action_size) * config.hidden_width
    critic = first + hidden + config.hidden_width
    actor = config.hidden_width * (observation_size + 2 * action_size) + hidden
    actor_first = observation_size * config.hidden_width
    critic_step = config.ensemble * (3 * critic - first) + config.target_subset * critic + actor
    actor_step = (3 * actor - actor_first) + config.ensemble * 2 * critic
    return 2.0 * config.batch_size * (critic_step + actor_step / config.utd)


def finish(tree: Any) -> None:
    """Wait until the device has made these arrays; those that are no device's are there already."""
    jax.block_until_ready(tree)  # type: ignore[no-untyped-call]


def gemm_flops_per_s(config: AgentConfig, seconds: float) -> float:
    """What this device makes of E products of (B, width) by (width, width), one after the other in one dispatch."""
    product = 2.0 * config.ensemble * config.batch_size * config.hidden_width**2
    return product / product_s(config, seconds)


def product_s(config: AgentConfig, seconds: float) -> float:
    """How long one of these takes [s], all E together."""
    x = jnp.ones((config.ensemble, config.batch_size, config.hidden_width), jnp.float32)
    kernel = jnp.full((config.ensemble, config.hidden_width, config.hidden_width), 1e-3, jnp.float32)
    finish(_products(x, kernel))
    count, start_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < seconds or not count:
        finish(_products(x, kernel))
        count += 1
    return took_s / count / _PRODUCTS


@jax.jit
def _products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    def one(x: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jnp.einsum("ebi,eio->ebo", x, kernel), None

    return jax.lax.scan(one, x, None, length=_PRODUCTS)[0]
