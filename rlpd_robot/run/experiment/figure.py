"""The figure of a study: a line a row, mean over seeds with one standard deviation around it."""

from collections.abc import Mapping
from typing import Any

from rlpd_robot.run.plotting import LIGHT, Palette, dress, legend, literal, new_figure, to_png

FIGURE = "results.png"

_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#6a3d9a", "#4d4d4d", "#b8a800",
)  # fmt: skip
_STYLES = ("-", "--", ":")
_AXES = {"solved": "normalised return [%]", "success": "success [%]", "return": "normalised score [%]"}


def study_png(title: str, summary: Mapping[str, Any], palette: Palette = LIGHT) -> bytes:
    """All rows in one picture.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(8.0, 4.8, palette, "the figure of a study")
    axes = figure.add_subplot()
    dress(axes, literal(title), palette, "environment steps")
    axes.set_ylabel(_AXES[summary["measure"]], color=palette.text, fontsize=9)
    last = max((p["at"] for row in summary["rows"].values() for p in row["curve"]), default=1)
    for i, (name, row) in enumerate(summary["rows"].items()):
        _draw(axes, name, row, last, _COLOURS[i % len(_COLOURS)], _STYLES[i // len(_COLOURS) % len(_STYLES)])
    axes.set_xlim(0, last)
    legend(axes, palette)
    return to_png(figure, dpi=120)


def _draw(axes: Any, name: str, row: Mapping[str, Any], last: float, colour: str, style: str) -> None:
    curve = row["curve"]
    if not curve:
        return
    at, mean, std = ([point[key] for point in curve] for key in ("at", "mean", "std"))
    label = f"{name} ({max(point['seeds'] for point in curve)} seeds)"
    if at[-1] <= last / 50:  # learned without practice, as by cloning
        axes.axhline(mean[-1], color=colour, linestyle=(0, (5, 3)), linewidth=1.6, label=label)
        return
    axes.plot(at, mean, color=colour, linestyle=style, linewidth=1.8, label=label)
    low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
    axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
