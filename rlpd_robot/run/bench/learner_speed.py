"""One configuration of the learner, timed in turn with the bare matrix products of its own size."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.agent.layout import ONE_DEVICE, Layout
from rlpd_robot.run.bench.learner_parts import gemm_flops_per_s, made_up_rows, pen_sized, update_flops
from rlpd_robot.run.bench.peak_memory import peak_memory_mb
from rlpd_robot.run.trainer import Trainer

ROUNDS = 5  # the product and the learner take turns, so that both see the same machine
_STEPS_BETWEEN_POLLS = 10  # as in `run/learner.py`: so many super-steps are queued for the device at most
_METRICS_EVERY = 50  # super-steps; and a policy as often


@dataclass(frozen=True)
class Speed:
    """Of one configuration; medians over the rounds.

    Attributes:
        updates_per_s: critic updates a second, everything that a learner does itself included.
        gemm_flops_per_s: of the bare products.
        fraction: of the products' speed, counting only the update's own dense layers.
        data_share: of the time, in which updates had to wait for data: arriving rows were put into a ring that no
            update was using, or minibatches were fetched from the host's memory too late.
        held_share: of the time, in which an arriving row was held up by updates that were queued before it. On a CPU,
            whose calls then wait; nothing waits for the row meanwhile.
        idle_share: of the time, in which the device had nothing to do: what is left after the time that the same
            super-steps take when nothing comes between them.
    """

    updates_per_s: float
    gemm_flops_per_s: float
    fraction: float
    data_share: float
    held_share: float
    idle_share: float


def full_trainer(
    config: AgentConfig, demo_rows: int, ring_rows: int, layout: Layout = ONE_DEVICE, ring: str = "auto"
) -> Trainer:
    """A learner of these settings, its rings full, everything compiled."""
    problem = pen_sized()
    sizes = problem.observation_size, problem.action_size
    demos = next(made_up_rows(*sizes, demo_rows, demo_rows, is_demo=True))
    config = replace(config, ring_capacity=ring_rows)
    trainer = Trainer(config, problem, demos if config.needs_demos else None, 0, layout, ring)
    for rows in made_up_rows(*sizes, ring_rows, 100_000):
        trainer.refill(rows)
    trainer.warm_up()
    return trainer


def speeds(trainers: Sequence[Trainer], seconds: float, rounds: int = ROUNDS) -> list[Speed]:
    """How fast each of them learns within so many seconds; all take turns, so that all see the same machine."""
    fresh = next(made_up_rows(trainers[0].problem.observation_size, trainers[0].problem.action_size, 1, 1))
    turns = [[_turn(trainer, fresh, seconds / rounds) for trainer in trainers] for _ in range(rounds)]
    columns = ([turn[i] for turn in turns] for i in range(len(trainers)))
    return [Speed(*(float(np.median(values)) for values in zip(*column, strict=True))) for column in columns]


def _turn(trainer: Trainer, fresh: Any, seconds: float) -> tuple[float, ...]:
    problem, config = trainer.problem, trainer.config
    flops = update_flops(config, problem.observation_size, problem.action_size)
    product = gemm_flops_per_s(config, seconds / 6)
    busy_s = _back_to_back(trainer, seconds / 6)
    rate, data_share, held_share = learn(trainer, fresh, seconds)
    idle = max(0.0, 1.0 - rate / config.utd * busy_s)
    return rate, product, rate * flops / product, data_share, held_share, idle


def learn(trainer: Trainer, fresh: Any, seconds: float) -> tuple[float, float, float]:
    """(critic updates a second, and of the time the shares that `Speed` calls data_share and held_share).

    A row arrives before each super-step. What it costs is told where the device has nothing else to do, which is the
    case before every tenth, by waiting until it is in the ring.
    """
    steps, receiving_s, waited_s = 0, 0.0, trainer.waited_s
    alone_s: list[float] = []
    trainer.wait()
    start_s = time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < seconds or not steps:
        trainer.receive(fresh)
        if steps % _STEPS_BETWEEN_POLLS == 0:
            trainer.wait()
            alone_s.append(time.perf_counter() - start_s - took_s)
        receiving_s += time.perf_counter() - start_s - took_s
        trainer.step()
        steps += 1
        if steps % _STEPS_BETWEEN_POLLS == 0:
            trainer.wait()
        if steps % _METRICS_EVERY == 0:
            trainer.metrics()
            trainer.snapshot(steps)
    trainer.wait()
    took_s = time.perf_counter() - start_s
    rows_s = min(statistics.median(alone_s) * steps, receiving_s)
    data_s = rows_s + trainer.waited_s - waited_s
    return steps * trainer.config.utd / took_s, data_s / took_s, (receiving_s - rows_s) / took_s


def _back_to_back(trainer: Trainer, seconds: float) -> float:
    """How long a super-step takes [s] when the next one is queued already."""
    trainer.wait()
    steps, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < seconds or not steps:
        for _ in range(_STEPS_BETWEEN_POLLS // 2):
            trainer.step()
            steps += 1
        trainer.wait()
    return (time.perf_counter() - start_s) / steps


def report_of(trainer: Trainer, speed: Speed, demo_rows: int) -> dict[str, Any]:
    """The figures of one configuration, memory included."""
    config, problem = trainer.config, trainer.problem
    flops = update_flops(config, problem.observation_size, problem.action_size)
    memory = jax.devices()[0].memory_stats() or {}  # a CPU has none of its own
    return {
        "critic_updates_per_s": speed.updates_per_s,
        "env_steps_per_s": speed.updates_per_s / config.utd,
        "utd": config.utd,
        "gflops": speed.updates_per_s * flops / 1e9,
        "gemm_gflops": speed.gemm_flops_per_s / 1e9,
        "gemm": f"{config.ensemble} of {config.batch_size} × {config.hidden_width} × {config.hidden_width}",
        "fraction": speed.fraction,
        "data_share": speed.data_share,
        "held_share": speed.held_share,
        "device_idle_share": speed.idle_share,
        "peak_rss_mb": peak_memory_mb(),
        "device_mb": memory.get("bytes_in_use", 0) / 1e6,
        "device_peak_mb": memory.get("peak_bytes_in_use", 0) / 1e6,
        "demo_rows": demo_rows,
        "ring_rows": config.ring_capacity,
    }


def median_ratio(times: Sequence[float], units: Sequence[float]) -> float:
    """Median of times in units that were taken beside them."""
    return statistics.median(t / u for t, u in zip(times, units, strict=True))
