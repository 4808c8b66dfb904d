"""Messages as bytes: a msgpack header and the raw bytes of each array. No pickle, no code, no surprise in memory.

Layout, version 1. Header: msgpack map {v, kind, fields, arrays}, `arrays` being [[name, dtype, shape], …] packed once
more, as bytes. As frames: the header, then one frame an array. As one piece (`encode_single`): "RLPD", the header's
length as uint32, header, arrays; header and arrays each padded with zeros to 8 bytes so that arrays are aligned. A
conflated ZeroMQ socket and a journal need the one piece.

Whatever the bytes are, decoding ends in a `Message`, `ProtocolError` or `PeerVersionError`, and the arrays are views
of the bytes received.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerVersionError, ProtocolError

PROTOCOL_VERSION = 1
MAX_HEADER_BYTES = 1 << 20
MAX_ARRAYS = 1024
MAX_DIMENSIONS = 8
DEFAULT_MAX_BYTES = 64_000_000
_MAX_ELEMENTS = 1 << 32
_CACHED_BYTES = 4096  # of one layout: what a stranger sends must not fill a cache

DTYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("float64", "float32", "float16", "int64", "int32", "uint16", "uint8", "bool")
}
_OURS = frozenset(DTYPES.values())  # dtype.name takes 6 µs, a look-up 0.1
_MAGIC = b"RLPD"
_PREFIX = struct.Struct("<4sI")
Frame = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Message:
    """One message before or after the wire.

    Attributes:
        kind: what it is, one of the names in `messages.py`.
        fields: plain values that msgpack carries.
        arrays: by name; dtypes of `DTYPES` only. Decoded ones are read-only views of the received bytes.
    """

    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def encode(message: Message) -> list[Frame]:
    """Header frame, then one frame an array.

    Raises:
        TypeError: a field or a dtype that the format does not carry: a mistake in this program, not of a peer.
    """
    key, frames = [], []
    for name, array in message.arrays.items():
        key.append((name, array.dtype, array.shape))
        frames.append(array.tobytes() if array.dtype in _OURS else _to_little_endian(name, array).tobytes())
    layout = _pack_layout(tuple(key))
    header = {"v": PROTOCOL_VERSION, "kind": message.kind, "fields": message.fields, "arrays": layout}
    return [msgpack.packb(header), *frames]


def encode_single(message: Message) -> bytes:
    """The same message in one piece."""
    header, *arrays = encode(message)
    parts: list[Frame] = [_PREFIX.pack(_MAGIC, len(header)), header, bytes(-len(header) % 8)]
    for array in arrays:
        parts += (array, bytes(-len(array) % 8)) if len(array) % 8 else (array,)
    return b"".join(parts)


def decode(frames: Sequence[Frame], peer: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Message:
    """Inverse of `encode`.

    Args:
        frames: as received.
        peer: who sent them, for the error's sentence.
        max_bytes: largest total accepted.

    Raises:
        PeerVersionError: the header carries another protocol version.
        ProtocolError: anything else that is not such a message.
    """
    _check_size(sum(len(f) for f in frames), peer, max_bytes)
    if not frames:
        raise ProtocolError(peer, "it is empty", "a header frame")
    kind, fields, layout = _read_header(frames[0], peer)
    if len(frames) != 1 + len(layout):
        raise ProtocolError(peer, f"{len(frames) - 1} array frames", f"{len(layout)} as its header says")
    arrays = {}
    for (name, dtype, shape, size), frame in zip(layout, frames[1:], strict=True):
        if len(frame) != size:
            raise ProtocolError(peer, f"array '{name}' has {len(frame)} bytes", f"{size} for {shape} {dtype.name}")
        arrays[name] = _view(memoryview(frame).toreadonly(), 0, name, dtype, shape, peer)
    return Message(kind, fields, arrays)


def decode_single(data: Frame, peer: str, max_bytes: int = DEFAULT_MAX_BYTES) -> Message:
    """Inverse of `encode_single`. Arguments and errors as `decode`."""
    _check_size(len(data), peer, max_bytes)
    if len(data) < _PREFIX.size:
        raise ProtocolError(peer, f"{len(data)} bytes", f"at least {_PREFIX.size}")
    magic, header_size = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise ProtocolError(peer, f"it starts with {magic!r}", f"{_MAGIC!r}")
    position = _PREFIX.size + header_size + -header_size % 8
    if position > len(data):
        raise ProtocolError(peer, f"a header of {header_size} bytes in {len(data)}", "a whole header")
    view = memoryview(data).toreadonly()
    kind, fields, layout = _read_header(view[_PREFIX.size : _PREFIX.size + header_size], peer)
    total = position + sum(size + -size % 8 for *_, size in layout)
    if total != len(data):
        raise ProtocolError(peer, f"{len(data)} bytes", f"{total} as its header says")
    arrays = {}
    for name, dtype, shape, size in layout:
        arrays[name] = _view(view, position, name, dtype, shape, peer)
        position += size + -size % 8
    return Message(kind, fields, arrays)


Layout = tuple[tuple[str, "np.dtype[Any]", tuple[int, ...], int], ...]


class _HeaderError(Exception):
    """(problem, expected): what `ProtocolError` needs besides the peer."""


def _to_little_endian(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.name not in DTYPES:
        raise TypeError(f"Array '{name}' is {array.dtype}; the wire carries {list(DTYPES)}.")
    return array.astype(DTYPES[array.dtype.name])


# A stream repeats one layout thousands of times: both directions look it up.
@lru_cache(maxsize=256)
def _pack_layout(key: tuple[tuple[str, "np.dtype[Any]", tuple[int, ...]], ...]) -> bytes:
    packed: bytes = msgpack.packb([(name, dtype.name, shape) for name, dtype, shape in key])
    return packed


@lru_cache(maxsize=256)
def _read_layout(packed: bytes) -> Layout:
    entries = _unpack(packed)
    if not isinstance(entries, list):
        raise _HeaderError("its array layout is no list", "[[name, dtype, shape], …]")
    layout = tuple(_read_entry(entry) for entry in entries)
    if len({name for name, *_ in layout}) < len(layout):
        raise _HeaderError("two arrays have one name", "unique names")
    return layout


def _read_entry(entry: Any) -> tuple[str, "np.dtype[Any]", tuple[int, ...], int]:
    if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str) and isinstance(entry[2], list)):
        raise _HeaderError(f"array entry {str(entry)[:80]}", "[name, dtype, shape]")
    name, dtype_name, shape = entry
    dtype = DTYPES.get(dtype_name) if isinstance(dtype_name, str) else None
    if dtype is None:
        raise _HeaderError(f"array '{name[:80]}' has dtype {str(dtype_name)[:80]!r}", f"one of {list(DTYPES)}")
    product = 1
    for size in shape:
        product = product * (size or 1) if type(size) is int and size >= 0 else _MAX_ELEMENTS + 1
    if product > _MAX_ELEMENTS or len(shape) > MAX_DIMENSIONS:
        raise _HeaderError(f"array '{name[:80]}' has shape {str(shape)[:80]}", f"{MAX_DIMENSIONS} sizes at most")
    return name, dtype, tuple(shape), 0 if 0 in shape else product * dtype.itemsize


def _check_size(size: int, peer: str, max_bytes: int) -> None:
    if size > max_bytes:
        raise ProtocolError(peer, f"{size} bytes", f"at most {max_bytes} (link.max_message_mb)")


def _read_header(frame: Frame, peer: str) -> tuple[str, dict[str, Any], Layout]:
    if len(frame) > MAX_HEADER_BYTES:
        raise ProtocolError(peer, f"a header of {len(frame)} bytes", f"at most {MAX_HEADER_BYTES}")
    try:
        header = _unpack(frame)
        if not isinstance(header, dict) or "v" not in header:
            raise _HeaderError("its header has no version", "a map with v, kind, fields, arrays")
        if header["v"] != PROTOCOL_VERSION or isinstance(header["v"], bool):
            raise PeerVersionError(peer, header["v"], PROTOCOL_VERSION)
        kind, fields, packed = header.get("kind"), header.get("fields"), header.get("arrays")
        if not (isinstance(kind, str) and isinstance(fields, dict) and isinstance(packed, bytes)):
            raise _HeaderError("kind, fields or arrays is missing from its header", "a text, a map and bytes")
        layout = _read_layout(packed) if len(packed) <= _CACHED_BYTES else _read_layout.__wrapped__(packed)
        return kind, fields, layout
    except _HeaderError as error:
        raise ProtocolError(peer, *error.args) from error


def _unpack(packed: Frame) -> Any:
    try:
        # Short limits: msgpack takes memory for a list's stated length before its entries, at every nesting level.
        return msgpack.unpackb(packed, max_array_len=MAX_ARRAYS, max_map_len=MAX_ARRAYS, max_ext_len=0)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise _HeaderError(
            f"its header is not msgpack ({type(error).__name__})", "a header of this protocol"
        ) from error


def _view(
    frame: memoryview, offset: int, name: str, dtype: "np.dtype[Any]", shape: tuple[int, ...], peer: str
) -> NDArray[Any]:
    array: NDArray[Any] = np.ndarray(shape, dtype, frame, offset)
    if dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ProtocolError(peer, f"array '{name[:80]}' holds a byte above 1", "0 or 1 for bool")
    return array
