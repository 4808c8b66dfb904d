"""The report of a run: curves.png and a self-contained report.html, written from the run's own files alone."""

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from rlpd_robot.files import replace_file
from rlpd_robot.run.diagnostics.section import diagnostics_html
from rlpd_robot.run.figures import PANELS, curves_png, panel_png
from rlpd_robot.run.live_state import count, duration, known
from rlpd_robot.run.page import badge, details, escape, figure, page, table, tile
from rlpd_robot.run.plotting import DARK, LIGHT
from rlpd_robot.run.run_record import RunRecord, load_run, number, section
from rlpd_robot.run.statistics import mean_interval, wilson_interval

CURVES = "curves.png"
REPORT = "report.html"

_EVENTS_SHOWN = 200
_TITLES = {
    "demos": "Demonstrations",
    "eval": "Evaluation",
    "actor": "Actor and timing",
    "delivery": "Delivery",
    "policy": "Policy",
    "learner": "Learner",
}
_ELSEWHERE = ("diagnostics",)  # in a section of their own
_LABELS = {
    "wall_s": "duration",
    "utd_target": "updates per step, target",
    "utd_realised": "updates per step, realised",
    "success_ci95": "success, 95 % interval",
    "normalized_return": "normalised return",
    "env_steps": "live steps",
    "age_s": "age",
    "compile_s": "compilation",
    "compiles": "compilations",
    "period_ms": "period",
    "lateness_ms": "lateness",
}


def write_report(run_dir: Path) -> None:
    """Write `curves.png` and `report.html` into a run's directory, each whole or not at all.

    A run that was cut short gets a report of what it left.

    Raises:
        ConfigError: there is no such directory.
        DataError: summary.json or eval.json is damaged.
        MissingPackageError: matplotlib is not installed.
    """
    run = load_run(run_dir)
    curves, text = curves_png(run), report_html(run)
    replace_file(run_dir / CURVES, curves)
    replace_file(run_dir / REPORT, text.encode("utf-8", "replace"))


def report_html(run: RunRecord) -> str:
    """The report as one page: the verdict first, then the curves, then every figure behind them."""
    title = str(run.summary.get("task") or run.directory.name)
    body = [
        _head(run, title),
        f'<section class="tiles">{"".join(_tiles(run))}</section>',
        _curves(run),
        diagnostics_html(run.rows),
        _video(run),
        _tables(run),
        _evaluation(run),
        _events(run),
        details("Settings", f"<pre>{escape(run.config_text)}</pre>") if run.config_text else "",
    ]
    return page(f"{title}: {verdict(run)}", "\n".join(part for part in body if part))


def verdict(run: RunRecord) -> str:
    """The run's outcome in a sentence: its own where it has one."""
    if run.summary.get("verdict"):
        return str(run.summary["verdict"])
    learned = run.summary.get("learned")
    if learned is None:
        return "This run has no summary: it is still going on, or it was cut short."
    return "The task was learned." if learned else "The task was not learned."


def _head(run: RunRecord, title: str) -> str:
    learned = run.summary.get("learned")
    word, kind = (
        ("No verdict", "open") if learned is None else ("Learned", "good") if learned else ("Did not learn", "bad")
    )
    facts = [
        f"seed {run.summary['seed']}" if "seed" in run.summary else "",
        f"{count(steps)} live steps" if math.isfinite(steps := number(run.summary, "env_steps")) else "",
        _spoken(wall) if math.isfinite(wall := number(run.summary, "wall_s")) else "",
    ]
    small = " · ".join(escape(fact) for fact in (title, *facts) if fact)
    return f'<header>{badge(word, kind)}<p class="facts">{small}</p><h1>{escape(verdict(run))}</h1></header>'


def _tiles(run: RunRecord) -> list[str]:
    delivery, actor = section(run.summary, "delivery"), section(run.summary, "actor")
    lost, duplicated = number(delivery, "lost"), number(delivery, "duplicated")
    waiting = known(number(delivery, "waiting"), lambda v: f"{count(v)} in the journal, " if v else "")
    late = number(section(actor, "lateness_ms"), "p99")
    misses, target = number(actor, "deadline_misses"), number(run.summary, "utd_target")
    lockstep = actor.get("lockstep") is True
    tiles = [
        _success_tile(run),
        _return_tile(run),
        known(
            number(run.summary, "utd_realised"),
            lambda v: tile("Updates per live step", f"{v:.2f}", known(target, lambda t: f"target {t:g}")),
        ),
        known(
            number(delivery, "committed"),
            lambda v: tile(
                "Delivered",
                count(v),
                f"{waiting}{count(lost)} lost, {count(duplicated)} twice",
                bool(lost or duplicated),
            ),
        ),
        tile("Control loop", "lock-step", "paced by the learner, no deadlines")
        if lockstep
        else known(
            late, lambda v: tile("Lateness p99", f"{v:.2f} ms", known(misses, lambda m: f"{count(m)} deadlines missed"))
        ),
    ]
    return [text for text in tiles if text]


