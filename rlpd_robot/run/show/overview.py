"""Figures of a whole store, one dot an episode."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.plotting import Palette, dress, legend, new_figure, pixels
from rlpd_robot.run.show.survey import Survey

PURPOSE = "the pictures of demonstrations"
WIDTH, HEIGHT, DPI = 5.4, 3.1, 130  # [inches]
MARGINS = (0.62, 0.15, 0.5, 0.4)  # [inches]


@dataclass(frozen=True)
class Panel:
    """One figure: how to draw it, and in a sentence what it is."""

    name: str
    caption: str
    draw: Callable[[Any, Survey, Palette], None]


def draw_panel(panel: Panel, found: Survey, palette: Palette) -> NDArray[np.uint8]:
    """(H, W, 3) one panel, sized to be read on a telephone.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(WIDTH, HEIGHT, palette, PURPOSE, MARGINS)
    axes = figure.subplots()
    dress(axes, panel.name, palette, "episode")
    panel.draw(axes, found, palette)
    axes.set_xlim(-0.5, len(found.facts) - 0.5)
    legend(axes, palette)
    return pixels(figure, DPI)


def _dots(axes: Any, found: Survey, values: NDArray[np.float64], palette: Palette) -> None:
    """One an episode: whether it was solved by colour, hidden ones hollow."""
    number = np.arange(len(found.facts))
    solved = np.array([f.success for f in found.facts], np.bool_)
    hidden = np.array([f.hidden is not None for f in found.facts], np.bool_)
    size = 34 if len(number) <= 100 else 10
    groups = ((solved, palette.evaluation, "o", "solved"), (~solved, palette.demos, "X", "not solved"))
    for chosen, color, marker, word in groups:
        for some, face, label in ((chosen & ~hidden, color, word), (chosen & hidden, "none", f"{word}, hidden")):
            if some.any():
                axes.scatter(
                    number[some], values[some], s=size, marker=marker, facecolors=face, edgecolors=color, label=label
                )


def _draw_return(axes: Any, found: Survey, palette: Palette) -> None:
    _dots(axes, found, np.array([f.total for f in found.facts], np.float64), palette)


def _draw_steps(axes: Any, found: Survey, palette: Palette) -> None:
    axes.axhline(found.horizon, color=palette.grid, linewidth=2, label=f"horizon {found.horizon}", zorder=0)
    _dots(axes, found, np.array([f.steps for f in found.facts], np.float64), palette)
    axes.set_ylim(bottom=0)


def _draw_solved(axes: Any, found: Survey, palette: Palette) -> None:
    at = np.array([np.nan if f.solved_at is None else f.solved_at for f in found.facts], np.float64)
    number = np.arange(len(at))
    axes.scatter(number, at, s=20, color=palette.evaluation, label="first solved after this step")
    missed = number[np.isnan(at)]
    if len(missed):
        axes.scatter(missed, np.zeros(len(missed)), s=30, marker="X", color=palette.demos, label="never solved")
    axes.set_ylim(bottom=-1)


def _draw_rates(axes: Any, found: Survey, palette: Palette) -> None:
    median, low, high = found.periods_ms.T
    number = np.arange(len(median))
    axes.axhline(found.period_ms, color=palette.demos, linestyle=(0, (5, 3)), label=f"wanted {found.period_ms:g} ms")
    axes.vlines(number, low, high, color=palette.main, alpha=0.45, linewidth=2, label="1 % to 99 %")
    axes.scatter(number, median, s=14, color=palette.main, label="median")
    axes.set_ylim(bottom=0)


PANELS = (
    Panel("Return", "Sum of an episode's rewards, without discount.", _draw_return),
    Panel("Length [steps]", "Transitions of an episode; the line is the task's horizon.", _draw_steps),
    Panel("Success [step]", "The first step after which the task was solved.", _draw_solved),
    Panel(
        "Control period [ms]",
        "Time between two states on the recorder's clock; a stand-in in lock-step keeps no wall-clock period.",
        _draw_rates,
    ),
)
"""In the order in which they are shown."""
