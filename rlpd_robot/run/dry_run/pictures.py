"""Pictures of a dry run as PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.run.dry_run.sweep import Point
from rlpd_robot.run.dry_run.trials import Seen, Trial
from rlpd_robot.run.plotting import Palette, dress, legend, new_figure, to_png

Floats = NDArray[np.float64]

_BINS = 60
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


def _panel(title: str, palette: Palette, height: float = 3.1) -> tuple[Any, Any]:
    figure = new_figure(4.7, height, palette)
    axes = figure.add_subplot()
    dress(axes, title, palette)
    return figure, axes
