"""The live view's panel: one screen that says how the run stands, from 60 columns up."""

import math
from collections.abc import Mapping

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlpd_robot.run.diagnostics.checks import judge
from rlpd_robot.run.live_state import LiveState, bins, count, duration, figure, known, one_line, refusals, spark

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "._-=+*#@"
_SILENCE_S = 10.0
_ROWS_BUT_EVENTS = 18
_FRAME = 15  # columns taken by the border, its padding and the labels
_SEVERITY = {"info": "dim", "warning": "yellow", "error": "bold red"}
_GOOD = ("running", "ready", "finished", "done", "exited 0")


class RunPanel:
    """A rich renderable of one `LiveState`; it is laid out for the width and height that it is given."""

    def __init__(self, state: LiveState, title: str, processes: Mapping[str, str], prompt: str = "") -> None:
        self._state, self._title, self._processes, self._prompt = state, one_line(title), processes, prompt

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay out."""
        width = min(options.max_width, 110)
        self._ascii = options.ascii_only
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(ratio=1)
        self._inner = width - _FRAME
        for label, value in self._rows():
            grid.add_row(label, value)
        for label, value in self._events(options.height or console.height):
            grid.add_row(label, value)
        if self._prompt:
            grid.add_row("", Text(one_line(self._prompt), style="bold" if "type" in self._prompt else "dim"))
        yield Panel(
            grid,
            title=Text(self._title.encode("ascii", "replace").decode() if self._ascii else self._title, style="bold"),
            title_align="left",
            subtitle=Text(f"{duration(self._state.elapsed_s)} elapsed"),
            subtitle_align="right",
            box=box.ASCII if self._ascii else box.ROUNDED,
            border_style=self._border(),
            width=width,
            padding=(0, 1),
        )

    def _border(self) -> str:
        if self._state.errors:
            return "red"
        return "green" if self._state.phase == "finished" else "cyan"

    def _rows(self) -> list[tuple[str, Text | Table]]:
        rows: list[tuple[str, Text | Table]] = [
            (self._state.phase, self._progress()),
            ("", Text("")),
            ("success", self._success()),
            ("return", self._return()),
            ("", self._sparkline()),
            ("", Text("")),
            ("updates", self._updates()),
            ("policy", self._policy()),
            *self._checks(),
            *self._fault(),
            ("loop", self._loop()),
            ("data", self._data()),
            ("delivery", self._delivery()),
        ]
        if self._processes:
            rows.append(("processes", self._process_states()))
        return rows

    def _join(self, *parts: str | Text) -> Text:
        """The parts that are not empty, in lines broken between them and never within."""
        separator = Text(", " if self._ascii else " · ", style="dim")
        line = Text()
        room = 0
        for part in parts:
            text = Text(part) if isinstance(part, str) else part
            if not text:
                continue
            if line and text.cell_len + separator.cell_len > room:
                line.append("\n")
                room = self._inner
            elif line:
                line.append_text(separator)
                room -= separator.cell_len
            else:
                room = self._inner
            line.append_text(text)
            room -= text.cell_len
        return line or Text("nothing yet", style="dim")

    def _progress(self) -> Table:
        state = self._state
        steps, target = state.get("env_steps", 0), state.get("env_steps_target")
        words = f"{count(steps)} / {count(target)} steps"
        eta = "" if state.phase == "finished" else f"{duration(state.eta_s)} left"
        line = Table.grid(padding=(0, 1, 0, 0))
        if math.isnan(target):
            line.add_row(Text("waiting for the learner's first figures", style="dim"))
            return line
        bar = ProgressBar(total=1.0, completed=state.share_done, width=max(8, self._inner - len(words) - len(eta) - 3))
        line.add_row(bar, Text(words, no_wrap=True), Text("" if "?" in eta else eta, style="cyan", no_wrap=True))
        return line

    def _success(self) -> Text:
        state = self._state
        if not state.returns:
            return Text("no episode yet", style="dim")
        recent, n = state.get("success_recent"), len(state.returns)
        share = Text(f"{100 * recent:.0f} %" if math.isfinite(recent) else "?", style="bold")
        return self._join(
            Text.assemble(share, f" of the last {min(n, 20)} episodes"),
            f"{count(state.successes)} of {count(n)} in all",
        )

    def _return(self) -> Text:
        recent, demos = self._state.get("return_recent"), self._state.get("demo_return")
        if math.isnan(recent):
            return Text(f"demonstrations {figure(demos)}" if math.isfinite(demos) else "", style="dim")
        better = recent >= demos
        return self._join(
            Text(figure(recent), style="bold green" if better else "bold"),
            f"demonstrations {figure(demos)}" if math.isfinite(demos) else "",
        )

    def _sparkline(self) -> Text:
        """Every episode's return from left to right, 0 to 100; green where it reaches the demonstrations' mean."""
        demos = self._state.get("demo_return", math.inf)
        line = Text(no_wrap=True)
        for value in bins(self._state.returns, max(8, self._inner)):
            cell = spark([value], 100.0, _ASCII_BLOCKS if self._ascii else _BLOCKS)
            line.append(cell, "green" if value >= demos else "cyan")
        return line

    def _updates(self) -> Text:
        state = self._state
        owed, silent, target = state.get("updates_owed"), state.silent_s, state.get("utd_target")
        return self._join(
            known(state.get("utd_realised"), lambda v: f"UTD {v:.2f} of {figure(target, 0)}"),
            known(state.get("critic_updates"), lambda v: f"{count(v)} done"),
            f"{count(owed)} owed" if owed > 0 else "",
            Text(f"learner silent for {duration(silent)}", style="yellow") if silent > _SILENCE_S else "",
        )

    def _policy(self) -> Text:
        get = self._state.get
        return self._join(
            known(get("actor/policy_version"), lambda v: f"version {count(v)} acts" if v >= 0 else "none acts yet"),
            Text("pinned", style="yellow") if get("actor/policy_pinned", -1.0) >= 0 else "",
            known(get("policy_version"), lambda v: f"{count(v)} published"),
            *(Text(words, style="yellow") for words in refusals(self._state.row)),
            known(get("actor/policy_age_s_p50"), lambda v: f"age p50 {v:.2f} s"),
            known(get("actor/policy_age_s_p99"), lambda v: f"p99 {v:.2f} s"),
        )

    def _checks(self) -> list[tuple[str, Text | Table]]:
        """Whether it learns as it should: the first of what is out of bounds, with what to try."""
        findings, judged = judge(self._state.row)
        if not judged:
            return []
        if not findings:
            return [("checks", Text(f"{judged} of {judged} well", style="green"))]
        more = f" ({len(findings) - 1} more in the report)" if len(findings) > 1 else ""
        return [("checks", Text(one_line(findings[0].text) + more, style="yellow", overflow="fold"))]

    def _fault(self) -> list[tuple[str, Text | Table]]:
        """The latched fault with its cause, while there is one."""
        if self._state.get("actor/armed") != 0:
            return []
        told = [str(event.get("text")) for event in self._state.events]
        words = next((text for text in reversed(told) if "Robot stopped" in text), "robot stopped; look, then arm it")
        return [("FAULT", Text(one_line(words), style="bold red", overflow="fold"))]

    def _loop(self) -> Text:
        get = self._state.get
        if get("actor/lockstep") == 1:
            return Text("lock-step: paced by the learner, no deadlines")
        misses = known(get("actor/deadline_misses"), lambda v: f"{count(v)} missed")
        return self._join(
            known(get("actor/lateness_ms_p50"), lambda v: f"late p50 {v:.2f} ms"),
            known(get("actor/lateness_ms_p99"), lambda v: f"p99 {v:.2f} ms"),
            Text(misses, style="yellow" if get("actor/deadline_misses", 0) else ""),
        )

    def _data(self) -> Text:
        get = self._state.get
        return self._join(
            known(get("ring_rows"), lambda v: f"{count(v)} live"),
            known(get("demo_rows"), lambda v: f"{count(v)} demonstration"),
        )

    def _delivery(self) -> Text:
        get = self._state.get
        duplicates = get("delivery/duplicates", 0)
        return self._join(
            known(get("actor/steps"), lambda v: f"{count(v)} executed"),
            known(get("delivery/committed"), lambda v: f"{count(v)} committed"),
            known(get("actor/uncommitted"), lambda v: f"{count(v)} unacked"),
            f"{count(duplicates)} duplicates dropped" if duplicates else "",
            Text("actor not connected", style="bold yellow") if get("actor/connected") == 0 else "",
        )

    def _process_states(self) -> Text:
        parts = []
        for name, status in self._processes.items():
            good = one_line(status).startswith(_GOOD)
            parts.append(Text.assemble(one_line(name), " ", (one_line(status), "green" if good else "yellow")))
        return self._join(*parts)

    def _events(self, height: int) -> list[tuple[str, Text]]:
        """The newest events, as many as fit; errors and the newest of all are never cut short."""
        shown = list(self._state.events)[-max(1, min(6, height - _ROWS_BUT_EVENTS)) :]
        rows: list[tuple[str, Text]] = [("", Text(""))] if shown else []
        for event in shown:
            severity = str(event.get("severity"))
            whole = severity == "error" or event is shown[-1]
            words = f"{one_line(event.get('source', '?'))}: {one_line(event.get('text', ''))}"
            text = Text(
                words.encode("ascii", "replace").decode() if self._ascii else words,
                style=_SEVERITY.get(severity, ""),
                no_wrap=not whole,
                overflow="fold" if whole else "crop" if self._ascii else "ellipsis",
            )
            rows.append((duration(float(event.get("wall_s") or 0.0)), text))
        return rows