def _success_tile(run: RunRecord) -> str:
    n = len(run.evaluation)
    good = sum(bool(episode.get("success")) for episode in run.evaluation)
    if n:
        low, high = wilson_interval(good, n)
        return tile(
            "Success", f"{100 * good / n:.0f} %", f"{good} of {n}; 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
        )
    share = number(section(run.summary, "eval"), "success_rate")
    return known(share, lambda v: tile("Success", f"{100 * v:.0f} %", "final evaluation"))


def _return_tile(run: RunRecord) -> str:
    values = [v for episode in run.evaluation if math.isfinite(v := number(episode, "normalized_return"))]
    mean = sum(values) / len(values) if values else number(section(run.summary, "eval"), "normalized_return")
    demos = known(run.demo_return, lambda v: f"demonstrations {v:.1f}")
    interval = ""
    if values:
        low, high = mean_interval(values)
        interval = f"95 % interval {low:.1f} to {high:.1f}"
    below = "; ".join(part for part in (demos, interval) if part)
    return known(mean, lambda v: tile("Normalised return", f"{v:.1f} %", below))


def _curves(run: RunRecord) -> str:
    figures = [figure(p.name, p.caption, light=panel_png(p, run, LIGHT), dark=panel_png(p, run, DARK)) for p in PANELS]
    return f'<section><h2>Learning</h2><div class="figures">{"".join(figures)}</div></section>'


def _video(run: RunRecord) -> str:
    name = run.summary.get("video")
    if not isinstance(name, str) or not name:
        return ""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not (run.directory / path).is_file():
        return ""
    source = escape(quote(name))
    return (
        f'<section><h2>Video</h2><video controls muted loop playsinline preload="metadata" src="{source}"></video>'
        f'<p class="note">The video is the file <a href="{source}">{escape(name)}</a> beside this page.</p></section>'
    )


def _tables(run: RunRecord) -> str:
    """Every value of summary.json, known to this module or not."""
    plain = {key: value for key, value in run.summary.items() if not isinstance(value, dict) and key != "verdict"}
    cards = [
        ("Run", plain),
        *(
            (_TITLES.get(k, _words(k)), v)
            for k, v in run.summary.items()
            if isinstance(v, dict) and k not in _ELSEWHERE
        ),
    ]
    tables = [f"<div><h3>{escape(title)}</h3>{table(_flat(values))}</div>" for title, values in cards if values]
    return f'<section><h2>Summary</h2><div class="cards">{"".join(tables)}</div></section>' if tables else ""


def _flat(values: dict[str, Any], key: str = "", label: str = "") -> list[tuple[str, str]]:
    """A row for each value; those of a nested object carry its name and unit."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        full = f"{label} {_label(name)}".strip()
        if isinstance(value, dict):
            rows += _flat(value, name, full)
        else:
            rows.append((full, _value(key or name, value)))
    return rows


def _evaluation(run: RunRecord) -> str:
    if not run.evaluation:
        return ""
    rows = [
        (
            _value("seed", episode.get("seed")),
            "solved" if episode.get("success") else "not solved",
            _value("normalized_return", episode.get("normalized_return")),
            _value("steps", episode.get("steps")),
        )
        for episode in run.evaluation
    ]
    head = ("Seed", "Outcome", "Normalised return", "Steps")
    return details(f"Evaluation, episode by episode ({len(rows)})", table(rows, head))


def _events(run: RunRecord) -> str:
    if not run.events:
        return ""
    shown = run.events[-_EVENTS_SHOWN:]
    rows = [
        (
            duration(number(event, "wall_s")),
            str(event.get("severity", "")),
            str(event.get("source", "")),
            str(event.get("text", "")),
        )
        for event in shown
    ]
    serious = sum(event.get("severity") in ("warning", "error") for event in run.events)
    of = f"last {len(shown)} of {len(run.events)}" if len(shown) < len(run.events) else str(len(shown))
    title = f"Events ({of}; {serious} warnings or errors)" if serious else f"Events ({of})"
    return details(
        title, table(rows, ("At", "Severity", "From", "What"), classes=[row[1] for row in rows]), serious > 0
    )


def _spoken(seconds: float) -> str:
    """A time in words: "42 s", "9 min 31 s", "1 h 2 min"."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _label(key: str) -> str:
    return _LABELS.get(key) or _words(key)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, value: Any) -> str:
    """A value for reading, with the unit that its key ends in."""
    if isinstance(value, list | tuple):
        return " to ".join(_value(key, inner) for inner in value)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    return _number(key, float(value))


def _number(key: str, value: float) -> str:
    forms: tuple[tuple[str, Callable[[float], str]], ...] = (
        ("seed", lambda v: f"{v:.0f}"),
        ("wall_s", _spoken),
        ("compile_s", lambda v: f"{v:.3g} s"),
        ("normalized_return", lambda v: f"{v:.1f} %"),
        ("utd_realised", lambda v: f"{v:.2f}"),
        ("_ms", lambda v: f"{v:.3g} ms"),
        ("age_s", lambda v: f"{v:.3g} s"),
        ("success_rate", lambda v: f"{100 * v:.0f} %"),
        ("success_ci95", lambda v: f"{100 * v:.0f} %"),
    )
    for ending, form in forms:
        if key.endswith(ending):
            return form(value)
    return count(value) if value.is_integer() else f"{value:.4g}"
