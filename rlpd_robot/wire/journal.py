"""What an actor did, on its own disk, until the learner has it on its own.

One directory, files `<boot>-<first sequence>.journal`, each a sequence of records: length and CRC-32 of what follows
(uint32 each), first sequence (uint64), transitions (uint32, the highest bit set when they end their episode), then the
segment as one encoded message, or with no transition how an episode ended. The first record of a file carries the
fingerprint of the problem. Appending is one write, so that a killed process
leaves at worst one torn record at the end, which the next one cuts off; a second thread makes the disk hold it.
"""

import itertools
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from rlpd_robot.errors import ConfigError, DataError, StoreError, StoreLockedError
from rlpd_robot.types import Segment
from rlpd_robot.wire.messages import EpisodeEnd, SegmentMessage, from_bytes, to_bytes

SYNC_S = 0.5
"""Longest time that a record waits to be forced onto the disk."""

_FILE_BYTES = 8_000_000  # one file: what has been acknowledged is deleted file by file
_RECORD = struct.Struct(
    "<IIQI"
)  # length of the payload, CRC-32 of all that follows it here, first sequence, transitions and `_ENDS`
_ENDS = 1 << 31
_CLOSE_S = 10.0
_SUFFIX = ".journal"

_log = logging.getLogger(__name__)


Position = tuple[int, bool]
"""How far a boot has come: its next sequence number, and whether the episode before it has ended.

An end takes no number, so a number alone cannot tell whether it has arrived. Positions compare like tuples.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One segment, or one end of an episode, as it stands in a journal.

    Attributes:
        boot: the actor's boot that wrote it.
        first, next: its sequence numbers, `next` exclusive; equal for an end.
        ends: whether no transition of the same episode follows.
        data: the encoded `SegmentMessage` or `EpisodeEnd`.
    """

    boot: str
    first: int
    next: int
    ends: bool
    data: bytes

    @property
    def after(self) -> Position:
        """Where its boot stands after it."""
        return self.next, self.ends

    def message(self, where: str) -> SegmentMessage | EpisodeEnd:
        """Decode it.

        Raises:
            ProtocolError: it is something else.
        """
        message = from_bytes(self.data, where, len(self.data))
        assert isinstance(message, SegmentMessage | EpisodeEnd)
        return message


class Leftover(NamedTuple):
    """What a dead actor left: transitions [first, next) of its boot, and whether the last episode's end is told."""

    boot: str
    first: int
    next: int
    end_told: bool


@dataclass(slots=True)
class _File:
    path: Path
    boot: str
    first: int
    next: int
    size: int
    fingerprint: str
    ends: bool = False  # with the last record an episode ends


