"""The verdict as JSON and as one self-contained page."""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.dry_run.check import Check, is_go
from rlpd_robot.run.dry_run.pictures import (
    Envelope,
    ages_png,
    envelope_png,
    intervals_png,
    interventions_png,
    lateness_png,
    randomized_png,
    stages_png,
    stops_png,
    sweep_png,
)
from rlpd_robot.run.dry_run.randomized import Randomized
from rlpd_robot.run.dry_run.sweep import Point
from rlpd_robot.run.dry_run.timeline import STAGES, Interventions
from rlpd_robot.run.dry_run.trials import Seen, Trial, judge
from rlpd_robot.run.page import badge, details, escape, figure, page, table, tile
from rlpd_robot.run.plotting import DARK, LIGHT, Palette

FAULT = "fault: "
"""How the name of a trial's check begins."""

VERDICT, SHEET = "verdict.json", "verdict.html"

Floats = NDArray[np.float64]


@dataclass(eq=False)
class Findings:
    """Everything a dry run has found until now.

    Attributes:
        robot, task: names.
        policy: file, or "".
        period_s: of control [s].
        checks: in the order in which they were made.
        trials: what was inflicted, and what came of it.
        intervals_ms: between two commands at the robot, undisturbed [ms].
        lateness_s: (N, 2) up to how late ticks began [s], and how many, undisturbed.
        others: cores that other programs used meanwhile, on average; NaN where that is not known.
        ages_ms: from measurement to execution [ms].
        stages_ms: (N, 5) where that time went, see `timeline.STAGES` [ms].
        interventions: of the safety filter, undisturbed; or none.
        calm, random: what was commanded.
        points: of the sweep.
        randomized: success on other robots, or none.
        wall_s: how long it took [s].
        config_text: composed settings.
    """

    robot: str
    task: str
    policy: str
    config_text: str
    period_s: float = math.nan
    checks: list[Check] = field(default_factory=list)
    trials: list[tuple[Trial, Seen]] = field(default_factory=list)
    intervals_ms: Floats = field(default_factory=lambda: np.zeros(0))
    lateness_s: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    others: float = math.nan
    ages_ms: Floats = field(default_factory=lambda: np.zeros(0))
    stages_ms: Floats = field(default_factory=lambda: np.zeros((0, len(STAGES))))
    interventions: Interventions | None = None
    calm: Envelope | None = None
    random: Envelope | None = None
    points: list[Point] = field(default_factory=list)
    randomized: Randomized | None = None
    wall_s: float = 0.0

    @property
    def go(self) -> bool:
        """The verdict."""
        return is_go(self.checks)

    @property
    def failed(self) -> list[Check]:
        """What stands against it."""
        return [check for check in self.checks if check.passed is False]

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        if self.go:
            unjudged = sum(check.passed is None for check in self.checks)
            return f"Go: {len(self.checks) - unjudged} checks passed" + (
                f", {unjudged} not judged." if unjudged else "."
            )
        names = ", ".join(check.name for check in self.failed[:4])
        more = len(self.failed) - 4
        return f"No go: {names}" + (f" and {more} more." if more > 0 else ".")


def write(findings: Findings, folder: Path) -> None:
    """Write both, each whole or not at all."""
    _replace(folder / VERDICT, json.dumps(to_json(findings), indent=1).encode())
    _replace(folder / SHEET, html(findings).encode())


def to_json(findings: Findings) -> dict[str, Any]:
    """Plain values; a time that never came is null."""
    return {
        "go": findings.go,
        "sentence": findings.sentence,
        "robot": findings.robot,
        "task": findings.task,
        "policy": findings.policy or None,
        "period_s": _number(findings.period_s),
        "wall_s": round(findings.wall_s, 1),
        "other_programs_cores": _number(findings.others),
        "checks": [check.to_json() for check in findings.checks],
        "trials": [
            {
                "name": trial.name,
                "expects": trial.expects,
                "causes": list(trial.causes),
                "within_s": _number(trial.within_s),
                "sentence": seen.sentence,
                "told_after_s": _number(seen.told_after_s),
                "stopped_after_s": _number(seen.stopped_after_s),
                "moved_after": seen.moved_after,
                "problems": judge(trial, seen, findings.period_s),
            }
            for trial, seen in findings.trials
        ],
        "stages_ms": {
            name: {"p50": _number(float(np.percentile(column, 50))), "p99": _number(float(np.percentile(column, 99)))}
            for name, column in zip(STAGES, findings.stages_ms.T, strict=True)
            if len(column)
        },
        "interventions": {name: len(times) for name, times in findings.interventions.by_cause().items()}
        if findings.interventions is not None
        else None,
        "randomized": findings.randomized.to_json() if findings.randomized is not None else None,
        "sweep": [point.to_json() for point in findings.points],
    }


def html(findings: Findings) -> str:
    """The page."""
    word, kind = ("Go", "good") if findings.go else ("No go", "bad")
    facts = [findings.robot, findings.task, findings.policy or "random actions", f"{findings.wall_s:.0f} s"]
    head = (
        f'<header>{badge(word, kind)}<p class="facts">{" · ".join(escape(fact) for fact in facts)}</p>'
        f"<h1>{escape(findings.sentence)}</h1></header>"
    )
    body = [
        head,
        f'<section class="tiles">{"".join(_tiles(findings))}</section>',
        _failures(findings),
        _section("Checks", [check for check in findings.checks if not check.name.startswith(FAULT)]),
        _section("Faults that were inflicted", [check for check in findings.checks if check.name.startswith(FAULT)]),
        _pictures(findings),
        _sweep(findings.points),
        details("Settings", f"<pre>{escape(findings.config_text)}</pre>"),
    ]
    return page(f"Dry run of {findings.robot}: {word}", "\n".join(part for part in body if part))


