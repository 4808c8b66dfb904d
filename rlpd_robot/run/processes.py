"""Child processes of a run: started with their output in a file, watched, and ended."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rlpd_robot import liveness
from rlpd_robot.errors import ChildError
from rlpd_robot.run.log_file import bound, older
from rlpd_robot.run.process_record import ProcessRecord
from rlpd_robot.run.stopping import SUPERVISOR

_LAST_WORDS = 600  # characters at most that the end of a child is reported with
_END = 8000  # bytes at the end of its log in which they are looked for

_SENTENCE = re.compile(r"rlpd-robot [a-z-]+: .*")

_alive: "set[Child]" = set()


class Child:
    """One verb of this program in a process of its own, its output in a log file.

    It gets a session of its own, so that Ctrl-C reaches the supervisor alone, which then ends the children in order.

    Args:
        name: for reports; also names the log.
        words: verb and settings.
        logs: directory of the logs; what an earlier process of the same name left there is kept.
        signs: file for its signs of life, or None.

    Attributes:
        log_path: of its log.
        started_s: monotonic time of its start [s].
    """

    def __init__(self, name: str, words: Sequence[str], logs: Path, signs: Path | None = None) -> None:
        self.name = name
        self.log_path = logs / f"{name}.log"
        self.started_s = time.monotonic()
        self._signs = signs
        self._directory = logs.parent
        self._log = open(self.log_path, "ab")  # noqa: SIM115 - closed in `end`
        self._log_start = self._log.tell()
        self._set_aside = False  # a part of its log
        if signs is not None:
            signs.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rlpd_robot", *words],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                SUPERVISOR: str(os.getpid()),
                liveness.FILE: str(signs) if signs is not None else "",
            },
        )
        _alive.add(self)
        self._record = self._note_start(words) if signs is not None else None

    def _note_start(self, words: Sequence[str]) -> ProcessRecord | None:
        record = ProcessRecord.of(self.name, self.pid, words)
        try:
            record.write(self._directory)
        except OSError:  # a full disk: it runs all the same
            return None
        return record

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

    @property
    def stopped(self) -> bool:
        """Whether a signal such as SIGSTOP has suspended it."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:  # it has ended, or this is no Linux: its silence shows in time
            return False
        return stat.rpartition(")")[2].split()[0] in ("T", "t")

    def signs(self) -> list[liveness.Sign]:
        """What its threads tell; nothing before the first has begun to."""
        return liveness.read(self._signs) if self._signs is not None else []

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

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def memory_mb(self) -> float:
        """Its resident memory [MB]; 0 when it has ended."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def processor_s(self) -> float:
        """Processor time of all its threads so far [s]; 0 when it has ended."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def last_words(self) -> str:
        """The sentence that it ended with, else the last line of its log; nothing of the process before it.

        After the sentence a library's threads may have had their say.
        """
        text = _end_of(self.log_path, self._log_start)
        if not text and self._set_aside:
            text = _end_of(older(self.log_path), 0)
        lines = text.splitlines() or [""]
        # Another thread's traceback may have put its own indentation before the sentence.
        said = (_SENTENCE.search(line) for line in reversed(lines))
        last = next((found[0] for found in said if found), lines[-1])
        return last[-_LAST_WORDS:]

    def bound_log(self) -> None:
        """Keep its log from growing without limit; meant to be called now and then."""
        if bound(self.log_path, self._log.fileno()):
            self._log_start, self._set_aside = 0, True

    def note_end(self) -> None:
        """Write down how it ended, for `rlpd-robot status`; once, and nothing while it runs."""
        if self._record is not None and not self.running:
            with contextlib.suppress(OSError):  # a full disk: whoever is watched is watched on, and its silence shows
                self._record.write_end(self._directory, self.state)
            self._record = None

    def kill(self) -> None:
        """End it at once."""
        if self.running:
            self._process.kill()
            self._process.wait(5)
        self.note_end()

    def end(self, timeout_s: float) -> None:
        """Ask it to end; when it has not within the time, end it."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
        self.note_end()
        self._log.close()
        _alive.discard(self)


def _end_of(path: Path, start: int) -> str:
    """The end of a log, nothing before `start`."""
    try:
        with open(path, "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(start, size - _END))
            return log.read().decode(errors="replace").strip()
    except FileNotFoundError:  # the disk had no room for what was set aside
        return ""


def end_all(children: Sequence[Child], timeout_s: float) -> None:
    """End children one after the other, in this order, within the time all told; each has its share of what is left."""
    deadline = time.monotonic() + timeout_s
    for i, child in enumerate(children):
        child.end(max(0.1, (deadline - time.monotonic()) / (len(children) - i)))


def kill_all() -> None:
    """End every child of this process at once. From a signal handler too: nothing here waits."""
    for child in list(_alive):
        if child.running:
            os.kill(child.pid, signal.SIGKILL)


def path_word(key: str, path: Path) -> str:
    """A setting; quoted, since a path may hold anything."""
    text = str(path.absolute()).replace("'", "\\'")
    return f"{key}='{text}'"
