"""A program on a terminal, and a person before it."""

import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from fcntl import ioctl

_ROWS, _COLUMNS = 40, 120


class Terminal:
    """One program, from its start to its end.

    Args:
        command: its words.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._near, far = pty.openpty()
        ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self.process = subprocess.Popen(  # it controls the session, as one that an engine makes does
            ["setsid", "--ctty", *command], env=environment, stdin=far, stdout=far, stderr=far
        )
        os.close(far)
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """Everything that it has shown so far."""
        return self._shown.decode(errors="replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._near, keys.encode())

    def ends(self, within_s: float) -> int:
        """Its exit status.

        Raises:
            TimeoutExpired: it goes on.
        """
        status = self.process.wait(within_s)
        self._reader.join(5.0)
        return status

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._reader.join(5.0)
        os.close(self._near)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._near, 4096)
            except OSError:  # nobody has the other end any more
                return
            if not data:
                return
            self._shown += data
