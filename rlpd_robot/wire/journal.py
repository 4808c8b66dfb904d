"""What an actor did, on its own disk, until the learner has it on its own.

Appending is one write in the caller's thread, so that a killed process leaves at worst one torn record; a second thread
makes the disk hold it. A disk that refuses loses nothing while the process lives: what it has not confirmed stays in
memory and is written again, to a new file, until it is confirmed.
"""

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from rlpd_robot.errors import ConfigError, DataError, StoreError, StoreLockedError
from rlpd_robot.files import make_directories, sync_directory
from rlpd_robot.liveness import beating
from rlpd_robot.types import Segment
from rlpd_robot.wire.journal_file import (
    JournalFile,
    Position,
    Record,
    create,
    next_number,
    read_records,
    scan,
    to_record,
)
from rlpd_robot.wire.messages import EpisodeEnd

SYNC_S = 0.5
"""Longest time that a record waits to be forced onto the disk, and between two attempts on a disk that refuses."""

_FILE_BYTES = 8_000_000  # one file: what has been acknowledged is deleted file by file
_CLOSE_S = 10.0
_LOOK_S = 0.5  # without data to sync
_DISK_S = 30.0  # a slow disk is no hanging thread

_log = logging.getLogger(__name__)


class Leftover(NamedTuple):
    """What a dead actor left: transitions [first, next) of its boot, and whether the last episode's end is told."""

    boot: str
    first: int
    next: int
    end_told: bool