class Journal:
    """The journal of one actor and what dead predecessors left in the same directory. Thread-safe.

    Args:
        directory: made when missing; locked while this object lives.
        budget_mb: size beyond which `full` is true [MB]. Appending goes on: the caller decides what to give up.
        fingerprint: of the `ProblemSpec` that appended segments belong to.

    Attributes:
        fingerprint: as given; an uplink sets it before the first segment.

    Raises:
        ConfigError: a budget that is not positive.
        StoreLockedError: another process uses the directory.
        StoreError: a file is damaged elsewhere than at its end, or cannot be read.
    """

    def __init__(self, directory: Path, budget_mb: float, fingerprint: str = "") -> None:
        if not budget_mb > 0:
            raise ConfigError("journal_mb", budget_mb, "a positive size in MB")
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.fingerprint = fingerprint
        self._budget = budget_mb * 1e6
        self._lock = threading.RLock()
        self._process_lock = FileLock(self.directory / "lock")
        try:
            self._process_lock.acquire(timeout=1.0)
        except Timeout as error:
            raise StoreLockedError(self.directory, 1.0) from error
        self._closed = False
        self._boot: str | None = None
        self._end: int | None = None
        self._trimmed: dict[str, int] = {}
        self._descriptor: int | None = None
        self._dirty = threading.Event()
        self._sync_now = threading.Event()
        self._error: BaseException | None = None
        self._warned = False
        try:
            self._files = self._scan()
        except BaseException:
            self._process_lock.release()
            raise
        self._thread = threading.Thread(target=self._sync_loop, name="journal sync", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether the journal has outgrown its budget."""
        return self.size > self._budget

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._lock:
            return sum(f.size for f in self._files)

    def append(self, given: Segment | EpisodeEnd) -> Record:
        """Write one segment, or the end of an episode; on the disk itself within `SYNC_S`, sooner when it ends one.

        Raises:
            DataError: it does not follow the last one of its boot, or a second boot appends.
            OSError: the disk refuses; nothing of it then counts as journalled.
        """
        with self._lock:
            self._check_open()
            record = _record(given)
            file = self._file_for(record)
            blob = _pack(record.first, record.next - record.first | _ENDS * record.ends, record.data)
            assert self._descriptor is not None
            try:
                written = os.write(self._descriptor, blob)
                if written < len(blob):
                    raise StoreError(file.path, "the disk took only part of a record", "Make room on the disk.")
            except OSError:
                os.ftruncate(self._descriptor, file.size)
                raise
            file.size += len(blob)
            file.next = self._end = record.next
            file.ends = record.ends
            self._warn_when_full()
        self._dirty.set()
        if record.ends:
            self._sync_now.set()
        return record

    def read_from(self, sequence: int, boot: str | None = None) -> Iterator[Record]:
        """Records of `boot` (by default the one that appends here) from `sequence` on, oldest first.

        The first may begin before `sequence`; ends of episodes come where they belong.

        Raises:
            StoreError: a record is damaged.
        """
        with self._lock:
            boot = boot or self._boot
            files = [(f.path, f.size) for f in self._files if f.boot == boot and f.next >= sequence]
        for path, size in files:
            for record in itertools.islice(_read_records(path, boot or "", size), 1, None):  # not the file's head
                if record.next > sequence or record.first >= sequence:
                    yield record

    def trim(self, next_sequence: int, boot: str | None = None) -> None:
        """Forget transitions below `next_sequence` of `boot` (by default the one that appends here), file by file."""
        with self._lock:
            boot = boot or self._boot
            if boot is None:
                return
            self._trimmed[boot] = max(next_sequence, self._trimmed.get(boot, 0))
            for file in [f for f in self._files if f.boot == boot and f.next <= next_sequence]:
                if not (self._is_current(file) and file.size < _FILE_BYTES):
                    self._delete(file)
            self._warned = self._warned and self.full

    def pending(self) -> list[Leftover]:
        """What dead actors left for the same problem, oldest file first."""
        with self._lock:
            spans: dict[str, Leftover] = {}
            for f in self._files:
                if f.boot != self._boot and (not f.fingerprint or f.fingerprint == self.fingerprint):
                    first = spans[f.boot].first if f.boot in spans else max(f.first, self._trimmed.get(f.boot, 0))
                    spans[f.boot] = Leftover(f.boot, first, f.next, f.ends)
            return [span for span in spans.values() if span.first < span.next]

    def sync(self) -> None:
        """Force everything appended onto the disk, now. May take long."""
        with self._lock:
            descriptor = os.dup(self._descriptor) if self._descriptor is not None else None
        if descriptor is not None:
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def stats(self) -> dict[str, float]:
        """Size [MB], files, and 1 when full."""
        with self._lock:
            return {"journal_mb": self.size / 1e6, "journal_files": float(len(self._files)), "full": float(self.full)}

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
            self._close_current()
            for file in [f for f in self._files if f.next <= self._trimmed.get(f.boot, 0)]:
                self._delete(file)
        self._process_lock.release()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StoreError(self.directory, "the journal is closed", "Append before closing it.")

    def _is_current(self, file: _File) -> bool:
        return self._descriptor is not None and file is self._files[-1]

    def _file_for(self, record: Record) -> _File:
        if self._boot not in (None, record.boot):
            raise DataError("Journal", f"boot {record.boot} appends after boot {self._boot}", "one boot an actor")
        if self._boot is None and any(f.boot == record.boot for f in self._files):
            raise DataError("Journal", f"boot {record.boot} has been journalled by a dead actor", "a new boot a start")
        current = self._files[-1] if self._descriptor is not None else None
        if self._end not in (None, record.first):
            raise DataError("Journal", f"a segment starts at sequence {record.first}", f"{self._end}")
        if current is None or current.size >= _FILE_BYTES:
            self._close_current()
            current = self._create(record)
        return current

    def _create(self, record: Record) -> _File:
        path = self.directory / f"{record.boot}-{record.first:012d}{_SUFFIX}"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._boot = record.boot
        head = _pack(record.first, 0, self.fingerprint.encode())
        os.write(self._descriptor, head)
        _sync_directory(self.directory)
        file = _File(path, record.boot, record.first, record.first, len(head), self.fingerprint)
        self._files.append(file)
        return file

    def _close_current(self) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)  # a file that is not the last of its boot may not be torn
            os.close(self._descriptor)
            self._descriptor = None

    def _delete(self, file: _File) -> None:
        if self._is_current(file):
            self._close_current()
        file.path.unlink()
        self._files.remove(file)

    def _warn_when_full(self) -> None:
        if self.full and not self._warned:
            self._warned = True
            _log.warning(
                "The journal %s has outgrown its %g MB: no learner takes what it holds.",
                self.directory,
                self._budget / 1e6,
            )

    def _sync_loop(self) -> None:
        try:
            while not self._closed:
                if not self._dirty.wait(_CLOSE_S):
                    continue
                self._sync_now.wait(SYNC_S)
                self._sync_now.clear()
                self._dirty.clear()
                self.sync()
        except BaseException as error:
            self._error = error  # raised by the next `append`

    def _scan(self) -> list[_File]:
        """Every leftover file, torn ends cut off, empty ones removed; oldest first, each boot's in order."""
        paths = sorted(self.directory.glob(f"*{_SUFFIX}"), key=lambda p: (p.stat().st_mtime_ns, p.name))
        by_boot: dict[str, list[Path]] = {}
        for path in paths:
            by_boot.setdefault(path.name.rpartition("-")[0], []).append(path)
        files: list[_File] = []
        for boot, ones in by_boot.items():
            ones.sort(key=lambda p: p.name)
            for path in ones:
                file = _scan_file(path, boot, may_be_torn=path is ones[-1])
                if file.next > file.first:
                    files.append(file)
                else:
                    path.unlink()
        return files


def _record(given: Segment | EpisodeEnd) -> Record:
    if isinstance(given, EpisodeEnd):
        return Record(given.boot, given.sequence, given.sequence, True, to_bytes(given))
    data = to_bytes(SegmentMessage(given))
    return Record(given.boot, given.first_sequence, given.next_sequence, given.ending != "", data)


def _pack(first: int, count: int, data: bytes) -> bytes:
    tail = struct.pack("<QI", first, count)
    return struct.pack("<II", len(data), zlib.crc32(data, zlib.crc32(tail))) + tail + data


def _read_records(path: Path, boot: str, size: int) -> Iterator[Record]:
    """The records within the first `size` bytes. Stops without a word at the first that is torn or damaged."""
    position = 0
    with path.open("rb") as file:
        while position + _RECORD.size <= size:
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                return
            length, crc, first, count = _RECORD.unpack(head)
            position += _RECORD.size + length
            if position > size:
                return
            data = file.read(length)
            if len(data) < length or zlib.crc32(data, zlib.crc32(head[8:])) != crc:
                return
            yield Record(boot, first, first + (count & ~_ENDS), bool(count & _ENDS), data)


def _scan_file(path: Path, boot: str, may_be_torn: bool) -> _File:
    total = path.stat().st_size
    file = _File(path, boot, 0, 0, 0, "")
    for record in _read_records(path, boot, total):
        if file.size == 0:
            file.first = file.next = record.first
            file.fingerprint = record.data.decode(errors="replace")
        elif record.first != file.next:
            raise StoreError(path, f"sequence {record.first} follows {file.next}", "Move the file away to start.")
        file.next, file.ends = record.next, record.ends
        file.size += _RECORD.size + len(record.data)
    if file.size < total:
        if not may_be_torn:
            remedy = "Move the file away to start; its later transitions are lost."
            raise StoreError(path, f"it is damaged at byte {file.size} of {total}", remedy)
        _log.warning("Journal %s: cut a torn end of %d bytes", path, total - file.size)
        os.truncate(path, file.size)
    return file


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
