"""Figures of one episode: what was asked for, what was seen, what it was worth, and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.plotting import Palette, dress, legend, literal, new_figure, pixels
from rlpd_robot.run.show.overview import PURPOSE
from rlpd_robot.run.show.survey import periods_of, responses_of
from rlpd_robot.types import Segment

MAX_TRACES = 80
"""Numbers of an action or observation that are drawn; of more, the first."""

WIDTH, DPI = 6.3, 120  # [inches]
_SHORT = 3.1  # [inches] height of a panel without rows
_ROW, _LETTER = 0.165, 0.055  # [inches] height of a row, width of a letter of its name
_BELOW, _ABOVE, _SIDE = 0.5, 0.4, 0.62  # [inches] margins
_SWING = 0.44  # of a row, to either side


@dataclass(frozen=True, eq=False)
class Shown:
    """One episode and what its figures need beside it.

    Attributes:
        index: in its store.
        episode: as recorded.
        actions, observations: names of their numbers.
        low, high: (O,) range of each number of the observations, over the store.
        period_ms: control period that was wanted.
    """

    index: int
    episode: Segment
    actions: Sequence[str]
    observations: Sequence[str]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    period_ms: float


@dataclass(frozen=True)
class Panel:
    """One figure: how to draw it, in a sentence what it is, and the names of its rows where it has some."""

    name: str
    caption: str
    draw: Callable[[Any, Shown, Palette], None]
    traces: Callable[[Shown], Sequence[str]] | None = None
    right: float = 0.15  # [inches] margin beside rows


def draw_panel(panel: Panel, shown: Shown, palette: Palette) -> NDArray[np.uint8]:
    """(H, W, 3) one panel, sized to be read on a telephone.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    names = panel.traces(shown) if panel.traces is not None else None
    if names is None:
        figure = new_figure(WIDTH, _SHORT, palette, PURPOSE, (_SIDE, _SIDE, _BELOW, _ABOVE))
    else:
        left = 0.2 + _LETTER * max(map(len, names))
        height = _BELOW + _ABOVE + _ROW * max(6, min(len(names), MAX_TRACES))
        figure = new_figure(WIDTH, height, palette, PURPOSE, (left, panel.right, _BELOW, _ABOVE))
    axes = figure.subplots()
    dress(axes, panel.name, palette, "step")
    panel.draw(axes, shown, palette)
    axes.set_xlim(0, len(shown.episode))
    return pixels(figure, DPI)


def _traces(
    axes: Any,
    values: NDArray[np.float32],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    names: Sequence[str],
    color: str,
    palette: Palette,
    width: float = 0.9,
) -> None:
    """Each number as a curve in a row of its own, from low at the row's bottom to high at its top."""
    from matplotlib.collections import LineCollection

    shown = min(values.shape[1], MAX_TRACES)
    span = np.where(high > low, high - low, 1.0)
    share = np.where(high > low, (values - low) / span, 0.5)
    steps = np.arange(len(values))
    rows = shown - 1 - np.arange(shown)
    curves = [np.column_stack([steps, row + _SWING * (2 * share[:, i] - 1)]) for i, row in enumerate(rows)]
    axes.add_collection(LineCollection(curves, colors=color, linewidths=width))
    axes.set_ylim(-0.6, shown - 0.4)
    axes.set_yticks(rows, [literal(name) for name in names[:shown]], fontsize=6.5)
    axes.grid(visible=False, axis="y")
    more = values.shape[1] - shown
    if more:
        axes.text(1.0, 1.01, f"and {more} more", transform=axes.transAxes, ha="right", color=palette.text, fontsize=8)


def _ranges(axes: Any, low: NDArray[np.float64], high: NDArray[np.float64], palette: Palette) -> None:
    """What bottom and top of each row stand for, at the right."""
    shown = min(len(low), MAX_TRACES)
    right = axes.secondary_yaxis("right")
    texts = [f"{a:.3g} to {b:.3g}" for a, b in zip(low[:shown], high[:shown], strict=True)]
    right.set_yticks(shown - 1 - np.arange(shown), texts, fontsize=6.5)
    right.tick_params(colors=palette.text, length=0)
    right.spines[:].set_visible(False)


