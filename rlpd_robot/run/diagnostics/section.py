"""The report's answer to "why does it not learn?": every check with its last figure, its bounds, and what to try."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rlpd_robot.run.diagnostics.checks import CHECKS, Check, Finding, figure_of, judge, measured
from rlpd_robot.run.page import details, escape, table


def diagnostics_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """HTML from the rows of metrics.jsonl; nothing where no figure was taken."""
    taken = measured(rows)
    if not taken:
        return ""
    findings, judged = judge(taken[-1])
    lines = [_line(check, taken) for check in CHECKS]
    known = [(cells, kind) for cells, kind in lines if cells]
    whole = table([cells for cells, _ in known], _HEAD, classes=[kind for _, kind in known])
    title = f"All checks ({judged} judged at the end, {len(taken)} measurements)"
    return f"<section><h2>Does it learn as it should?</h2>{_words(findings, judged)}{details(title, whole)}</section>"


_HEAD = ("Check", "At the end", "Well when", "Out of bounds in")


def _words(findings: Sequence[Finding], judged: int) -> str:
    if not judged:
        return '<p class="note">It was too early to say.</p>'
    if not findings:
        return f"<p>At the end all {judged} checks were well.</p>"
    points = "".join(f"<li><b>{escape(f.sentence)}</b> {escape(f.words.suggestion)}</li>" for f in findings)
    return f"<p>At the end {len(findings)} of {judged} checks were out of bounds:</p><ul>{points}</ul>"


def _line(check: Check, taken: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], str]:
    """Cells of one check, and how its line looks; no cells where it was never judged."""
    values = [value for row in taken if not math.isnan(value := figure_of(row, check))]
    if not values:
        return (), ""
    out = sum(check.words(value) is not None for value in values)
    often = f"{out} of {len(values)} measurements" if out else "none"
    kind = "warning" if check.words(values[-1]) is not None else ""
    return (check.name, check.write(values[-1]), check.bounds, often), kind
