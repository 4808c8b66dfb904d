"""What each part of an update costs, in bare products of the ensemble's size, so that machines of any speed compare."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.losses import critic_loss, target_values
from rlpd_robot.agent.ring import Ring, add, draw_symmetric, make_ring
from rlpd_robot.agent.state import AgentState
from rlpd_robot.agent.update import actor_step, move_critics
from rlpd_robot.run.bench.learner_parts import finish, made_up_rows, product_s
from rlpd_robot.run.bench.learner_speed import ROUNDS, median_ratio
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Batch

Part = Callable[[], Any]
"""Does the part once more and returns arrays that are ready when it is done."""

_CALLS = 5  # of a part, queued before they are waited for
_RING = 100_000  # rows


def costs(trainer: Trainer, seconds: float) -> dict[str, float]:
    """By part, its time in products; medians over rounds in which parts and product take turns.

    The parts of a critic update come alone here, each a program of its own, so their sum is not quite the whole.
    """
    parts = _parts(trainer)
    slice_s = seconds / ROUNDS / (len(parts) + 1)
    times: dict[str, list[float]] = {name: [] for name in parts}
    products = []
    for _ in range(ROUNDS):
        products.append(product_s(trainer.config, slice_s))
        for name, part in parts.items():
            times[name].append(_time(part, slice_s))
    return {name: median_ratio(taken, products) for name, taken in times.items()}


def _time(part: Part, seconds: float) -> float:
    """Of one call [s]."""
    finish(part())
    calls, start_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < seconds or not calls:
        finish([part() for _ in range(_CALLS)][-1])
        calls += _CALLS
    return took_s / calls


def _parts(trainer: Trainer) -> dict[str, Part]:
    config, problem = trainer.config, trainer.problem
    sizes = problem.observation_size, problem.action_size
    rings = [_full_ring(rows, *sizes) for rows in (max(1, trainer.demo_rows), min(_RING, config.ring_capacity))]
    batch = jax.tree.map(jnp.asarray, next(made_up_rows(*sizes, config.batch_size, config.batch_size)))
    row = next(made_up_rows(*sizes, 1, 1))
    state, key, zeros = trainer.state, jax.random.key(0), jnp.zeros(config.batch_size)
    gradient = jax.tree.map(jnp.zeros_like, state.critics)
    draw = jax.jit(draw_symmetric, static_argnums=(3, 4))
    aim = jax.jit(target_values, static_argnums=0)
    descend = jax.jit(jax.grad(critic_loss, argnums=1, has_aux=True), static_argnums=0)
    return {
        "a minibatch": lambda: draw(*rings, key, config.batch_size, config.demo_rows),
        "targets": lambda: aim(config, state.actor, state.target_critics, state.log_temperature, batch, key),
        "the critics' gradient": lambda: descend(config, state.critics, batch, zeros, key),
        "Adam and target average": _going_on(_compiled(partial(move_critics, config)), state, gradient),
        "the actor's step": _going_on(_compiled(partial(_actor_step, config)), state, batch),
        "a row into the ring": _going_on(add, _full_ring(min(_RING, config.ring_capacity), *sizes), row),
        "a policy": lambda: trainer.snapshot(1, final=True).arrays,
        "a copy for a checkpoint": trainer.export_state,
    }


def _full_ring(rows: int, observation_size: int, action_size: int) -> Ring:
    made = next(made_up_rows(observation_size, action_size, rows, rows))
    return add(make_ring(rows, observation_size, action_size), made, chunk=rows)


def _actor_step(config: AgentConfig, state: AgentState, batch: Batch) -> AgentState:
    return actor_step(config, state, batch, 0.0)[0]


def _compiled(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return jax.jit(step, donate_argnums=0)


def _going_on(step: Callable[[Any, Any], Any], start: Any, other: Any) -> Part:
    """A step that is given its own result again, and works in place, as learning does."""
    held = [jax.tree.map(jnp.copy, start)]

    def part() -> Any:
        held[0] = step(held[0], other)
        return held[0]

    return part