class Journal:
    """The journal of one actor and what dead predecessors left in the same directory. Thread-safe.

    Args:
        directory: made when missing; locked while this object lives.
        budget_mb: size from which `fill` is 1 or more [MB]. Appending goes on: the caller decides what to give up.
        fingerprint: of the `ProblemSpec` that appended segments belong to.

    Raises:
        ConfigError: a budget that is not positive.
        StoreLockedError: another process uses the directory.
        StoreError: a file is damaged elsewhere than at its end, or the directory cannot be used.
    """

    def __init__(self, directory: Path, budget_mb: float, fingerprint: str = "") -> None:
        if not budget_mb > 0:
            raise ConfigError("journal_mb", budget_mb, "a positive size in MB")
        self.directory = Path(directory)
        self.fingerprint = fingerprint
        self._budget = budget_mb * 1e6
        self._lock, self._sync_lock = threading.RLock(), threading.Lock()
        self._process_lock = FileLock(self.directory / "lock")
        try:
            make_directories(self.directory)
            self._process_lock.acquire(timeout=1.0)
        except Timeout as error:
            raise StoreLockedError(self.directory, 1.0) from error
        except OSError as error:
            raise _refused(self.directory, error, "Choose a directory that you may write to.") from error
        self._closed = False
        self._boot: str | None = None
        self._end: Position = (0, True)
        self._trimmed: dict[str, int] = {}
        self._file: JournalFile | None = None  # the one that is appended to
        self._descriptor = -1
        self._unsynced: list[Record] = []  # appended, and not known to be on the disk itself
        self._doomed: deque[Path] = deque()
        self._dirty, self._sync_now = threading.Event(), threading.Event()
        self._disk_error: OSError | None = None
        self._error: BaseException | None = None
        try:
            self._files = scan(self.directory)
            self._number = next_number(self.directory)
        except BaseException:
            self._process_lock.release()
            raise
        self._thread = threading.Thread(target=self._sync_loop, name="journal sync", daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(f.size for f in self._files)

    @property
    def fill(self) -> float:
        """Share of its budget that the journal takes; it may grow beyond 1."""
        return self.size / self._budget

    @property
    def trouble(self) -> StoreError | None:
        """What keeps the disk from taking what was appended, or None. Memory holds it meanwhile."""
        with self._lock:
            if self._disk_error is None:
                return None
            remedy = (
                f"Its last {len(self._unsynced)} records are kept in memory and tried again; make room on the disk."
            )
            return _refused(self.directory, self._disk_error, remedy)

    def begin(self, boot: str, first: int, fingerprint: str) -> None:
        """Make ready for the transitions of `boot` from `first` on, so that no append has to make a file.

        Raises:
            DataError: another boot appends, or has appended.
            StoreError: the disk refuses.
        """
        with self._lock:
            if self._boot is not None:
                raise DataError("Journal", f"boot {boot} appends after boot {self._boot}", "one boot an actor")
            if any(f.boot == boot for f in self._files):
                raise DataError("Journal", f"boot {boot} has been journalled by a dead actor", "a new boot a start")
            self.fingerprint = fingerprint
            try:
                self._start_file(boot, first)
            except OSError as error:
                raise _refused(self.directory, error, "Make room, or choose a directory to write to.") from error
            self._boot, self._end = boot, (first, True)

    def append(self, given: Segment | EpisodeEnd) -> Record:
        """Write one segment, or the end of an episode; on the disk itself within `SYNC_S`, sooner when it ends one.

        When the disk refuses, `trouble` tells, and the record counts as appended all the same.

        Raises:
            DataError: it does not follow the last one of its boot, or a second boot appends.
        """
        record = to_record(given)
        with self._lock:
            self._check_open()
            if self._boot is None:
                self.begin(record.boot, record.first, self.fingerprint)
            if record.boot != self._boot:
                raise DataError("Journal", f"boot {record.boot} appends after boot {self._boot}", "one boot an actor")
            if record.first != self._end[0]:
                raise DataError("Journal", f"a segment starts at sequence {record.first}", f"{self._end[0]}")
            self._unsynced.append(record)
            self._end = record.after
            if self._file is not None:
                self._write(self._file, record)
        self._dirty.set()
        if record.ends:
            self._sync_now.set()
        return record

    def read_from(self, sequence: int, boot: str | None = None) -> Iterator[Record]:
        """Records of `boot` (by default the one that appends here) from `sequence` on, oldest first.

        The first may begin before `sequence`; ends of episodes come where they belong.

        Raises:
            StoreError: a file cannot be read.
        """
        with self._lock:
            boot = boot or self._boot or ""
            files = [(f.path, f.size) for f in self._files if f.boot == boot and f.after[0] >= sequence]
            in_memory = tuple(self._unsynced) if boot == self._boot and self._file is None else ()
        at: Position = (sequence, False)
        for record in _each(files, boot, in_memory):
            if at < record.after and (record.next > sequence or record.first >= sequence):
                yield record
                at = record.after  # after a failure of the disk two files hold the same

    def trim(self, next_sequence: int, boot: str | None = None) -> None:
        """Forget transitions below `next_sequence` of `boot` (by default the one that appends here), file by file."""
        with self._lock:
            boot = boot or self._boot
            if boot is None:
                return
            self._trimmed[boot] = max(next_sequence, self._trimmed.get(boot, 0))
            done = [f for f in self._files if f.boot == boot and f.after[0] <= next_sequence and f is not self._file]
            for file in done:
                self._files.remove(file)
                self._doomed.append(file.path)  # deleting may take long
        if done:
            self._dirty.set()

    def pending(self) -> list[Leftover]:
        """What dead actors left for the same problem, oldest file first."""
        with self._lock:
            spans: dict[str, Leftover] = {}
            for f in self._files:
                if f.boot != self._boot and (not f.fingerprint or f.fingerprint == self.fingerprint):
                    start = Leftover(f.boot, max(f.first, self._trimmed.get(f.boot, 0)), *f.after)
                    before = spans.get(f.boot, start)
                    spans[f.boot] = Leftover(f.boot, before.first, *max(before[2:], f.after))
            return [span for span in spans.values() if span.first < span.next]

    def sync(self) -> None:
        """Force everything appended onto the disk, now; `trouble` tells when it refuses. May take long."""
        with self._sync_lock:
            with self._lock:
                file, appended = self._file, len(self._unsynced)
                descriptor = os.dup(self._descriptor) if file is not None else -1
            if file is None:
                self._mend()
                return
            try:
                os.fsync(descriptor)
            except OSError as error:  # what it did to the pages is unknown: they go to another file
                with self._lock:
                    if file is self._file:
                        self._break(error)
                return
            finally:
                os.close(descriptor)
            with self._lock:
                if file is self._file:
                    del self._unsynced[:appended]

    def stats(self) -> dict[str, float]:
        """Size [MB], share of the budget, files, records that the disk has not confirmed, and 1 while it refuses."""
        with self._lock:
            return {
                "journal_mb": self.size / 1e6,
                "journal_fill": self.fill,
                "journal_files": float(len(self._files)),
                "journal_unsynced": float(len(self._unsynced)),
                "journal_refused": float(self._disk_error is not None),
            }

    def close(self) -> None:
        """Sync, drop what is acknowledged, release the directory. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._sync_now.set()
        self._dirty.set()
        self._thread.join(_CLOSE_S)
        self.sync()
        with self._lock:
            lost = [r for r in self._unsynced if r.next > self._trimmed.get(r.boot, 0)] if self.trouble else []
            if lost:
                span = f"transitions {lost[0].first} to {lost[-1].next - 1} of boot {lost[0].boot}"
                _log.error("%s They were in memory only: %s are lost unless a learner has them.", self.trouble, span)
            self._let_go()
            doomed = [f.path for f in self._files if f.after[0] <= self._trimmed.get(f.boot, 0)]
            for path in (*self._doomed, *doomed):
                with contextlib.suppress(OSError):  # its data comes once more, and is known then
                    path.unlink(missing_ok=True)
        self._process_lock.release()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StoreError(self.directory, "the journal is closed", "Append before closing it.")

    def _start_file(self, boot: str, first: int) -> None:
        number, self._number = self._number, self._number + 1
        self._file, self._descriptor = create(self.directory, number, boot, first, self.fingerprint)
        self._files.append(self._file)

    def _write(self, file: JournalFile, record: Record) -> None:
        try:
            file.append(self._descriptor, [record])
            if record.ends and file.size >= min(_FILE_BYTES, self._budget / 8):
                os.fsync(self._descriptor)  # between two episodes nobody waits for a tick
                self._unsynced.clear()
                self._let_go()
                self._start_file(record.boot, record.next)
        except OSError as error:
            self._break(error)

    def _break(self, error: OSError) -> None:
        """Leave the file as it is: what it may not hold is written to another."""
        self._let_go()
        self._disk_error = error
        if trouble := self.trouble:
            _log.error("%s", trouble)

    def _let_go(self) -> None:
        if self._file is not None:
            self._file = None
            with contextlib.suppress(OSError):  # whatever it says, the descriptor is gone
                os.close(self._descriptor)

    def _mend(self) -> None:
        """Write to a new file what the disk has not confirmed."""
        with self._lock:
            boot, number = self._boot, self._number
            records = tuple(self._unsynced)
            first = records[0].first if records else self._end[0]
            self._number += 1
        if boot is None:
            return
        try:
            file, descriptor = create(self.directory, number, boot, first, self.fingerprint)
        except OSError as error:
            self._disk_error = error
            return
        try:
            if records:
                file.append(descriptor, records)
                os.fsync(descriptor)
            with self._lock:
                late = self._unsynced[len(records) :]
                if late:
                    file.append(descriptor, late)
                self._file, self._descriptor, self._unsynced, self._disk_error = file, descriptor, late, None
                self._files.append(file)
        except OSError as error:
            self._disk_error = error
            os.close(descriptor)
            with contextlib.suppress(OSError):  # a copy that stays is recognised as one
                file.path.unlink()
            return
        _log.warning("The journal %s can be written again; nothing is missing.", self.directory)

    def _sync_loop(self) -> None:
        try:
            with beating("journal sync") as pulse:
                while not self._closed:
                    pulse.beat("waiting for data")
                    if not self._dirty.wait(_LOOK_S):
                        continue
                    self._sync_now.wait(SYNC_S)
                    self._sync_now.clear()
                    self._dirty.clear()
                    pulse.beat("syncing", _DISK_S)
                    self.sync()
                    self._unlink()
                    if self._disk_error is not None:
                        self._dirty.set()
        except BaseException as error:
            self._error = error  # raised by the next `append`

    def _unlink(self) -> None:
        """Delete what is acknowledged, oldest first also for a disk that loses its power: no hole is left."""
        while self._doomed:
            try:
                self._doomed[0].unlink(missing_ok=True)
                sync_directory(self.directory)
            except OSError as error:
                _log.warning("Journal %s: an acknowledged file cannot be deleted (%s)", self.directory, error)
                return
            self._doomed.popleft()


def _each(files: list[tuple[Path, int]], boot: str, in_memory: tuple[Record, ...]) -> Iterator[Record]:
    for path, size in files:
        try:
            yield from read_records(path, boot, size)
        except OSError as error:
            raise _refused(path, error, "Was it deleted? Start a new run.") from error
    yield from in_memory


def _refused(path: Path, error: OSError, remedy: str) -> StoreError:
    return StoreError(path, f"the disk refuses ({error.strerror or error})", remedy)