def _draw_actions(axes: Any, shown: Shown, palette: Palette) -> None:
    e = shown.episode
    ends = np.full(e.actions.shape[1], 1.0)
    _traces(axes, e.proposed_actions, -ends, ends, shown.actions, palette.demos, palette, width=0.6)
    _traces(axes, e.actions, -ends, ends, shown.actions, palette.main, palette)
    axes.plot([], [], color=palette.main, label="executed")
    axes.plot([], [], color=palette.demos, linewidth=0.6, label="proposed")
    box = axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8, frameon=False)
    for text in box.get_texts():
        text.set_color(palette.text)


def _draw_observations(axes: Any, shown: Shown, palette: Palette) -> None:
    _traces(axes, shown.episode.observations, shown.low, shown.high, shown.observations, palette.main, palette)
    _ranges(axes, shown.low, shown.high, palette)


def _draw_rewards(axes: Any, shown: Shown, palette: Palette) -> None:
    e = shown.episode
    steps = np.arange(len(e)) + 0.5
    axes.step(steps, e.rewards, where="mid", color=palette.main, label="reward")
    bottom, top = axes.get_ylim()
    pad = 0.05 * (top - bottom)
    lanes = (
        (e.success, palette.evaluation, "solved"),
        (e.intervened, palette.second, "a person acted"),
        (e.filtered, palette.demos, "safety changed the command"),
    )
    for i, (marks, color, label) in enumerate(lanes, 1):
        if marks.any():
            y = bottom - i * 2 * pad
            axes.scatter(steps[marks], np.full(marks.sum(), y), marker="|", s=30, color=color, label=label)
    axes.set_ylim(bottom - 7.5 * pad, top)
    right = axes.twinx()
    right.plot(steps, np.cumsum(e.rewards, dtype=np.float64), color=palette.second, linewidth=1.2)
    right.spines[:].set_visible(False)
    right.tick_params(colors=palette.second, labelsize=9, length=0)
    axes.plot([], [], color=palette.second, linewidth=1.2, label="return so far (right)")
    legend(axes, palette)


def _draw_rates(axes: Any, shown: Shown, palette: Palette) -> None:
    periods, responses = periods_of(shown.episode), responses_of(shown.episode)
    axes.axhline(shown.period_ms, color=palette.demos, linestyle=(0, (5, 3)), label=f"wanted {shown.period_ms:g} ms")
    if len(periods):
        axes.plot(
            np.arange(len(periods)) + 0.5,
            periods,
            color=palette.main,
            linewidth=1.0,
            label=f"between states (median {np.median(periods):.3g}, longest {periods.max():.3g} ms)",
        )
    axes.plot(
        np.arange(len(responses)),
        responses,
        color=palette.second,
        linewidth=1.0,
        label=f"state to command (median {np.median(responses):.3g}, longest {responses.max():.3g} ms)",
    )
    usual = np.percentile(np.concatenate([periods, responses]), 99)
    axes.set_ylim(0, 1.6 * max(usual, shown.period_ms))
    legend(axes, palette)


PANELS = (
    Panel(
        "Actions, −1 to 1",
        "Commands in shares of the robot's range, over the steps: as executed, and as policy or person proposed them.",
        _draw_actions,
        lambda shown: shown.actions,
    ),
    Panel(
        "Observations, each over its range in the store",
        "Every number that policy and critic see, from its lowest to its highest value in the whole store.",
        _draw_observations,
        lambda shown: shown.observations,
        right=1.05,  # for the ranges
    ),
    Panel(
        "Reward",
        "Reward of each step and their sum so far; marks below: solved, a person acted, the safety filter changed the "
        "command.",
        _draw_rewards,
    ),
    Panel(
        "Control period [ms]",
        "Time between two states, and from a state's arrival until its command was sent.",
        _draw_rates,
    ),
)
"""In the order in which they are shown."""
