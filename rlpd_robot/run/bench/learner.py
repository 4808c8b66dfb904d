"""`rlpd-robot bench learner`: how fast the learner learns, beside what the same machine makes of matrix products alone.

The whole of a learner's own work is timed, as `run/trainer.py` does it: rows arrive, a super-step draws its minibatches
on the device and updates, now and then a row of metrics is fetched and a policy exported. Sizes are the Adroit pen's.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.files import replace_file
from rlpd_robot.run.bench import learner_guard as guard
from rlpd_robot.run.bench import learner_variants as variants
from rlpd_robot.run.bench.first_update import first_update_s
from rlpd_robot.run.bench.learner_costs import costs
from rlpd_robot.run.bench.learner_speed import full_trainer, report_of, speeds
from rlpd_robot.run.bench.learner_sweeps import flatness, sweep, sweeps_png
from rlpd_robot.run.bench_settings import usable_cores
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.settings import Settings


def _refuse_other_networks(config: AgentConfig) -> None:
    counted = "what is counted here are the multiplications of the paper's networks"
    if config.critic != "mlp":
        raise ConfigError("agent.critic", config.critic, f"mlp: {counted}")
    if config.value_bins:
        raise ConfigError("agent.value_bins", config.value_bins, f"0: {counted}")


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Time the learner of these agent settings, its parts, and with `learner_bench.sweep=true` its neighbours.

    Args:
        settings: `agent` and `learner_bench`.
        words: unused.
        build: unused.

    Raises:
        ConfigError: the agent's networks are not those whose multiplications are counted; nothing has been measured.
        DataError: `learner_bench.against` names no file of costs; nothing has been measured.
    """
    bench, config = settings.learner_bench, settings.agent
    _refuse_other_networks(config)
    committed = guard.load(Path(bench.against)) if bench.against else None
    load_before = os.getloadavg()[0]
    if bench.cores:  # before JAX counts them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-bench.cores :])
    if bench.compare:  # before this process takes a device
        compared = variants.compare(config, settings.learner, bench)
        return {**compared, "cores": usable_cores() or os.cpu_count(), "load_before": load_before, "passed": True}
    layout = make_layout(settings.learner.mesh, settings.learner.unroll)
    trainer = full_trainer(config, bench.demo_rows, bench.ring_rows, layout, settings.learner.ring)
    (speed,) = speeds([trainer], bench.seconds)
    report = {**report_of(trainer, speed, bench.demo_rows), "costs": costs(trainer, bench.seconds / 2)}
    ring_place = trainer.ring_place
    trainer.close()
    del trainer
    if bench.first_update:
        report["first_update_s"] = first_update_s(config)
    if bench.sweep:
        swept = sweep(config, bench.demo_rows, bench.ring_rows, bench.seconds / 4)
        report |= {"sweeps": swept, "flatness": flatness(swept)}
        if bench.picture:
            replace_file(Path(bench.picture), sweeps_png(swept))
    report |= {
        "device": jax.devices()[0].device_kind,
        "devices": layout.described,
        "ring": ring_place,
        "cores": usable_cores() or os.cpu_count(),
        "load_before": load_before,
    }
    if bench.save:
        guard.save(Path(bench.save), report)
    if committed is not None:
        report["against"] = guard.compare(report, committed)
    slower = report.get("against", {})
    return {**report, "passed": not (slower.get("judged") and slower.get("slower"))}


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    if "variants" in report:
        on = f"platform={report['platform']} cores={report['cores']} load before={report['load_before']:.1f}"
        return f"{variants.table(report)}\n\n{on}"
    lines = [
        f"critic updates/s      {report['critic_updates_per_s']:10.1f}",
        f"transitions/s         {report['env_steps_per_s']:10.2f}   at UTD {report['utd']}",
        f"arithmetic            {report['gflops']:10.1f} GFLOP/s",
        f"the same as products  {report['gemm_gflops']:10.1f} GFLOP/s, {report['gemm']}",
        f"fraction              {report['fraction']:10.2f}",
        f"waiting for data      {100 * report['data_share']:9.1f} %",
        f"rows held by updates  {100 * report['held_share']:9.1f} %",
        f"device idle           {100 * report['device_idle_share']:9.1f} %",
        f"memory, at most       {report['peak_rss_mb']:10.0f} MB, on the device {report['device_peak_mb']:.0f} MB",
    ]
    first = report.get("first_update_s")
    if first:
        lines.append(
            f"first update          {first['cold']:10.1f} s cold, {first['cached']:.1f} s with a compile cache"
        )
    lines += ["", "what costs how many products"]
    lines += [f"  {name:<26}{cost:8.2f}" for name, cost in report["costs"].items()]
    for name, points in report.get("sweeps", {}).items():
        lines += [
            "",
            *(
                f"{name} {value:>10}: {point['critic_updates_per_s']:10.1f} critic updates/s, {point['fraction']:.2f}"
                for value, point in points.items()
            ),
        ]
    lines += [f"largest {name} to smallest: {ratio:.2f}" for name, ratio in report.get("flatness", {}).items()]
    lines += ["", report["ring"], f"on {report['devices']}"]
    lines += [f"device={report['device']} cores={report['cores']} load before={report['load_before']:.1f}"]
    return "\n".join([*lines, *_verdict(report.get("against"))])


def _verdict(against: Mapping[str, Any] | None) -> list[str]:
    if against is None:
        return []
    lines = [f"slower than committed: {text}" for text in against["slower"]]
    lines += [f"faster than committed: {text}" for text in against["faster"]]
    lines += [f"committed, not measured: {name}" for name in against["missing"]]
    if not against["judged"]:
        lines.append("the committed ratios are of another kind of machine: this is no verdict")
    elif not against["slower"]:
        lines.append("nothing got slower")
    return lines
