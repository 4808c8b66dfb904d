"""The learner's speed by one thing at a time, and its picture."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.run.bench.learner_parts import pen_sized
from rlpd_robot.run.bench.learner_speed import Speed, full_trainer, speeds
from rlpd_robot.run.plotting import LIGHT, dress, new_figure, to_png

RINGS = (10_000, 100_000, 1_000_000, 10_000_000)
DEMOS = (100, 1_000, 10_000, 100_000, 1_000_000)
ENSEMBLES = (2, 5, 10, 20)
WIDTHS = (64, 128, 256, 512)

Sweeps = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By what is varied and its value: `critic_updates_per_s`, and `fraction` of the bare products beside it."""

_SMALL_RING = 100_000  # beside stores of different size

_TITLES = {
    "ring": "transitions in the live ring",
    "demos": "transitions of the prior data",
    "ensemble": "critics",
    "width": "units of a hidden layer",
}


def sweep(config: AgentConfig, demo_rows: int, ring_rows: int, seconds: float) -> Sweeps:
    """Vary ring, prior data, ensemble and width around one configuration, so many seconds each.

    Rings and prior data of all sizes are held at once and take turns, because there a few percent count. A ring that
    does not fit into memory is left out.
    """
    ring_sizes = [rows for rows in RINGS if _fits(rows)]
    rings = speeds([full_trainer(config, demo_rows, rows) for rows in ring_sizes], seconds)
    demos = speeds([full_trainer(config, rows, _SMALL_RING) for rows in DEMOS], seconds)
    sizes = {n: replace(config, ensemble=n, target_subset=min(n, config.target_subset)) for n in ENSEMBLES}
    widths = {width: replace(config, hidden_width=width) for width in WIDTHS}

    def alone(configs: Iterable[AgentConfig]) -> list[Speed]:
        return [speeds([full_trainer(changed, demo_rows, ring_rows)], seconds)[0] for changed in configs]

    return {
        "ring": _points(ring_sizes, rings),
        "demos": _points(DEMOS, demos),
        "ensemble": _points(sizes, alone(sizes.values())),
        "width": _points(widths, alone(widths.values())),
    }


def flatness(sweeps: Sweeps) -> dict[str, float]:
    """Of ring and prior data: the speed with the largest as a share of that with the smallest."""
    found = {}
    for name in ("ring", "demos"):
        rates = [point["critic_updates_per_s"] for point in sweeps[name].values()]
        found[name] = rates[-1] / rates[0]
    return found


def sweeps_png(sweeps: Sweeps) -> bytes:
    """A panel each.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure = new_figure(11.0, 6.4, LIGHT, "the bench's figures")
    for place, (name, points) in enumerate(sweeps.items()):
        axes = figure.add_subplot(2, 2, place + 1)
        dress(axes, f"critic updates/s by {_TITLES[name]}", LIGHT)
        values = [int(value) for value in points]
        rates = [point["critic_updates_per_s"] for point in points.values()]
        axes.plot(values, rates, marker="o", color=LIGHT.main)
        for value, point in zip(values, points.values(), strict=True):
            above, label = (0, 7), f"{point['fraction']:.2f}"
            at = value, point["critic_updates_per_s"]
            axes.annotate(label, at, above, textcoords="offset points", ha="center", color=LIGHT.text)
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(values, [f"{value:,}" for value in values])
        axes.margins(x=0.1)
        axes.set_ylim(0, 1.2 * max(rates))
    legend = "at each point: its fraction of the bare products' speed"
    figure.axes[0].text(0.03, 0.06, legend, transform=figure.axes[0].transAxes, color=LIGHT.text)
    return to_png(figure, dpi=120)


def _points(values: Iterable[int], found: Iterable[Speed]) -> dict[str, dict[str, float]]:
    return {
        str(value): {"critic_updates_per_s": speed.updates_per_s, "fraction": speed.fraction}
        for value, speed in zip(values, found, strict=True)
    }


def _fits(rows: int) -> bool:
    """Whether a ring of so many rows may be made here: it and what is copied on the way."""
    problem = pen_sized()
    row_bytes = 4 * (2 * problem.observation_size + problem.action_size + 3)
    return 2.5 * rows * row_bytes < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
