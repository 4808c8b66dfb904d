"""Watching a run from a terminal: a live panel on a tty, plain lines anywhere else."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from rlpd_robot.run.live_panel import RunPanel
from rlpd_robot.run.live_state import LiveState, count, duration, figure, known, one_line, refusals
from rlpd_robot.timing import Clock, SystemClock

PLAIN_EVERY_S = 5.0
"""Time between two plain lines [s]."""


class LiveView:
    """Shows the run in a directory for as long as the context lasts.

    It only reads the run's JSON lines, so it costs the processes nothing and shows what is on disk. The panel is for a
    terminal; a file, a pipe or a dumb terminal gets a plain line every `PLAIN_EVERY_S`, one for each event and one for
    each change of a process, without any escape code.

    Args:
        run_dir: the run's directory; it may still be empty, or missing.
        title: what runs, for example "door, seed 0".
        console: where to show it; standard output when absent.
        clock: for elapsed time, and in tests.

    Attributes:
        prompt: a last line of the panel, such as a question to the person at the keyboard.
    """

    def __init__(self, run_dir: Path, title: str, console: Console | None = None, clock: Clock | None = None) -> None:
        self._console = Console() if console is None else console
        self._clock = SystemClock() if clock is None else clock
        self._title = one_line(title)
        self._state = LiveState(run_dir, self._clock)
        self._processes: dict[str, str] = {}
        self.prompt = ""
        self._next_line_s = self._clock.now()
        self._live: Live | None = None
        self._drawn: tuple[Any, ...] = ()

    def __enter__(self) -> "LiveView":
        # rich believes FORCE_COLOR even of a pipe; a log file must stay free of escape codes.
        if self._console.is_terminal and self._console.file.isatty() and not self._console.is_dumb_terminal:
            self._live = Live(self._panel(), console=self._console, auto_refresh=False)
            self._live.start()
        else:
            self._line(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        self.update()
        if self._live is not None:
            self._live.stop()
            self._live = None
        else:
            self._line(self._status())

    def update(self) -> None:
        """Read what is new and show it; meant to be called about four times a second."""
        events = self._state.look()
        if self._live is not None:
            self._draw(self._live)
            return
        for event in events:
            self._line(self._event(event))
        if self._clock.now() >= self._next_line_s:
            self._next_line_s = self._clock.now() + PLAIN_EVERY_S
            self._line(self._status())

    def processes(self, states: Mapping[str, str]) -> None:
        """Say how each child process stands, for example {"actor": "running", "learner": "exited 2"}."""
        changed = {name: status for name, status in states.items() if self._processes.get(name) != status}
        self._processes = dict(states)
        if self._live is None:
            for name, status in changed.items():
                self._line(f"{one_line(name)} {one_line(status)}")

    def _draw(self, live: Live) -> None:
        """Lay the panel out anew, which costs some milliseconds, only when it would read differently."""
        content = (self._state.seen, int(self._state.elapsed_s), tuple(self._processes.items()), self.prompt)
        if content != self._drawn:
            self._drawn = content
            live.update(self._panel(), refresh=True)

    def _panel(self) -> RunPanel:
        return RunPanel(self._state, self._title, self._processes, self.prompt)

    def _line(self, text: str) -> None:
        encoding = self._console.encoding
        line = f"[{duration(self._state.elapsed_s):>7}] {text}".encode(encoding, "replace").decode(encoding)
        print(line, file=self._console.file, flush=True)

    def _event(self, event: Mapping[str, Any]) -> str:
        severity, source = one_line(event.get("severity", "info")), one_line(event.get("source", "?"))
        return f"{severity.upper()} {source}: {one_line(event.get('text', ''))}"

    def _status(self) -> str:
        state = self._state
        if math.isnan(state.get("env_steps_target")):
            return f"{one_line(state.phase)}: waiting for the learner's first figures"
        demos = known(state.get("demo_return"), lambda v: f" (demonstrations {v:.1f})")
        parts = (
            f"{count(state.get('env_steps', 0))}/{count(state.get('env_steps_target'))} steps",
            known(state.get("success_recent"), lambda v: f"success {100 * v:.0f} %"),
            known(state.get("return_recent"), lambda v: f"return {v:.1f}{demos}"),
            known(state.get("utd_realised"), lambda v: f"UTD {v:.2f} of {figure(state.get('utd_target'), 0)}"),
            "FAULT: robot stopped" if state.get("actor/armed") == 0 else "",
            known(state.get("actor/policy_version"), lambda v: f"policy {v:.0f}"),
            " ".join(refusals(state.row)),
            known(state.get("actor/policy_age_s_p50"), lambda v: f"age {v:.2f} s"),
            *([] if state.get("actor/lockstep") == 1 else self._timing()),
            known(state.get("actor/uncommitted"), lambda v: f"{v:.0f} unacked"),
            known(state.eta_s, lambda v: f"{duration(v)} left"),
        )
        return f"{one_line(state.phase)}: " + ", ".join(part for part in parts if part)

    def _timing(self) -> tuple[str, str]:
        return (
            known(self._state.get("actor/lateness_ms_p99"), lambda v: f"late p99 {v:.2f} ms"),
            known(self._state.get("actor/deadline_misses"), lambda v: f"{v:.0f} missed"),
        )
