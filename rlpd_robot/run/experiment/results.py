"""What a study came to: one tidy table of all evaluations, and per row a mean with its interval over seeds."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.files import replace_file
from rlpd_robot.run.experiment.plan import Job
from rlpd_robot.run.statistics import mean_interval

TIDY, SUMMARY = "results.csv", "results.json"

ENOUGH = 5
"""Seeds from which an interval is given: of fewer, resampling can but repeat the lowest and the highest."""

GOOD = 0.9
"""Share of an evaluation's episodes solved once from which it counts as good."""

COLUMNS = ("row", "seed", "at", "env_steps", "critic_updates", "wall_s", "success", "solved", "return", "measure")
"""Of results.csv: an evaluation a line; what they mean: docs/experiments.md."""


def summarise(jobs: Sequence[Job]) -> dict[str, Any]:
    """Rows in their order, with the seeds that are done.

    Returns:
        "measure", "source", "rows": row → seeds, values [%], mean, interval (none of fewer than five seeds), published,
        curve (at, mean, std, seeds of the evaluations that any seed has), findings (check → seeds that ended with it),
        reached (seed by seed, transitions at the first evaluation with `GOOD` success; none: it never was), below (seed
        by seed, share of the evaluations after the start with less success than the start had).
    """
    study = jobs[0].settings.study
    rows = {row: [job for job in jobs if job.row == row] for row in dict.fromkeys(job.row for job in jobs)}
    return {
        "measure": study.measure,
        "source": study.source,
        "rows": {row: _row(mine, study.published.get(row)) for row, mine in rows.items()},
    }


def _row(jobs: Sequence[Job], published: float | None) -> dict[str, Any]:
    done = [job for job in jobs if job.result() is not None]
    results = [result for job in done if (result := job.result()) is not None]
    values = [float(result["measure"]) for result in results]
    findings: dict[str, int] = {}
    for result in results:
        for key in result["findings"]:
            findings[key] = findings.get(key, 0) + 1
    return {
        "seeds": [result["seed"] for result in results],
        "wanted": len(jobs),
        "values": values,
        "mean": float(np.mean(values)) if values else None,
        "interval": list(mean_interval(values)) if len(values) >= ENOUGH else None,
        "published": published,
        "curve": curve_of([job.curve() for job in jobs]),
        "findings": findings,
        "reached": [reached(job.curve()) for job in done],
        "below": [below_start(job.curve()) for job in done],
    }


def reached(curve: Sequence[Mapping[str, Any]]) -> int | None:
    """Transitions at the first evaluation with `GOOD` success."""
    return next((int(row["at"]) for row in curve if row["success"] >= GOOD), None)


def below_start(curve: Sequence[Mapping[str, Any]]) -> float:
    """Share of the evaluations after the first with less success than that: what cloning gives is lost so long."""
    return float(np.mean([row["success"] < curve[0]["success"] for row in curve[1:]])) if len(curve) > 1 else 0.0


def curve_of(curves: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, float]]:
    """Mean and standard deviation over seeds at each number of transitions at which any seed was evaluated."""
    by_steps: dict[int, list[float]] = {}
    for curve in curves:
        for at, value in {int(row["at"]): float(row["measure"]) for row in curve}.items():  # the last one at a step
            by_steps.setdefault(at, []).append(value)
    return [
        {"at": at, "mean": float(np.mean(values)), "std": float(np.std(values)), "seeds": len(values)}
        for at, values in sorted(by_steps.items())
    ]


def tidy(jobs: Sequence[Job]) -> str:
    """All evaluations as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for job in jobs:
        for row in job.curve():
            writer.writerow([{"row": job.row, "seed": job.seed, **row}.get(column, "") for column in COLUMNS])
    return text.getvalue()


def write_results(directory: Path, jobs: Sequence[Job]) -> dict[str, Any]:
    """Write results.csv and results.json, each whole or not at all, and return the latter."""
    summary = summarise(jobs)
    replace_file(directory / TIDY, tidy(jobs).encode())
    replace_file(directory / SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


def table(summary: Mapping[str, Any]) -> str:
    """For the terminal: a row a line, what was published beside it where that is known."""
    head = (
        "row",
        "mean",
        "lowest to highest",
        "95 % interval of the mean",
        "seeds",
        "published",
        "90 % success at",
        "out of bounds at the end",
    )
    lines = [head, *(_cells(row, figures) for row, figures in summary["rows"].items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([f"[%] {summary['measure']}, at the end", *text])


def _cells(row: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    interval, published, values = figures["interval"], figures["published"], figures["values"]
    findings = ", ".join(f"{key} ({count})" for key, count in figures["findings"].items())
    return (
        row,
        "-" if figures["mean"] is None else f"{figures['mean']:.1f}",
        f"{min(values):.1f} to {max(values):.1f}" if values else "-",
        "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}",
        f"{len(figures['seeds'])} of {figures['wanted']}",
        "-" if published is None else f"{published:.1f}",
        _reached(figures["reached"]),
        findings or "-",
    )


def _reached(values: Sequence[int | None]) -> str:
    """Median over the seeds that reached it, and how many did."""
    there = [value for value in values if value is not None]
    return f"{np.median(there):.0f} ({len(there)} of {len(values)})" if there else "-"
