"""The robot's own book: one fixed-size record for every command that reached it, and what became of it.

It proves what a robot executed, independently of what a controller believes. A record is one `write(2)` of the server's
thread, made before the state that follows can be sent: whatever a controller saw happen is in the book, also when the
server is killed with SIGKILL a moment later. (It is not fsynced: a power cut ends a stand-in's world anyway.)

    header   magic "RLPDBOOK" · version uint32 · C uint32
    record   server, controller (32 bytes each, ASCII boots) · number, answers, state int64 · stamp float64 ·
             values (C,) float64 · outcome uint32 · CRC-32 of the bytes before it, uint32        (all little-endian)
"""

import os
import struct
import time
import zlib
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import StoreError

_MAGIC, _VERSION = b"RLPDBOOK", 1
_HEADER = struct.Struct("<8sII")
_BOOT_BYTES = 32


class Outcome(IntEnum):
    """What became of one message of a controller."""

    EXECUTED = 0
    STALE = 1  # it answers a state that is too old
    OUT_OF_ORDER = 2  # its number is not above the last one's
    INVALID = 3  # shape, dtype, range or NaN
    REPEATED = 4  # lock-step: asked again, answered again, not executed again
    RESET = 5
    STOP = 6
    HELD = 7  # no fresh command came: from here on the robot follows none, and comes to its stop
    IDLE = (
        9  # it rests: told to stay where it is, or nothing more; it has no watchdog, and follows whoever commands next
    )
    NOT_RESET = 8  # it came after a stop, and before the reset that would have let the robot move again


def record_dtype(size: int) -> np.dtype[np.void]:
    """One record for commands of C = `size` elements; fields as the table above says."""
    fields = [("server", f"S{_BOOT_BYTES}"), ("controller", f"S{_BOOT_BYTES}")]
    fields += [("number", "<i8"), ("answers", "<i8"), ("state", "<i8"), ("stamp_s", "<f8")]
    return np.dtype([*fields, ("values", "<f8", (size,)), ("outcome", "<u4"), ("crc", "<u4")])


class CommandBook:
    """Appends to one book. A server that was restarted goes on with the book of the one before.

    Args:
        path: of the file; made, parents included, if there is none. A record torn by a crash is cut off.
        server: boot of this server.
        size: C.

    Raises:
        StoreError: it is no book, or one of commands of another size.
    """

    def __init__(self, path: Path, server: str, size: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._record = np.zeros((), record_dtype(size))
        self._record["server"] = server.encode()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            written = os.fstat(self._descriptor).st_size
            if written < _HEADER.size:
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, _HEADER.pack(_MAGIC, _VERSION, size))
                return
            _check_header(path, os.pread(self._descriptor, _HEADER.size, 0), size)
            whole = (written - _HEADER.size) // self._record.nbytes * self._record.nbytes
            os.ftruncate(self._descriptor, _HEADER.size + whole)
        except BaseException:
            os.close(self._descriptor)
            raise

    def add(
        self,
        outcome: Outcome,
        controller: str,
        number: int = -1,
        answers: int = -1,
        state: int = -1,
        values: NDArray[np.float64] | None = None,
    ) -> None:
        """Write one record down.

        Args:
            outcome: what became of the message.
            controller: boot of whoever sent it.
            number: its own number; -1: it had none.
            answers: number of the state that it answers; -1: none.
            state: number of the robot's state when it was judged.
            values: (C,) of a command; none or another shape is written as NaN.

        Raises:
            OSError: the disk refused: an incomplete book proves nothing.
        """
        record = self._record
        record["controller"] = controller.encode()
        record["number"], record["answers"], record["state"] = number, answers, state
        record["stamp_s"] = time.monotonic()
        fits = values is not None and values.shape == record["values"].shape
        record["values"] = values if fits else np.nan
        record["outcome"] = outcome
        data = record.tobytes()[:-4]
        data += struct.pack("<I", zlib.crc32(data))
        if os.write(self._descriptor, data) != len(data):
            raise OSError(f"Book: a record of {len(data)} bytes was written in part")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def read_book(path: Path) -> NDArray[np.void]:
    """All whole records, oldest first: a structured array of `record_dtype`; a torn tail is left out.

    Raises:
        StoreError: there is none, it is no book, or a record within it is damaged.
    """
    if not path.is_file():
        raise StoreError(path, "there is no book at this path", "Start the stand-in with sim.book=PATH.")
    data = path.read_bytes()
    size = _check_header(path, data[: _HEADER.size])
    dtype = record_dtype(size)
    count = (len(data) - _HEADER.size) // dtype.itemsize
    body = data[_HEADER.size : _HEADER.size + count * dtype.itemsize]
    records = np.frombuffer(body, dtype)
    for i in range(count):
        start = i * dtype.itemsize
        if zlib.crc32(body[start : start + dtype.itemsize - 4]) != records["crc"][i]:
            raise StoreError(path, f"record {i} of {count} is damaged", "It proves nothing any more.")
    return records


def new_records(path: Path, after: int) -> NDArray[np.void]:
    """Whole records from number `after` on, as they stand: to watch a book that is being written. Empty without one.

    Raises:
        StoreError: it is no book.
    """
    try:
        with open(path, "rb") as file:
            header = file.read(_HEADER.size)
            dtype = record_dtype(_check_header(path, header) if len(header) == _HEADER.size else 1)
            file.seek(_HEADER.size + after * dtype.itemsize)
            data = file.read()
    except FileNotFoundError:
        return np.zeros(0, record_dtype(1))
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _check_header(path: Path, header: bytes, size: int | None = None) -> int:
    """C of the book with this header."""
    remedy = "Give the path of a book, or of nothing yet."
    if len(header) < _HEADER.size:
        raise StoreError(path, "it is too short for a book", remedy)
    magic, version, found = _HEADER.unpack(header)
    if (magic, version) != (_MAGIC, _VERSION):
        raise StoreError(path, "it is no book of this version", remedy)
    if size is not None and found != size:
        raise StoreError(path, f"it is of commands of {found} elements, not {size}", remedy)
    return int(found)
