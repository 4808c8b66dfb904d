"""Learning curves of a run as PNG. Matplotlib, through its object interface on the Agg canvas alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.plotting import LIGHT, Palette, dress, legend, literal, new_figure, to_png
from rlpd_robot.run.run_record import RunRecord, number, section
from rlpd_robot.run.statistics import mean_interval, rolling_mean, wilson_interval

WINDOW = 20
"""Training episodes that the rolling curves look back over."""

_POINTS = 2000  # of one line; more would be drawn into the same pixels
_SMOOTHED_SHARE = 50  # a noisy line is shown as its mean over 1/50 of its length


@dataclass(frozen=True)
class Panel:
    """One figure of the report: how to draw it, and in a sentence what it is."""

    name: str
    caption: str
    draw: Callable[[Any, RunRecord, Palette], None]


def curves_png(run: RunRecord, palette: Palette = LIGHT) -> bytes:
    """All panels on one sheet: what was learned above, how the learning went below.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(13.0, 8.6, palette, "the learning curves")
    grid = figure.add_gridspec(2, 12, height_ratios=(1.35, 1.0))
    places = [grid[0, :6], grid[0, 6:], *(grid[1, 3 * i : 3 * i + 3] for i in range(4))]
    for panel, place in zip(PANELS, places, strict=True):
        _draw(panel, figure.add_subplot(place), run, palette)
    task, seed = run.summary.get("task"), run.summary.get("seed")
    if task is not None:
        figure.suptitle(literal(f"{task}, seed {seed}"), color=palette.text, fontsize=13, fontweight="bold")
    return to_png(figure, dpi=120)


def panel_png(panel: Panel, run: RunRecord, palette: Palette) -> bytes:
    """One panel, sized to be read on a telephone.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(4.7, 3.1, palette, "the learning curves")
    _draw(panel, figure.add_subplot(), run, palette)
    return to_png(figure, dpi=150)


def _draw(panel: Panel, axes: Any, run: RunRecord, palette: Palette) -> None:
    dress(axes, panel.name, palette, "live steps")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}")
    panel.draw(axes, run, palette)
    axes.set_xlim(left=0)
    legend(axes, palette)


def _log_scale(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_return(axes: Any, run: RunRecord, palette: Palette) -> None:
    axes.set_ylim(-3, 103)
    steps, returns = run.episode_column("normalized_return")
    _dots(axes, run, palette)
    _line(axes, *_rolling(steps, returns), palette.main, f"mean of {WINDOW} episodes", width=2.2)
    _level(axes, run.demo_return, palette, f"demonstrations {run.demo_return:.1f}")
    values = [value for e in run.evaluation if np.isfinite(value := number(e, "normalized_return"))]
    if values:
        low, high = mean_interval(values)
        _point(axes, run, float(np.mean(values)), low, high, palette, f"evaluation {np.mean(values):.1f}")


def _draw_success(axes: Any, run: RunRecord, palette: Palette) -> None:
    axes.set_ylim(-3, 103)
    steps, successes = run.episode_column("success")
    _line(axes, *_rolling(steps, 100 * successes), palette.main, f"share of {WINDOW} episodes", width=2.2)
    share = 100 * number(section(run.summary, "demos"), "success_rate")
    _level(axes, share, palette, f"demonstrations {share:.0f}")
    if run.evaluation:
        n, good = len(run.evaluation), sum(bool(e.get("success")) for e in run.evaluation)
        low, high = wilson_interval(good, n)
        _point(axes, run, 100 * good / n, 100 * low, 100 * high, palette, f"evaluation {good} of {n}")


def _draw_utd(axes: Any, run: RunRecord, palette: Palette) -> None:
    _line(axes, *run.column("utd_realised"), palette.main, "realised")
    _line(axes, *run.column("utd_target"), palette.demos, "target", style=(0, (5, 3)))
    top = max((line.get_ydata().max() for line in axes.get_lines() if len(line.get_ydata())), default=1.0)
    axes.set_ylim(0, 1.25 * top or 1.0)


def _draw_values(axes: Any, run: RunRecord, palette: Palette) -> None:
    _smooth(axes, *run.column("learner/q"), palette.main, "Q")
    _smooth(axes, *run.column("learner/target_q"), palette.second, "target")


def _draw_losses(axes: Any, run: RunRecord, palette: Palette) -> None:
    steps, loss = run.column("learner/critic_loss")
    _smooth(axes, steps, loss, palette.main, "critic loss")
    if len(loss) and loss.min() > 0:
        _log_scale(axes)


def _draw_exploration(axes: Any, run: RunRecord, palette: Palette) -> None:
    _smooth(axes, *run.column("learner/entropy"), palette.main, "entropy (left)")
    steps, temperature = run.column("learner/temperature")
    if not len(steps):
        return
    right = axes.twinx()
    right.spines[:].set_visible(False)
    right.tick_params(which="both", colors=palette.second, labelsize=9, length=0)
    axes.tick_params(axis="y", colors=palette.main)
    if temperature.min() > 0:
        _log_scale(right)
    _line(right, steps, temperature, palette.second, "temperature (right)")
    axes.plot([], [], color=palette.second, label="temperature (right)")  # so that one legend names both


PANELS = (
    Panel(
        "Normalised return [%]",
        "Share of the horizon spent in the solved state. Dots are single training episodes, hollow ones without "
        "exploration noise; the bar is the final evaluation's 95 % bootstrap interval.",
        _draw_return,
    ),
    Panel(
        "Success [%]",
        "Share of training episodes that reached the solved state; the bar is the final evaluation's 95 % Wilson "
        "interval.",
        _draw_success,
    ),
    Panel("Updates per live step", "Update-to-data ratio since the start of learning.", _draw_utd),
    Panel("Value", "Mean of the critics over a minibatch, and of their targets.", _draw_values),
    Panel(
        "Critic loss",
        "The critics' loss: mean squared error, or cross-entropy where they are categorical.",
        _draw_losses,
    ),
    Panel("Exploration", "The policy's entropy [nat] and the temperature that holds it.", _draw_exploration),
)
"""In the order in which they are shown; the first two say what was learned."""


def _rolling(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rolling mean, from where it is a mean of enough episodes to mean something."""
    start = WINDOW // 4 if len(values) > WINDOW else 0
    return steps[start:], rolling_mean(values, WINDOW)[start:]


