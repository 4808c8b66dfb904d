"""Which curves the dashboard draws, and of what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlpd_robot.run.dashboard.run_watch import WINDOW, RunWatch

Role = Literal["main", "second", "third", "demos", "dots", "low", "high"]
"""How a line is drawn; "low" and "high" bound a band, "demos" is a dashed level."""


@dataclass(frozen=True)
class Line:
    """One line: the column that it shows, its name, how it is drawn."""

    key: str
    label: str
    role: Role


@dataclass(frozen=True)
class Chart:
    """One chart against live steps.

    Attributes:
        key: by which other runs' curves find their place; empty: it does not compare.
        name: its title, with the unit.
        caption: in a sentence what it is.
        lines: in the order in which they are drawn.
        practice: whether its points are training episodes; otherwise the learner's rows.
        low, high: of its axis; None: as the values ask.
    """

    key: str
    name: str
    caption: str
    lines: tuple[Line, ...]
    practice: bool = False
    low: float | None = 0.0
    high: float | None = None


CHARTS = (
    Chart(
        "success",
        "Success [%]",
        f"Share of the last {WINDOW} training episodes that reached the solved state, with its 95 % Wilson interval.",
        (Line("low", "from", "low"), Line("high", "to", "high"), Line("success", "success", "main")),
        practice=True,
        high=100.0,
    ),
    Chart(
        "return_mean",
        "Normalised return [%]",
        f"Share of the horizon in the solved state. Dots are training episodes, the line is the mean of {WINDOW}, the "
        "dashes are the demonstrations' mean.",
        (
            Line("return", "episode", "dots"),
            Line("return_mean", f"mean of {WINDOW}", "main"),
            Line("demo_return", "demonstrations", "demos"),
        ),
        practice=True,
        high=100.0,
    ),
    Chart(
        "",
        "Updates a live step",
        "Update-to-data ratio since the start of learning, beside the one that was asked for.",
        (Line("utd_realised", "realised", "main"), Line("utd_target", "target", "demos")),
    ),
    Chart(
        "",
        "Value",
        "Mean of the critics over a minibatch, of their targets, and of what they promise the policy's own actions. "
        "Promises that run ahead of the rest are not earned; the spread between the critics tells how sure they are.",
        (
            Line("learner/q", "Q", "main"),
            Line("learner/target_q", "target", "second"),
            Line("learner/policy_q", "Q of the policy", "third"),
            Line("learner/q_spread", "spread", "demos"),
        ),
        low=None,
    ),
    Chart(
        "",
        "Value against returns",
        "What the critics say of visited states, beside the Monte-Carlo return that followed them: values that stay "
        "above it promise too much.",
        (
            Line("diagnostics/q", "Q of visited states", "main"),
            Line("diagnostics/monte_carlo_return", "return that followed", "second"),
        ),
        low=None,
    ),
    Chart(
        "",
        "Critic loss",
        "The critics' loss: mean squared error, or cross-entropy where they are categorical.",
        (Line("learner/critic_loss", "critic loss", "main"),),
    ),
    Chart(
        "",
        "Lateness of the loop [ms]",
        "How late the actor's ticks begin, since it started; in lock-step there are no deadlines.",
        (Line("actor/lateness_ms_p99", "p99", "main"), Line("actor/lateness_ms_p50", "p50", "second")),
    ),
    Chart(
        "",
        "Age of the policy [s]",
        "Time from the learner's publication to the action.",
        (Line("actor/policy_age_s_p99", "p99", "main"), Line("actor/policy_age_s_p50", "p50", "second")),
    ),
    Chart(
        "",
        "Buffers [transitions]",
        "What the learner samples from, and what it has not acknowledged to the actor yet.",
        (
            Line("ring_rows", "live", "main"),
            Line("demo_rows", "demonstrations", "demos"),
            Line("actor/uncommitted", "not acknowledged", "second"),
        ),
    ),
)


def drawn(watch: RunWatch) -> list[dict[str, Any]]:
    """Every chart with its numbers, for the page."""
    return [_drawn(chart, watch) for chart in CHARTS]


def compared(watch: RunWatch) -> dict[str, dict[str, list[Any]]]:
    """The curves that another run is compared by: x and y by the chart's key."""
    found = {}
    for chart in CHARTS:
        if chart.key:
            columns = watch.practice.columns(chart.key)
            found[chart.key] = {"x": columns["x"], "y": columns[chart.key]}
    return found


def _drawn(chart: Chart, watch: RunWatch) -> dict[str, Any]:
    columns: Mapping[str, list[Any]]
    columns = (watch.practice if chart.practice else watch.figures).columns(*(line.key for line in chart.lines))
    demo_return = watch.get("demo_return")
    lines = []
    for line in chart.lines:
        level = chart.practice and line.role == "demos"  # the same for all episodes
        y = [demo_return if demo_return == demo_return else None] * len(columns["x"]) if level else columns[line.key]
        lines.append({"label": line.label, "role": line.role, "y": y})
    return {
        "key": chart.key,
        "name": chart.name,
        "caption": chart.caption,
        "low": chart.low,
        "high": chart.high,
        "x": columns["x"],
        "lines": lines,
    }
