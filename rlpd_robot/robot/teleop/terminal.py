"""Single keys from a terminal, without a window system; the terminal is put back as it was, whatever happens."""

import atexit
import contextlib
import os
import re
import select
import sys
from typing import Any

_NAMES = {
    "\r": "enter",
    "\n": "enter",
    " ": "space",
    "\t": "tab",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[5~": "page_up",
    "\x1b[6~": "page_down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[2~": "insert",
    "\x1b[3~": "delete",
}
NAMED_KEYS = tuple(sorted(set(_NAMES.values())))
"""Keys that go by a name; every other printable key is called by itself."""

_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)
_BURST = 4096  # bytes a look: a held key repeats 30 times a second

_restore: "tuple[int, Any] | None" = None


class TerminalKeys:
    """Reads keys for as long as the context lasts; nothing where there is no terminal, or it is not ours.

    Ctrl-C keeps its meaning, and no key is echoed. One at a time in a process.

    Args:
        fd: where keys come from; standard input unless told otherwise.

    Attributes:
        reads: whether there is a terminal to read from, still.
    """

    def __init__(self, fd: int | None = None) -> None:
        self.reads = False
        self._fd = _stdin() if fd is None else fd
        self._tail = ""  # an escape sequence that has come in part

    def __enter__(self) -> "TerminalKeys":
        global _restore
        if self._fd >= 0 and os.isatty(self._fd) and in_foreground(self._fd):
            import termios
            import tty

            if _restore is None:
                _restore = (self._fd, termios.tcgetattr(self._fd))
                atexit.register(restore_terminal)
            tty.setcbreak(self._fd, termios.TCSANOW)
            self.reads = True
        return self

    def __exit__(self, *_: object) -> None:
        self.reads = False
        restore_terminal()

    def read(self) -> list[str]:
        """The keys pressed since the last call, oldest first. Never waits."""
        if not self.reads or not select.select([self._fd], [], [], 0)[0]:
            tail, self._tail = self._tail, ""
            return [_NAMES.get(tail, tail)] if tail else []  # nothing came after it: it was a key by itself
        try:
            data = os.read(self._fd, _BURST)
        except OSError:  # the terminal has gone
            data = b""
        self.reads = bool(data)
        text = self._tail + data.decode("utf-8", "replace")
        self._tail = ""
        keys = _KEY.findall(text)
        if keys and (keys[-1] == "\x1b" or text.endswith(("\x1b[", "\x1bO"))):
            start = text.rfind("\x1b")
            text, self._tail = text[:start], text[start:]
            keys = _KEY.findall(text)
        return [name for key in keys if (name := _NAMES.get(key, key)).isprintable()]


def in_foreground(fd: int) -> bool:
    """Whether keys of this terminal are for us; of one that controls no session, as a service may have, they are."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # ENOTTY: not the controlling one
        return True


def restore_terminal() -> None:
    """Put the terminal back as it was before the first `TerminalKeys`; nothing when there is nothing to put back."""
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
