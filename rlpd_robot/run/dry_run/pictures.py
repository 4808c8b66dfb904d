"""Pictures of a dry run as PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.run.dry_run.randomized import Randomized
from rlpd_robot.run.dry_run.sweep import Point
from rlpd_robot.run.dry_run.timeline import STAGES, Interventions
from rlpd_robot.run.dry_run.trials import Seen, Trial
from rlpd_robot.run.plotting import Palette, dress, legend, new_figure, to_png

Floats = NDArray[np.float64]

_BINS, _PER_DECADE = 60, 12
_QUIET = 0.45  # of a colour beside another


@dataclass(frozen=True, eq=False)
class Envelope:
    """What was commanded of each of C joints in one stage, as part of the robot's own range, 0 to 1.

    Attributes:
        names: (C,) of the joints.
        least, most: (C,) of everything executed.
        low, high: (C,) of the safety limits.
    """

    names: Sequence[str]
    least: Floats
    most: Floats
    low: Floats
    high: Floats


def intervals_png(intervals_ms: Floats, period_ms: float, palette: Palette) -> bytes:
    """Times between two commands as the robot saw them."""
    figure, axes = _panel("Time between two commands at the robot [ms]", palette)
    if len(intervals_ms):
        top = max(3 * period_ms, float(np.percentile(intervals_ms, 99.9)))
        axes.hist(np.clip(intervals_ms, 0, top), bins=_BINS, color=palette.main, log=True)
        axes.axvline(period_ms, color=palette.second, linewidth=1.6, label=f"control period {period_ms:g} ms")
        axes.set_ylabel("commands", color=palette.text, fontsize=9)
    legend(axes, palette)
    return to_png(figure, dpi=150)


def lateness_png(lateness_s: Floats, period_ms: float, palette: Palette) -> bytes:
    """How late the actor's ticks began: (N, 2) up to how late [s], and how many."""
    figure, axes = _panel("A tick begins late by [ms]", palette)
    if len(lateness_s):
        ends, counts = 1e3 * lateness_s[:, 0], lateness_s[:, 1]
        low, high = np.floor(np.log10(ends.min())), np.ceil(np.log10(max(ends.max(), 1.05 * period_ms)))
        edges = np.logspace(low, high, int(_PER_DECADE * (high - low)) + 1)
        axes.hist(ends, bins=edges, weights=counts, color=palette.main, log=True)
        axes.axvline(period_ms / 2, color=palette.demos, linewidth=1.6, label=f"half a period, {period_ms / 2:g} ms")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylabel("ticks", color=palette.text, fontsize=9)
    legend(axes, palette)
    return to_png(figure, dpi=150)


def ages_png(ages_ms: Floats, period_ms: float, palette: Palette) -> bytes:
    """Age of the state that a command answers, when the robot executed it."""
    figure, axes = _panel("From measurement to execution [ms]", palette)
    if len(ages_ms):
        limit_ms = FRESH_PERIODS * period_ms
        axes.hist(np.clip(ages_ms, 0, 1.2 * limit_ms), bins=_BINS, color=palette.main, log=True)
        axes.axvline(limit_ms, color=palette.demos, linewidth=1.6, label=f"refused from {limit_ms:g} ms on")
        axes.set_ylabel("commands", color=palette.text, fontsize=9)
    legend(axes, palette)
    return to_png(figure, dpi=150)


def stages_png(stages_ms: Floats, palette: Palette) -> bytes:
    """Each stage begins where the median of those before it ends."""
    figure, axes = _panel("From measurement to motion [ms]", palette, 2.6)
    p50, p99 = np.percentile(stages_ms, 50, axis=0), np.percentile(stages_ms, 99, axis=0)
    begins = np.concatenate([[0.0], np.cumsum(p50)[:-1]])
    y = np.arange(len(STAGES))
    axes.barh(y, p50, 0.6, left=begins, color=palette.main, label="median")
    axes.hlines(y, begins + p50, begins + p99, color=palette.demos, linewidth=1.6, label="p99")
    for i, (begin, half, high) in enumerate(zip(begins, p50, p99, strict=True)):
        text = f" {half:.2f}, {high:.2f}"
        axes.text(begin + max(half, high), i, text, va="center", color=palette.text, fontsize=8)
    axes.set_yticks(y, STAGES, fontsize=8)
    axes.set_ylim(len(STAGES) - 0.4, -1.9)
    axes.set_xlim(0, 1.25 * float((begins + np.maximum(p50, p99)).max()))
    legend(axes, palette)
    return to_png(figure, dpi=150)


def interventions_png(found: Interventions, palette: Palette) -> bytes:
    """When the safety filter acted, by cause."""
    by_cause = found.by_cause()
    figure, axes = _panel("Interventions of the safety filter [s]", palette, 1.5 + 0.26 * max(1, len(by_cause)))
    for y, (name, times) in enumerate(by_cause.items()):
        axes.scatter(
            times, np.full(len(times), y), s=30, marker="|", color=palette.demos, label=f"{name}: {len(times)}"
        )
    if not by_cause:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=palette.text, alpha=0.6)
        axes.set_yticks([])
    else:
        axes.set_yticks(range(len(by_cause)), list(by_cause), fontsize=8)
        axes.set_ylim(len(by_cause) - 0.4, -1.2 - 0.5 * len(by_cause))
        legend(axes, palette)
    axes.set_xlim(0, max(found.seconds, 1e-3))
    return to_png(figure, dpi=150)


