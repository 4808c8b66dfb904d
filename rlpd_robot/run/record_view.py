"""What a person sees while recording: a panel on a terminal, plain lines anywhere else.

The panel is drawn by a process of its own, `python -m rlpd_robot.run.record_view`, that is sent lines of JSON: laying
it out takes milliseconds of Python, and within the recorder's process a tick would wait for them.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any, Protocol

EVERY_S = 0.2
"""Time between two pictures [s]."""

_PLAIN_EVERY_S = 5.0
_MESSAGES, _MESSAGE = 6, 240
_END_S = 2.0
_WIDTH, _HELP_WIDTH = 110, 94

GAP = "   "
"""Between two keys and their meanings."""

Status = Mapping[str, Any]
"""What `run/record.py` tells; every key is optional."""


class View(Protocol):
    """Shows how the recording stands."""

    def show(self, status: Status) -> None:
        """The present figures; never waits, and leaves out what cannot be shown at once."""

    def say(self, text: str) -> None:
        """Something happened."""

    def close(self) -> None:
        """The last word has been said. A second call does nothing."""


class PlainView:
    """A line for each thing that happens, and one every `_PLAIN_EVERY_S` while an episode runs."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._started_s = self._shown_s = time.monotonic()

    def show(self, status: Status) -> None:
        """See `View`."""
        now = time.monotonic()
        if status.get("phase") == "recording" and now - self._shown_s > _PLAIN_EVERY_S:
            self._shown_s = now
            held = "held" if status.get("enabled") else "released"
            self.say(f"recording: step {status['step']} of {status['max_steps']}, {_rates(status)}, dead-man {held}")

    def say(self, text: str) -> None:
        """See `View`."""
        print(f"[{time.monotonic() - self._started_s:7.1f} s] {text}", file=self._out, flush=True)

    def close(self) -> None:
        """Nothing to release."""


class PanelView:
    """The panel on this terminal, drawn by another process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rlpd_robot.run.record_view"],
            stdin=subprocess.PIPE,
            start_new_session=False,  # it writes to this terminal
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, 1 << 18)
        self._messages: deque[str] = deque(maxlen=_MESSAGES)
        self._status: dict[str, Any] = {}
        self._closed = False

    def show(self, status: Status) -> None:
        """See `View`."""
        self._status = dict(status)
        line = json.dumps({**self._status, "messages": list(self._messages)}).encode() + b"\n"
        if len(line) <= select.PIPE_BUF:  # whole or not at all
            with contextlib.suppress(
                BlockingIOError, BrokenPipeError
            ):  # it is behind, or has gone: the next one counts
                os.write(self._pipe, line)

    def say(self, text: str) -> None:
        """See `View`."""
        self._messages.append(text[:_MESSAGE])
        self.show(self._status)

    def close(self) -> None:
        """See `View`."""
        if self._closed:
            return
        self._closed = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)
        for text in self._messages:
            print(text)


def make_view(plain: bool) -> View:
    """The panel where standard output is a terminal that can show one, lines elsewhere."""
    dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    return PlainView(sys.stdout) if plain or dumb or not sys.stdout.isatty() else PanelView()


def _rates(status: Status) -> str:
    rates = status.get("rates", {})
    cameras = [f"{name} {rate:.0f} Hz" for name, rate in rates.items() if name != "states"]
    return f"joints {rates.get('states', 0.0):.0f} Hz, cameras {', '.join(cameras) or 'none'}"


def _panel(status: Status) -> Any:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(ratio=1)
    for label, text, style in _rows(status):
        grid.add_row(label, Text(text, style=style))
    for text in status.get("messages", ()):
        grid.add_row("", Text(text, style="cyan"))
    recording = status.get("phase") == "recording"
    return Panel(
        grid,
        title=Text(f"record {status.get('title', '')}", style="bold"),
        title_align="left",
        box=box.ROUNDED,
        border_style="red" if status.get("fault") else "green" if recording else "yellow",
        width=_WIDTH,
    )


def _rows(status: Status) -> list[tuple[str, str, str]]:
    """Label, text and style of each line."""
    if "phase" not in status:  # something happened before the first figures
        return []
    recording = status["phase"] == "recording"
    bar = int(30 * min(1.0, status["step"] / max(1, status["max_steps"])))
    progress = f"{'━' * bar}{'╌' * (30 - bar)} step {status['step']} of {status['max_steps']}"
    held = ("held", "green") if status["enabled"] else ("released: the robot holds", "bold yellow")
    share = f"{100 * status['successes'] / status['episodes']:.0f} %" if status["episodes"] else "none yet"
    late = (
        f"late p99 {status['late_ms']:.2f} ms, {status['missed']:.0f} missed" if status["late_ms"] >= 0 else "lock-step"
    )
    hidden = f", {status['hidden']} hidden" if status["hidden"] else ""
    rows = [
        (status["phase"], progress if recording else status["prompt"], "bold green" if recording else "bold yellow"),
        ("dead-man", f"{held[0]} ({status['source']})", held[1]),
        ("rates", f"{_rates(status)}; {late}", ""),
        ("episodes", f"{status['episodes']} in the store ({status['session']} now){hidden}; success {share}", "bold"),
    ]
    if status.get("fault"):
        rows.append(("FAULT", status["fault"], "bold red"))
    return [*rows, *((label, _in_lines(text), "dim") for label, text in status.get("help", {}).items())]


def _in_lines(text: str) -> str:
    """No key is parted from its meaning."""
    lines: list[str] = []
    for part in text.split(GAP):
        if lines and len(lines[-1]) + len(GAP) + len(part) <= _HELP_WIDTH:
            lines[-1] += GAP + part
        else:
            lines.append(part)
    return "\n".join(lines)


def main() -> None:
    """Draw what comes on standard input, until it ends."""
    from rich.console import Console
    from rich.live import Live

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the recorder says when it is over
    with Live(_panel({}), console=Console(), auto_refresh=False) as live:
        for line in sys.stdin:
            live.update(_panel(json.loads(line)), refresh=True)


if __name__ == "__main__":
    main()
