"""Child processes of the local supervisor: started, watched, ended in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rlpd_robot.errors import ChildError
from rlpd_robot.run.stopping import SUPERVISOR

_LAST_WORDS = 600  # characters of a child's log that its end is reported with


class Child:
    """One verb of this program in a process of its own, its output in a log file.

    It gets a session of its own, so that Ctrl-C reaches the supervisor alone, which then ends the children in order.

    Args:
        name: for reports; also names the log.
        words: verb and settings.
        logs: directory of the logs.
    """

    def __init__(self, name: str, words: Sequence[str], logs: Path) -> None:
        self.name = name
        self._log_path = logs / f"{name}.log"
        self._log = open(self._log_path, "ab")  # noqa: SIM115 - closed in `end`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rlpd_robot", *words],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", SUPERVISOR: str(os.getpid())},
        )

    @property
    def state(self) -> str:
        """ "running", or how it ended."""
        status = self._process.poll()
        if status is None:
            return "running"
        return f"ended ({status})" if status >= 0 else f"killed by {signal.Signals(-status).name}"

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            ChildError: it ended, with its last words.
        """
        if not self.running:
            raise ChildError(self.name, self.state, self.last_words())

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The end of its log."""
        text = self._log_path.read_text(errors="replace")[-_LAST_WORDS:].strip()
        return text.splitlines()[-1] if text else ""

    def end(self, timeout_s: float) -> None:
        """Ask it to end; when it has not within the time, end it."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._log.close()


def end_all(children: Sequence[Child], timeout_s: float) -> None:
    """End children one after the other, in this order, within the time all told."""
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.end(max(0.5, deadline - time.monotonic()))
