"""Watching the simulated hand while it moves: a page in a browser, a window, picture files, or the dashboard.

The hand sends its snapshots, as lines of JSON, to a process of its own (`sim/view_process.py`), which draws the newest.
A snapshot that cannot be taken at once is left out, so that drawing never holds up a control period.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ChildError, ConfigError
from sim.hand import AdroitHand
from sim.render import environment_that_draws

PAGE, WINDOW, FILES, AUTO, DASHBOARD = "page", "window", "files", "auto", "dashboard"
PORT = 8765
EVERY_S = 0.04
"""Time between two snapshots that are sent [s]."""
DASHBOARD_S = 2.0
"""The same for the dashboard, which looks that often [s]."""

_START_S = 60.0
_END_S = 3.0
_SMALL = 4  # elements; larger fields are not shown as figures


class ViewedHand(AdroitHand):
    """An `AdroitHand` that somebody watches.

    Args:
        task: see `AdroitHand`.
        how: "page" or "page:PORT" (a page at http://127.0.0.1:PORT/), "window" (MuJoCo's viewer; wants a display),
            "files:DIRECTORY" (the newest picture as view.jpg), "auto" (a window where there is a display, else a
            page), or "dashboard:RUN" (a picture every two seconds as view/view.jpg in a run's directory, once there is
            one, drawn with what the machine has to spare; where nothing can draw it says so, and the hand goes on).
        twin, randomize: see `AdroitHand`.

    Raises:
        ConfigError: another `how`.
        NoRenderingError: nothing here can draw; not for the dashboard.
        ChildError: the view did not start; not for the dashboard.
    """

    def __init__(
        self, task: str, how: str, twin: str | None = None, randomize: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(task, None, twin, randomize)
        self._next_s = 0.0
        self._every_s = DASHBOARD_S if how.startswith(f"{DASHBOARD}:") else EVERY_S
        self._process, self.where = _start(task, how)
        self._pipe = self._process.stdin.fileno() if self._process.stdin is not None else -1
        os.set_blocking(self._pipe, False)
        self._show()

    def advance(self) -> None:
        """As `AdroitHand`; and it is seen."""
        super().advance()
        if time.monotonic() >= self._next_s:
            self._show()

    def reset(self, seed: int | None) -> None:
        """As `AdroitHand`; and it is seen."""
        super().reset(seed)
        if self._every_s == EVERY_S:
            self._show()

    def close(self) -> None:
        """End the view. Never raises; a second call does nothing."""
        self._pipe = -1
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_S)

    def _show(self) -> None:
        self._next_s = time.monotonic() + self._every_s
        if self._pipe < 0:
            return
        snapshot = self.snapshot()
        line = json.dumps(
            {
                "qpos": snapshot.qpos.tolist(),
                "placement": [view.tolist() for view in snapshot.placement],
                "figures": {name: _figure(value) for name, value in self.read().items() if value.size <= _SMALL},
            }
        ).encode()
        if len(line) < select.PIPE_BUF:  # whole or not at all
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # it is behind, or has ended
                os.write(self._pipe, line + b"\n")


def _figure(value: NDArray[Any]) -> list[float]:
    return [round(float(v), 3) for v in np.atleast_1d(value)]


def _start(task: str, how: str) -> "tuple[subprocess.Popen[bytes], str]":
    """The process, and what to tell a person of where to look."""
    kind, _, rest = how.partition(":")
    if kind == AUTO:
        kind = WINDOW if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else PAGE
    if kind == PAGE:
        if rest and not (rest.isascii() and rest.isdigit() and 0 < int(rest) < 1 << 16):
            raise ConfigError("sim.view", how, "'page:' and a port, such as page:8765")
        rest = rest or str(PORT)
    elif kind == FILES:
        if not rest or not Path(rest).is_dir():
            raise ConfigError("sim.view", how, "'files:' and a directory that exists")
    elif kind == DASHBOARD:
        return _start_beside(task, how, rest)
    elif kind != WINDOW:
        expected = "'page', 'page:PORT', 'window', 'files:DIRECTORY', 'dashboard:RUN' or 'auto'"
        raise ConfigError("sim.view", how, expected)
    environment = {**os.environ, "MUJOCO_GL": "glfw"} if kind == WINDOW else environment_that_draws()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "sim.view_process", task, kind, rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the hand, which then ends the view
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout as out:
            line = out.readline() if select.select([out], [], [], _START_S)[0] else b""
        if line:
            return process, line.decode().strip()
        process.kill()
        process.wait(_END_S)
        process.stdin.close()
        words.seek(0)
        said = words.read().decode(errors="replace").strip().splitlines()
    raise ChildError("view", "did not start", said[-1] if said else "")


def _start_beside(task: str, how: str, run: str) -> "tuple[subprocess.Popen[bytes], str]":
    """The process for the dashboard: nobody waits for it, and it tells by itself what it cannot do."""
    if not run:
        raise ConfigError("sim.view", how, "'dashboard:' and the directory of a run, such as dashboard:runs/mine")
    directory = Path(run, "view")
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.spare_view", task, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process, f"view: {directory / 'view.jpg'}, for the dashboard"