def _level(axes: Any, value: float, palette: Palette, label: str) -> None:
    if np.isfinite(value):
        axes.axhline(value, color=palette.demos, linestyle=(0, (5, 3)), linewidth=1.6, label=label)


def _line(
    axes: Any,
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    color: str,
    label: str,
    width: float = 1.6,
    style: Any = "-",
) -> None:
    if not len(steps):
        return
    stride = max(1, len(steps) // _POINTS)
    axes.plot(steps[::stride], values[::stride], color=color, linewidth=width, linestyle=style, label=label)


def _smooth(axes: Any, steps: NDArray[np.float64], values: NDArray[np.float64], color: str, label: str) -> None:
    if not len(steps):
        return
    stride = max(1, len(steps) // _POINTS)
    axes.plot(steps[::stride], values[::stride], color=color, linewidth=0.8, alpha=0.3)
    _line(axes, steps, rolling_mean(values, max(1, len(values) // _SMOOTHED_SHARE)), color, label)


def _dots(axes: Any, run: RunRecord, palette: Palette) -> None:
    for explore, fill in ((True, palette.main), (False, "none")):
        chosen = [e for e in run.episodes if bool(e.get("explore", True)) is explore]
        x = [number(e, "env_steps") for e in chosen]
        y = [number(e, "normalized_return") for e in chosen]
        axes.scatter(x, y, s=11, facecolors=fill, edgecolors=palette.main, linewidths=0.7, alpha=0.4)


def _point(axes: Any, run: RunRecord, value: float, low: float, high: float, palette: Palette, label: str) -> None:
    at = max((number(row, "env_steps") for row in (*run.rows, *run.episodes, run.summary)), default=0.0)
    axes.errorbar(
        [at if np.isfinite(at) else 0.0],
        [value],
        yerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
        fmt="D",
        markersize=6,
        color=palette.evaluation,
        capsize=4,
        linewidth=1.8,
        label=label,
        clip_on=False,
        zorder=5,
    )
