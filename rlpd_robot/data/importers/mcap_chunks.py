"""What the compressed chunks of an MCAP file unpack to, known before a library unpacks them whole into memory."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from rlpd_robot.errors import ImportSourceError

MAX_CHUNK_BYTES = 1 << 28
_MAGIC = b"\x89MCAP0\r\n"
_CHUNK = 0x06
_HEAD = struct.Struct("<QQQI")
_PIECE = 1 << 20


def check_chunks(path: Path) -> None:
    """Walk over the records of a file; each chunk must unpack to the size that it tells.

    Raises:
        ImportSourceError: it is no whole MCAP file, or a chunk would unpack to more.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ImportSourceError(path, "it does not begin as an MCAP file does", "a whole one")
        end = size - len(_MAGIC)
        while file.tell() < end:
            at = file.tell()
            head = file.read(9)
            length = int.from_bytes(head[1:], "little")
            if len(head) < 9 or at + 9 + length > end:
                raise ImportSourceError(path, f"its record at byte {at} is cut off", "a recording that was finished")
            if head[0] == _CHUNK:
                _check_chunk(path, file, at, length)
            file.seek(at + 9 + length)
        file.seek(end)
        if file.read() != _MAGIC:
            raise ImportSourceError(path, "it does not end as an MCAP file does", "a recording that was finished")


def _check_chunk(path: Path, file: BinaryIO, at: int, length: int) -> None:
    data = file.read(min(length, 128))
    if length > MAX_CHUNK_BYTES or len(data) < _HEAD.size + 4:
        raise ImportSourceError(path, f"its chunk at byte {at} has {length} bytes", f"at most {MAX_CHUNK_BYTES}")
    claimed = _HEAD.unpack_from(data)[2]
    width = int.from_bytes(data[_HEAD.size : _HEAD.size + 4], "little")
    start = _HEAD.size + 4 + width + 8
    if claimed > MAX_CHUNK_BYTES or start > min(length, 128):
        raise ImportSourceError(path, f"its chunk at byte {at} claims {claimed} bytes", f"at most {MAX_CHUNK_BYTES}")
    codec = data[_HEAD.size + 4 : _HEAD.size + 4 + width].decode(errors="replace")
    if codec == "":
        return
    make = _unpackers().get(codec)
    if make is None:
        raise ImportSourceError(path, f"its chunk at byte {at} is compressed with {codec!r}", "lz4, zstd or nothing")
    file.seek(at + 9 + start)
    if not _unpacks_to(make(), file, length - start, claimed):
        found = f"its chunk at byte {at} is damaged or does not unpack to {claimed} bytes"
        raise ImportSourceError(path, found, "what it claims")


def _unpackers() -> Mapping[str, Callable[[], Any]]:
    """Those that rosbags brings."""
    import lz4.frame
    from backports import zstd

    return {"lz4": lz4.frame.LZ4FrameDecompressor, "zstd": zstd.ZstdDecompressor}


def _unpacks_to(unpacker: Any, file: BinaryIO, length: int, claimed: int) -> bool:
    """Piece by piece, keeping nothing."""
    size, left = 0, length
    try:
        while not unpacker.eof and size <= claimed:
            data = b""
            if unpacker.needs_input:
                data = file.read(min(_PIECE, left))
                left -= len(data)
                if not data:
                    return False
            size += len(unpacker.decompress(data, _PIECE))
    except Exception:  # each codec raises its own
        return False
    return size == claimed and not left and not unpacker.unused_data
