"""How verdicts are shown: aligned and coloured on a terminal, one plain line each elsewhere, JSON for machines."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from rlpd_robot.robot.diagnosis import Outcome, Verdict

_COLOURS = {Outcome.OK: "green", Outcome.WARN: "yellow", Outcome.FAIL: "bold red", Outcome.SKIPPED: "dim"}
_NAME = 18  # columns of a check's name; a motion's is longer


class Printer:
    """Shows each verdict as it comes.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console: Any = None
        if out.isatty():
            from rich.console import Console

            self._console = Console(file=out, highlight=False)

    def show(self, verdict: Verdict) -> None:
        """One row."""
        if self._console is None:
            print(plain(verdict), file=self._out, flush=True)
            return
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 1))
        row.add_column(width=len(Outcome.SKIPPED), no_wrap=True)
        row.add_column(width=_NAME)
        row.add_column(ratio=1, overflow="fold")
        text = Text(verdict.found)
        if verdict.remedy:
            text.append(f"\n→ {verdict.remedy}", style="cyan")
        row.add_row(Text(verdict.outcome, style=_COLOURS[verdict.outcome]), Text(verdict.check), text)
        self._console.print(row)

    def end(self, name: str, verdicts: Sequence[Verdict]) -> None:
        """The last line."""
        print(summary(name, verdicts), file=self._out, flush=True)


def plain(verdict: Verdict) -> str:
    """One line."""
    remedy = f" -> {verdict.remedy}" if verdict.remedy else ""
    return f"{verdict.outcome:<8}{verdict.check:<{_NAME}} {verdict.found}{remedy}"


def summary(name: str, verdicts: Sequence[Verdict]) -> str:
    """How many of each kind."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
    return f"robot '{name}': {told}"


def as_json(name: str, verdicts: Sequence[Verdict], passed: bool) -> str:
    """Everything, for a machine."""
    return json.dumps({"robot": name, "passed": passed, "verdicts": [asdict(v) for v in verdicts]}, indent=1)
