"""The key of the live view that arms the robot: `a`, then the word, since a slip of a finger must not move metal."""

import contextlib
import os
import select
import sys
from typing import Any

from rlpd_robot.robot.teleop.terminal import in_foreground

WORD = "arm"

_restore: "tuple[int, Any] | None" = None


class ArmKey:
    """Reads keys from a terminal for as long as the context lasts; from anything else nothing.

    Ctrl-C keeps its meaning. The terminal is put back as it was, whatever happens; `restore_terminal` does it for a
    process that leaves at once.

    Args:
        fd: where keys come from; standard input unless told otherwise.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = _stdin() if fd is None else fd
        self._reads = False
        self._typed: str | None = None  # since the key; None: nobody has pressed it

    @property
    def prompt(self) -> str:
        """What to show: the question while it is open, else how to ask for it; "" where no keys are read."""
        if not self._reads:
            return ""
        if self._typed is None:
            return "key a arms the robot after a fault"
        return f"the robot will move: type '{WORD}' and Enter, or Escape: {self._typed}"

    def __enter__(self) -> "ArmKey":
        global _restore
        if self._fd >= 0 and os.isatty(self._fd) and in_foreground(self._fd):
            import termios
            import tty

            _restore = (self._fd, termios.tcgetattr(self._fd))
            tty.setcbreak(self._fd, termios.TCSANOW)
            self._reads = True
        return self

    def __exit__(self, *_: object) -> None:
        self._reads = False
        restore_terminal()

    def confirmed(self) -> bool:
        """Whether the word was typed since the last call. Never waits."""
        done = False
        while self._reads and select.select([self._fd], [], [], 0)[0]:
            keys = os.read(self._fd, 64).decode("ascii", "replace")
            if not keys:
                self._reads = False  # the terminal has gone
            for key in keys:
                done |= self._take(key)
        return done

    def _take(self, key: str) -> bool:
        if self._typed is None:
            self._typed = "" if key == "a" else None
            return False
        if key in "\r\n":
            right, self._typed = self._typed == WORD, None
            return right
        if key == "\x1b":
            self._typed = None
        elif key in "\x7f\b":
            self._typed = self._typed[:-1]
        elif key.isprintable():
            self._typed = (self._typed + key)[:20]
        return False


def restore_terminal() -> None:
    """Put the terminal back as it was before the first `ArmKey`; nothing when there is nothing to put back."""
    global _restore
    if _restore is None:
        return
    import termios

    fd, before = _restore
    _restore = None
    with contextlib.suppress(termios.error):  # the terminal has gone
        termios.tcsetattr(fd, termios.TCSANOW, before)


def _stdin() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or none at all
        return -1
