"""Questions to a person at a terminal, who may take time while the robot must be held."""

import os
import select
import sys
import time
from collections.abc import Callable

_LOOK_S = 0.05  # between two looks at the keyboard when nothing else keeps time


class Person:
    """Somebody at a terminal, or nobody.

    Args:
        answer_s: longest wait for an answer [s]; silence means no.
        stopped: whether the process was asked to end; then every answer is no.
        fd: where answers are typed, whole lines; standard input unless told otherwise.
    """

    def __init__(self, answer_s: float, stopped: Callable[[], bool], fd: int | None = None) -> None:
        self._answer_s, self._stopped = answer_s, stopped
        self._fd = _stdin() if fd is None else fd
        self.present = self._fd >= 0 and os.isatty(self._fd)

    def ask(self, question: str, meanwhile: Callable[[], None] | None = None) -> bool | None:
        """See `Ask` in `patient.py`. Only "y" or "yes" is a yes."""
        if not self.present:
            return None
        while select.select([self._fd], [], [], 0)[0] and os.read(self._fd, 1024):
            continue  # what was typed before the question answers nothing
        print(f"  {question} [y/N] ", end="", file=sys.stderr, flush=True)
        answer = ""
        try:
            answer = self._line(meanwhile)
        finally:
            if not answer:  # nobody pressed Enter
                print(file=sys.stderr)
        return answer.strip().lower() in ("y", "yes")

    def _line(self, meanwhile: Callable[[], None] | None) -> str:
        deadline = time.monotonic() + self._answer_s
        while time.monotonic() < deadline and not self._stopped():
            if meanwhile is not None:
                meanwhile()
            if select.select([self._fd], [], [], _LOOK_S if meanwhile is None else 0)[0]:
                line = os.read(self._fd, 1024)
                self.present = bool(line)  # else the terminal has gone
                return line.decode(errors="replace")
        return ""


def _stdin() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):
        return -1