def _tiles(findings: Findings) -> list[str]:
    judged = [check for check in findings.checks if check.passed is not None]
    passed = sum(bool(check.passed) for check in judged)
    tiles = [tile("Checks", f"{passed} of {len(judged)}", "passed", passed < len(judged))]
    by_name = {check.name: check for check in findings.checks}
    if (success := by_name.get("success")) is not None and success.passed is not None:
        solved = success.measured if success.measured[0].isdigit() else "none"
        tiles.append(tile("Solved", solved, "undisturbed episodes", not success.passed))
    if findings.trials:
        good = sum(not judge(trial, seen, findings.period_s) for trial, seen in findings.trials)
        note = "as they must end"
        tiles.append(tile("Faults", f"{good} of {len(findings.trials)}", note, good < len(findings.trials)))
    stops = [seen.stopped_after_s for _, seen in findings.trials if math.isfinite(seen.stopped_after_s)]
    if stops:
        tiles.append(tile("Slowest stop", f"{max(stops):.2f} s", "after a fault began"))
    if len(findings.ages_ms):
        p99 = float(np.percentile(findings.ages_ms, 99))
        tiles.append(tile("Command age", f"{p99:.1f} ms", "p99, from measurement to execution"))
    return tiles


def _failures(findings: Findings) -> str:
    if not findings.failed:
        return ""
    rows = [(check.name, check.measured, check.remedy) for check in findings.failed]
    head = ("Check", "Measured", "What to do")
    return f'<section class="named"><h2>What stands against it</h2>{table(rows, head)}</section>'


def _section(title: str, checks: Sequence[Check]) -> str:
    return f'<section class="named"><h2>{escape(title)}</h2>{_checks(checks)}</section>' if checks else ""


def _checks(checks: Sequence[Check]) -> str:
    signs = {True: "✓", False: "✗", None: "–"}
    rows = [(signs[c.passed], c.name, c.requirement, c.measured) for c in checks]
    return table(rows, ("", "Check", "Requirement", "Measured"), ["error" if c.passed is False else "" for c in checks])


def _pictures(findings: Findings) -> str:
    period_ms = 1e3 * findings.period_s
    drawn: list[tuple[str, str, Callable[[Palette], bytes]]] = []
    if len(findings.lateness_s):
        drawn.append(
            (
                "Lateness of ticks",
                "Undisturbed: how long after its deadline each tick of the actor began.",
                lambda palette: lateness_png(findings.lateness_s, period_ms, palette),
            )
        )
    if len(findings.intervals_ms):
        drawn += [
            (
                "Time between two commands",
                "Undisturbed. Everything far to the right of the line is a tick that came late.",
                lambda palette: intervals_png(findings.intervals_ms, period_ms, palette),
            ),
            (
                "Age of commands",
                "How old the state was that a command answers, when the robot executed it.",
                lambda palette: ages_png(findings.ages_ms, period_ms, palette),
            ),
        ]
    if len(findings.stages_ms):
        drawn.append(
            (
                "Where the time goes",
                "From a measurement until the robot follows the command that answers it: median and p99 of each stage.",
                lambda palette: stages_png(findings.stages_ms, palette),
            )
        )
    if (acted := findings.interventions) is not None and acted.steps:
        drawn.append(
            (
                "Interventions of the safety filter",
                f"Undisturbed: {len(acted.times_s)} of {acted.steps} commands were others than proposed, and why.",
                lambda palette: interventions_png(acted, palette),
            )
        )
    if findings.trials:
        drawn.append(
            (
                "Stops",
                "From the beginning of a fault to the robot's stop by its own book, and until the actor told.",
                lambda palette: stops_png(findings.trials, palette),
            )
        )
    if findings.calm is not None or findings.random is not None:
        drawn.append(
            (
                "Envelope",
                "Smallest to largest command that the robot executed, by its own book.",
                lambda palette: envelope_png(findings.calm, findings.random, palette),
            )
        )
    if (randomized := findings.randomized) is not None:
        drawn.append(
            (
                "Success under randomisation",
                "Another robot in each episode, in lock-step: " + _ranges(randomized) + ".",
                lambda palette: randomized_png(randomized, palette),
            )
        )
    if findings.points:
        drawn.append(
            (
                "What the policy bears",
                "Solved episodes in lock-step, with 95 % Wilson intervals, for each size of each imperfection.",
                lambda palette: sweep_png(findings.points, palette),
            )
        )
    figures = [figure(name, caption, draw(LIGHT), draw(DARK)) for name, caption, draw in drawn]
    return f'<section><h2>Pictures</h2><div class="figures">{"".join(figures)}</div></section>' if figures else ""


def _ranges(found: Randomized) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {low:g} to {high:g}" for name, (low, high) in found.ranges.items())


def _sweep(points: Sequence[Point]) -> str:
    """Each size of each imperfection."""
    if not points:
        return ""
    rows = []
    for point in points:
        low, high = point.interval
        solved = f"{point.solved} of {point.episodes}"
        rows.append(
            (
                point.name,
                point.size,
                solved,
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{point.normalized_return:.1f} %",
            )
        )
    head = ("Imperfection", "Size", "Solved", "95 % interval", "Normalised return")
    return details(f"What the policy bears, size by size ({len(rows)})", table(rows, head))


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
