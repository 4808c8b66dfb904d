"""The files of a journal: what a record looks like, and what can still be read after a crash.

Files are called `<number>-<boot>.journal` and count up, so that neither their order nor that of their boots depends on
a clock. Each is a sequence of records: length and CRC-32 of what follows (uint32 each), first sequence (uint64),
transitions (uint32, the highest bit set when they end their episode), then the segment as one encoded message, or with
no transition how an episode ended. The first record of a file carries the fingerprint of the problem.
"""

import itertools
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpd_robot.errors import StoreError
from rlpd_robot.files import sync_directory
from rlpd_robot.types import Segment
from rlpd_robot.wire.messages import EpisodeEnd, SegmentMessage, from_bytes, to_bytes

SUFFIX = ".journal"

_RECORD = struct.Struct("<IIQI")
_ENDS = 1 << 31

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


def to_record(given: Segment | EpisodeEnd) -> Record:
    """A segment or an end as it is journalled."""
    if isinstance(given, EpisodeEnd):
        return Record(given.boot, given.sequence, given.sequence, True, to_bytes(given))
    data = to_bytes(SegmentMessage(given))
    return Record(given.boot, given.first_sequence, given.next_sequence, given.ending != "", data)


@dataclass(slots=True)
class JournalFile:
    """One file and what can be read of it.

    Attributes:
        path: where it lies.
        boot: of the actor that wrote it.
        fingerprint: of its problem.
        first: sequence number of the first record.
        after: position after the last one.
        size: bytes that hold whole records.
    """

    path: Path
    boot: str
    fingerprint: str
    first: int
    after: Position
    size: int

    def append(self, descriptor: int, records: Sequence[Record]) -> None:
        """Add records with one write.

        Raises:
            OSError: the disk refuses, or takes a part only: then nothing of them can be read.
        """
        blob = b"".join(_pack(r.first, r.next - r.first | _ENDS * r.ends, r.data) for r in records)
        written = os.write(descriptor, blob)
        if written < len(blob):
            raise OSError(28, f"the disk took {written} of {len(blob)} bytes", str(self.path))
        self.size += len(blob)
        self.after = records[-1].after


def create(directory: Path, number: int, boot: str, first: int, fingerprint: str) -> tuple[JournalFile, int]:
    """Make an empty file that survives a power cut; returns it with its open descriptor.

    Raises:
        OSError: the disk refuses; nothing is left.
    """
    path = directory / f"{number:08d}-{boot}{SUFFIX}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    try:
        head = _pack(first, 0, fingerprint.encode())
        if os.write(descriptor, head) < len(head):
            raise OSError(28, "the disk has no room for a new file", str(path))
        os.fsync(descriptor)
        sync_directory(directory)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    return JournalFile(path, boot, fingerprint, first, (first, True), len(head)), descriptor


def read_records(path: Path, boot: str, size: int) -> Iterator[Record]:
    """The records within the first `size` bytes, without the file's head. Stops at one that is torn or damaged."""
    return itertools.islice(_read(path, boot, size), 1, None)


def scan(directory: Path) -> list[JournalFile]:
    """Every file that holds something, oldest first. Files of which nothing can be read are removed.

    The end of a file may be torn: a kill or a power cut leaves that. What follows in the next file of its boot must
    then begin before it.

    Raises:
        StoreError: transitions are missing between two files of one boot.
    """
    files: list[JournalFile] = []
    last: dict[str, JournalFile] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        file = _scan_file(path, path.name.removesuffix(SUFFIX).partition("-")[2])
        if file is None:
            path.unlink()
            continue
        before = last.get(file.boot)
        if before is not None and file.first > before.after[0]:
            total, remedy = (
                before.path.stat().st_size,
                "Move both away to start, and keep them for a person to look at.",
            )
            damage = f", which is damaged at byte {before.size} of {total}" if before.size < total else ""
            problem = f"it begins at sequence {file.first}, but {before.path.name!r} ends at {before.after[0]}{damage}"
            raise StoreError(file.path, problem, remedy)
        last[file.boot] = file
        files.append(file)
    for file in files:
        if last[file.boot].after[0] == file.first:  # no transition: nobody waits for it
            file.path.unlink()
    return [file for file in files if last[file.boot].after[0] > file.first]


def next_number(directory: Path) -> int:
    """A number above that of every file."""
    numbers = (path.name.partition("-")[0] for path in directory.glob(f"*{SUFFIX}"))
    return 1 + max((int(n) for n in numbers if n.isdecimal()), default=0)


def _pack(first: int, count: int, data: bytes) -> bytes:
    tail = struct.pack("<QI", first, count)
    return struct.pack("<II", len(data), zlib.crc32(data, zlib.crc32(tail))) + tail + data


def _read(path: Path, boot: str, size: int) -> Iterator[Record]:
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


def _scan_file(path: Path, boot: str) -> JournalFile | None:
    total = path.stat().st_size
    file: JournalFile | None = None
    for record in _read(path, boot, total):
        if file is None:
            file = JournalFile(path, boot, record.data.decode(errors="replace"), record.first, (record.first, True), 0)
        elif record.first != file.after[0]:
            problem = f"sequence {record.first} follows {file.after[0]}"
            raise StoreError(path, problem, "Move the file away to start, and keep it for a person to look at.")
        else:
            file.after = record.after
        file.size += _RECORD.size + len(record.data)
    size = file.size if file is not None else 0
    if size < total:
        _log.warning("Journal %s: its last %d bytes are torn and count for nothing", path, total - size)
    return file
