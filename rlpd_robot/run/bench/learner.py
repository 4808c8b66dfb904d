"""`rlpd-robot bench learner`: how fast the learner learns, beside what the same machine makes of matrix products alone.

The whole of a learner's own work is timed, as `run/trainer.py` does it: rows arrive, a super-step draws its minibatches
on the device and updates, now and then a row of metrics is fetched and a policy exported. Sizes are the Adroit pen's.
"""

import os
import resource
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.run.bench.first_update import first_update_s
from rlpd_robot.run.bench.learner_parts import finish, gemm_flops_per_s, made_up_rows, pen_sized, update_flops
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer

ROUNDS = 5  # the product and the learner take turns, so that both see the same machine
_STEPS_BETWEEN_POLLS = 10  # as in `run/learner.py`: so many super-steps are queued for the device at most
_METRICS_EVERY = 50  # super-steps; and a policy as often
_RINGS = (10_000, 100_000, 1_000_000, 10_000_000)
_ENSEMBLES = (2, 5, 10, 20)
_WIDTHS = (64, 128, 256, 512)


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Time the learner of these agent settings, and with `learner_bench.sweep=true` its neighbours.

    Args:
        settings: `agent` and `learner_bench`.
        words: unused.
        build: unused.
    """
    bench, config = settings.learner_bench, settings.agent
    report = _speed(config, bench.demo_rows, bench.ring_rows, bench.seconds)
    if bench.first_update:
        report["first_update_s"] = first_update_s(config)
    if bench.sweep:
        report["sweeps"] = _sweeps(config, bench.demo_rows, bench.ring_rows, bench.seconds / 4)
    return {**report, "device": jax.devices()[0].device_kind, "cores": os.cpu_count(), "passed": True}


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"critic updates/s      {report['critic_updates_per_s']:10.1f}",
        f"transitions/s         {report['env_steps_per_s']:10.2f}   at UTD {report['utd']}",
        f"arithmetic            {report['gflops']:10.1f} GFLOP/s",
        f"the same as products  {report['gemm_gflops']:10.1f} GFLOP/s, {report['gemm']}",
        f"fraction              {report['fraction']:10.2f}",
        f"waiting for data      {100 * report['data_share']:9.1f} %",
        f"memory, at most       {report['peak_rss_mb']:10.0f} MB",
    ]
    first = report.get("first_update_s")
    if first:
        lines.append(
            f"first update          {first['cold']:10.1f} s cold, {first['cached']:.1f} s with a compile cache"
        )
    for name, points in report.get("sweeps", {}).items():
        lines += [f"{name} {value:>10}: {rate:10.1f} critic updates/s" for value, rate in points.items()]
    lines.append(f"device={report['device']} cores={report['cores']}")
    return "\n".join(lines)


def _speed(config: AgentConfig, demo_rows: int, ring_rows: int, seconds: float) -> dict[str, Any]:
    """One configuration, its learner and the bare products in turn."""
    problem = pen_sized()
    sizes = problem.observation_size, problem.action_size
    demos = next(made_up_rows(*sizes, demo_rows, demo_rows, is_demo=True))
    trainer = Trainer(replace(config, ring_capacity=ring_rows), problem, demos if config.needs_demos else None, seed=0)
    for rows in made_up_rows(*sizes, ring_rows, 100_000):
        trainer.refill(rows)
    trainer.warm_up()
    fresh = next(made_up_rows(*sizes, 1, 1))
    rates, products, shares = [], [], []
    for _ in range(ROUNDS):
        products.append(gemm_flops_per_s(config, seconds / ROUNDS / 4))
        rate, share = _learn(trainer, fresh, seconds / ROUNDS)
        rates.append(rate)
        shares.append(share)
    updates_per_s, gemm = statistics.median(rates), statistics.median(products)
    flops = update_flops(config, *sizes)
    return {
        "critic_updates_per_s": updates_per_s,
        "env_steps_per_s": updates_per_s / config.utd,
        "utd": config.utd,
        "gflops": updates_per_s * flops / 1e9,
        "gemm_gflops": gemm / 1e9,
        "gemm": f"{config.ensemble} of {config.batch_size} × {config.hidden_width} × {config.hidden_width}",
        "fraction": statistics.median(rate * flops / product for rate, product in zip(rates, products, strict=True)),
        "data_share": statistics.median(shares),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "device_mb": (jax.devices()[0].memory_stats() or {}).get("bytes_in_use", 0) / 1e6,
        "demo_rows": demo_rows,
        "ring_rows": ring_rows,
    }


def _learn(trainer: Trainer, fresh: Any, seconds: float) -> tuple[float, float]:
    """(critic updates a second, share of the time in which rows were put into the ring)."""
    steps, receiving_s = 0, 0.0
    finish(trainer.state)
    start_s = time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < seconds or not steps:
        trainer.receive(fresh)
        receiving_s += time.perf_counter() - start_s - took_s
        trainer.step()
        steps += 1
        if steps % _STEPS_BETWEEN_POLLS == 0:
            finish(trainer.state)
        if steps % _METRICS_EVERY == 0:
            trainer.metrics()
            trainer.snapshot(steps)
    finish(trainer.state)
    took_s = time.perf_counter() - start_s
    return steps * trainer.config.utd / took_s, receiving_s / took_s


def _sweeps(config: AgentConfig, demo_rows: int, ring_rows: int, seconds: float) -> dict[str, dict[str, float]]:
    """Critic updates a second by one thing at a time."""

    def rate(changed: AgentConfig, rows: int) -> float:
        return float(_speed(changed, demo_rows, rows, seconds)["critic_updates_per_s"])

    return {
        "ring rows": {str(rows): rate(config, rows) for rows in _RINGS if _fits(rows)},
        "ensemble": {
            str(n): rate(replace(config, ensemble=n, target_subset=min(n, config.target_subset)), ring_rows)
            for n in _ENSEMBLES
        },
        "width": {str(width): rate(replace(config, hidden_width=width), ring_rows) for width in _WIDTHS},
    }


def _fits(rows: int) -> bool:
    """Whether a ring of so many rows may be made here: it and what is copied on the way."""
    problem = pen_sized()
    row_bytes = 4 * (2 * problem.observation_size + problem.action_size + 3)
    return 2.5 * rows * row_bytes < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
