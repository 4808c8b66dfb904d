"""Signs of life of a process and of each of its threads, where a supervisor sees them although Python hangs.

A process that is watched finds the path of a small file in its environment, maps it into memory and writes there: one
slot for its main loop and for each thread, with the time of the last beat, what it is doing, and for how long that
may legitimately take. Writing costs about a microsecond and never waits. Times are of the monotonic clock, which all
processes of one machine share. Without a supervisor nothing is written.
"""

import math
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "RLPD_ROBOT_LIVENESS"
"""Environment variable: path of the file that this process writes."""

MAIN = "main loop"

_SLOTS = 32
_SLOT = struct.Struct("<d d 40s 80s")  # last beat [s], 0: free; patience [s]; name; doing
_BEAT = struct.Struct("<d")
_SIZE = _SLOTS * _SLOT.size
_DIED = math.inf  # in place of the patience: it died of what it says that it was doing


@dataclass(frozen=True)
class Sign:
    """What one thread has told last.

    Attributes:
        name: of the thread.
        silent_s: since its last beat [s].
        patience_s: how long what it does may take [s]; 0: nothing in particular.
        doing: in its words; how it died, when it did.
        died: an exception ended it.
    """

    name: str
    silent_s: float
    patience_s: float
    doing: str
    died: bool


class Pulse:
    """One thread's slot. Only that thread beats.

    Args:
        file: the process's memory, or None when nobody watches.
        index: of the slot.
        name: of the thread.
    """

    def __init__(self, file: mmap.mmap | None, index: int, name: str) -> None:
        self._file, self._at, self._name = file, index * _SLOT.size, name.encode()[:40]
        self._doing: tuple[str, float] = ("", -1.0)

    def beat(self, doing: str = "", patience_s: float = 0.0) -> None:
        """Still here.

        Args:
            doing: what comes now, for people: "while …".
            patience_s: how long that may take without another beat [s].
        """
        if self._file is None:
            return
        before, self._doing = self._doing, (doing, patience_s)
        if before == (doing, patience_s):
            self._mark(time.monotonic())
        elif before[1] < 0:  # a slot that nobody looks at before it is marked
            self._tell(patience_s, doing.encode())
            self._mark(time.monotonic())
        else:  # a fresh beat first: the old one may be too old for what is done now
            self._mark(time.monotonic())
            self._tell(patience_s, doing.encode())

    def died(self, error: BaseException) -> None:
        """An exception ended this thread."""
        if self._file is not None:
            self._tell(_DIED, f"{type(error).__name__}: {error}".encode())
            self._mark(time.monotonic())

    def free(self) -> None:
        """This thread ends as it should."""
        if self._file is not None:
            self._mark(0.0)
            self._doing = ("", -1.0)

    def _tell(self, patience_s: float, doing: bytes) -> None:
        """Everything but the beat."""
        assert self._file is not None
        values = _SLOT.pack(0.0, patience_s, self._name, doing[:80])
        self._file[self._at + _BEAT.size : self._at + _SLOT.size] = values[_BEAT.size :]

    def _mark(self, beat_s: float) -> None:
        """The beat alone, eight bytes in one store.

        `pack_into` would fill it with zeros first, and whoever looks at that moment would see no sign of life.
        """
        assert self._file is not None
        self._file[self._at : self._at + _BEAT.size] = _BEAT.pack(beat_s)


_lock = threading.Lock()
_file: mmap.mmap | None = None
_path = ""
_pulses: dict[str, Pulse] = {}


def pulse(name: str = MAIN) -> Pulse:
    """The pulse of a thread by its name; a thread that comes again under the same name goes on with it."""
    with _lock:
        _open()
        if name not in _pulses:
            watched = _file if len(_pulses) < _SLOTS else None
            _pulses[name] = Pulse(watched, len(_pulses), name)
        return _pulses[name]


@contextmanager
def beating(name: str) -> Iterator[Pulse]:
    """The pulse of a thread for as long as it runs; says so when an exception ends it."""
    mine = pulse(name)
    mine.beat()
    try:
        yield mine
    except BaseException as error:
        mine.died(error)
        raise
    mine.free()


def read(path: Path) -> list[Sign]:
    """What the process behind a file tells now; nothing before it has begun to."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    now, signs = time.monotonic(), []
    for at in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
        beat_s, patience_s, name, doing = _SLOT.unpack_from(data, at)
        if beat_s > 0:
            words = [text.rstrip(b"\0").decode(errors="replace") for text in (name, doing)]
            died = patience_s == _DIED
            signs.append(Sign(words[0], max(0.0, now - beat_s), 0.0 if died else patience_s, words[1], died))
    return signs


def _open() -> None:
    """Map the file that the environment names, once."""
    global _file, _path
    path = os.environ.get(FILE, "")
    if path == _path:
        return
    _path, _file = path, None
    _pulses.clear()
    if path:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.ftruncate(descriptor, _SIZE)
            _file = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
