"""What all figures share: colours, a canvas, axes and legend. Matplotlib's object interface on the Agg canvas alone."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import MissingPackageError

Margins = tuple[float, float, float, float]


@dataclass(frozen=True)
class Palette:
    """Colours of a figure, readable for people who confuse red and green (after Okabe and Ito)."""

    background: str
    text: str
    grid: str
    main: str
    second: str
    demos: str
    evaluation: str


LIGHT = Palette("#ffffff", "#1c2430", "#dfe3e8", "#0072b2", "#cc79a7", "#b25000", "#00785a")
DARK = Palette("#161b22", "#e4e8ee", "#313945", "#56b4e9", "#e39cc4", "#f0a35a", "#3ecf9f")


def new_figure(
    width: float, height: float, palette: Palette, purpose: str = "the figures", margins: Margins | None = None
) -> Any:
    """An empty figure of so many inches.

    Args:
        purpose: what it is for, in words for whoever has no matplotlib.
        margins: around its axes [inches]: left, right, below, above; None: as wide as the labels turn out to be, which
            takes long where there are many.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingPackageError("matplotlib", purpose, "learner") from error
    layout = ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09) if margins is None else None
    figure = Figure(figsize=(width, height), layout=layout, facecolor=palette.background)
    FigureCanvasAgg(figure)
    if margins is not None:
        left, right, below, above = margins
        figure.subplots_adjust(left / width, below / height, 1 - right / width, 1 - above / height)
    return figure


def to_png(figure: Any, dpi: int) -> bytes:
    """The figure as a file; the same figure always gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def pixels(figure: Any, dpi: int) -> NDArray[np.uint8]:
    """(H, W, 3) the figure, drawn once."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    drawn: NDArray[np.uint8] = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
    return drawn


def small_png(picture: NDArray[np.uint8], colors: int = 64) -> bytes:
    """(H, W, 3) as a file of so many colours: enough for lines and text, at a third of the size."""
    from PIL import Image  # matplotlib brings it

    buffer = io.BytesIO()
    image = Image.fromarray(picture).quantize(colors, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def dress(axes: Any, title: str, palette: Palette, below: str = "") -> None:
    """Title, grid and colours of one panel, and the name of its axis below where it has one."""
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(palette.background)
    axes.set_title(title, loc="left", color=palette.text, fontsize=11, fontweight="bold")
    axes.grid(color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=palette.text, labelsize=9, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.grid)
    if below:
        axes.set_xlabel(below, color=palette.text, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5))


def legend(axes: Any, palette: Palette) -> None:
    """What has a label; where nothing has, that nothing was recorded."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        axes.text(0.5, 0.5, "nothing recorded", transform=axes.transAxes, ha="center", color=palette.text, alpha=0.6)
        return
    box = axes.legend(handles, labels, fontsize=8.5, frameon=True, borderaxespad=0.3, handlelength=1.6)
    box.get_frame().set(facecolor=palette.background, edgecolor="none", alpha=0.75)
    for text in box.get_texts():
        text.set_color(palette.text)


def literal(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")