def envelope_png(calm: Envelope | None, random: Envelope | None, palette: Palette) -> bytes:
    """What each joint was told, within its limits."""
    shown = calm or random
    count = len(shown.names) if shown is not None else 1
    figure, axes = _panel("Commands of each joint, as part of its range", palette, 1.4 + 0.17 * count)
    for envelope, colour, label, half in (
        (random, palette.main, "random commands", 0.36),
        (calm, palette.second, "the policy", 0.18),
    ):
        if envelope is not None:
            y = np.arange(count)
            width = envelope.most - envelope.least
            alpha = _QUIET if envelope is random and calm is not None else 1.0
            axes.barh(y, width, 2 * half, left=envelope.least, color=colour, alpha=alpha, label=label)
    if shown is not None:
        for i, (low, high) in enumerate(zip(shown.low, shown.high, strict=True)):
            axes.vlines([low, high], i - 0.45, i + 0.45, color=palette.demos, linewidth=1.6)
        axes.plot([], [], color=palette.demos, label="safety limits")
        axes.set_yticks(np.arange(count), shown.names, fontsize=7)
        axes.set_ylim(count - 0.4, -4.4)  # room for the legend
    axes.set_xlim(-0.05, 1.05)
    legend(axes, palette)
    return to_png(figure, dpi=150)


def stops_png(trials: Sequence[tuple[Trial, Seen]], palette: Palette) -> bytes:
    """From each fault to the robot's stop and to the actor's word."""
    stopped = [(trial, seen) for trial, seen in trials if seen.sentence]
    figure, axes = _panel("From a fault to the stop [s]", palette, 1.4 + 0.26 * max(1, len(stopped)))
    y = np.arange(len(stopped))
    if stopped:
        stops = np.maximum([seen.stopped_after_s for _, seen in stopped], 1e-3)  # NaN, where there was none, stays
        told = np.maximum([seen.told_after_s for _, seen in stopped], 1e-3)
        axes.hlines(y, 1e-3, told, color=palette.grid, linewidth=1.2)
        axes.scatter(stops, y, s=26, color=palette.main, label="the robot stands", zorder=3)
        axes.scatter(told, y, s=26, facecolors="none", edgecolors=palette.second, label="the actor tells", zorder=3)
        allowed = [trial.within_s if math.isfinite(trial.within_s) else math.nan for trial, _ in stopped]
        axes.scatter(allowed, y, s=60, marker="|", color=palette.demos, label="allowed", zorder=2)
        axes.set_yticks(y, [trial.name for trial, _ in stopped], fontsize=8)
        axes.set_ylim(len(stopped) - 0.4, -3.0)
        axes.set_xscale("log")
        axes.set_xlim(left=8e-4)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    legend(axes, palette)
    return to_png(figure, dpi=150)


def sweep_png(points: Sequence[Point], palette: Palette) -> bytes:
    """Success against the size of each imperfection."""
    figure, axes = _panel("Solved episodes [%]", palette, 1.4 + 0.17 * len(points))
    for y, point in enumerate(points):
        low, high = point.interval
        share = point.solved / point.episodes
        colour = palette.main if y == 0 or point.solved >= points[0].solved * 0.8 else palette.demos
        axes.errorbar(
            100 * share,
            y,
            xerr=[[100 * max(0.0, share - low)], [100 * max(0.0, high - share)]],
            fmt="o",
            markersize=4,
            color=colour,
            linewidth=1.4,
        )
    axes.plot([], [], "o-", color=palette.main, label="nearly as without it")
    axes.plot([], [], "o-", color=palette.demos, label="a fifth less, or worse")
    axes.set_yticks(range(len(points)), [f"{point.name} {point.size}" for point in points], fontsize=7)
    axes.set_ylim(len(points) - 0.4, -3.2)
    axes.set_xlim(-3, 103)
    legend(axes, palette)
    return to_png(figure, dpi=150)


def randomized_png(found: Randomized, palette: Palette) -> bytes:
    """Return of each episode on another robot, the worst first; success with its interval."""
    figure, axes = _panel("Normalised return of each robot [%]", palette)
    returns = sorted(zip(found.returns, found.solved, strict=True))
    low, high = found.interval
    share = sum(found.solved) / len(found.solved)
    label = f"solved {100 * share:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
    for solved, colour, text in ((True, palette.main, label), (False, palette.demos, "not solved")):
        x = [i for i, (_, good) in enumerate(returns) if good is solved]
        axes.bar(x, [max(returns[i][0], 0.5) for i in x], 0.8, color=colour, label=text if x else None)
    axes.set_xlabel("episodes, the worst first", color=palette.text, fontsize=9)
    axes.set_xticks([])
    axes.set_ylim(0, 1.35 * max(1.0, *found.returns))  # room for the legend
    legend(axes, palette)
    return to_png(figure, dpi=150)


def _panel(title: str, palette: Palette, height: float = 3.1) -> tuple[Any, Any]:
    figure = new_figure(4.7, height, palette)
    axes = figure.add_subplot()
    dress(axes, title, palette)
    return figure, axes
