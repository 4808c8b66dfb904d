"""Where the numbers of a ROS 2 message lie among its bytes, so that many messages can be taken apart at once.

In CDR (OMG formal/02-06-51) the place of every field follows from the type and from the lengths of the texts and
sequences before it. So two messages of one type and one size, whose lengths are the same, have the same layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES = 4
"""How the message is encoded; alignment counts from after it."""
_MAX_PLACES = 4096
_DTYPES = {  # fmt: skip
    "bool": "u1",
    "byte": "i1",
    "char": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float32": "f4",
    "float64": "f8",
}


class NoLayoutError(Exception):
    """A message that is not laid out by what is known here; it may be a good one all the same."""


@dataclass(frozen=True)
class Place:
    """Numbers that lie after each other.

    Attributes:
        names: of the field, from the top.
        start: the first one's byte.
        count: how many.
        dtype: of each, byte order included.
        is_flag: whether they are booleans.
    """

    names: tuple[str, ...]
    start: int
    count: int
    dtype: np.dtype[Any]
    is_flag: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """Of the messages of one type, one size and these lengths and texts.

    Attributes:
        fixed: (F,) bytes that are the same in all of them: encoding, lengths and texts.
        values: (F,) what they are.
        places: numbers, in their order.
    """

    fixed: NDArray[np.intp]
    values: NDArray[np.uint8]
    places: Sequence[Place]

    def matches(self, block: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(N,) which of the messages `block` (N, bytes) are laid out so."""
        same: NDArray[np.bool_] = (block[:, self.fixed] == self.values).all(axis=1)
        return same

    def numbers(self, block: NDArray[np.uint8], field: Sequence[str]) -> NDArray[np.float64]:
        """(N, n) all numbers of one field of these messages, (N, bytes) of this layout."""
        depth = len(field)
        places = [p for p in self.places if p.names[:depth] == tuple(field)]
        found = np.empty((len(block), sum(p.count for p in places)))
        column = 0
        for place in places:
            raw = block[:, place.start : place.start + place.count * place.dtype.itemsize]
            values = np.ascontiguousarray(raw).view(place.dtype)
            found[:, column : column + place.count] = values != 0 if place.is_flag else values
            column += place.count
        return found

    def shuffled(self, message: bytes) -> bytes:
        """The same message with other numbers: to see whether someone else finds them at the same places."""
        data = np.random.default_rng(0).integers(0, 256, len(message), np.uint8)
        data[self.fixed] = self.values
        return data.tobytes()


def layout_of(message: bytes, kind: str, types: Any) -> Layout:
    """How one message is laid out.

    Args:
        message: encapsulated CDR.
        kind: its type, such as "sensor_msgs/msg/JointState".
        types: rosbags' Typestore that has it.

    Raises:
        NoLayoutError: it is damaged, or of a kind that is not known here.
    """
    walk = _Walk(message, types)
    walk.message(kind, ())
    fixed = np.array(walk.fixed, np.intp)
    return Layout(fixed, np.frombuffer(message, np.uint8)[fixed], walk.places)


class _Walk:
    """Goes along one message."""

    def __init__(self, data: bytes, types: Any) -> None:
        from rosbags.interfaces import Nodetype

        self._nodes = Nodetype
        self._data = data
        self._types = types
        self._order = "<" if data[1:2] == b"\x01" else ">"
        self._at = _HEAD_BYTES
        self.fixed = list(range(min(_HEAD_BYTES, len(data))))
        self.places: list[Place] = []

    def message(self, kind: str, names: tuple[str, ...]) -> None:
        for name, description in self._types.get_msgdef(kind).fields:
            self._field(description, (*names, name))

    def _field(self, description: Any, names: tuple[str, ...]) -> None:
        node, what = description
        if node == self._nodes.NAME:
            self.message(what, names)
        elif node == self._nodes.ARRAY:
            self._several(what[0], what[1], names)
        elif node == self._nodes.SEQUENCE:
            self._several(what[0], self._length(), names)
        elif what[0] == "string":
            self._fix(self._length())
        else:
            self._numbers(what[0], 1, names)

    def _several(self, description: Any, count: int, names: tuple[str, ...]) -> None:
        node, what = description
        if node == self._nodes.BASE and what[0] != "string":
            self._numbers(what[0], count, names)
            return
        if count > _MAX_PLACES:
            raise NoLayoutError
        for _ in range(count):
            self._field(description, names)

    def _numbers(self, kind: str, count: int, names: tuple[str, ...]) -> None:
        if kind not in _DTYPES or len(self.places) >= _MAX_PLACES:
            raise NoLayoutError
        dtype = np.dtype(self._order + _DTYPES[kind])
        if count:
            self._align(dtype.itemsize)
            self.places.append(Place(names, self._at, count, dtype, kind == "bool"))
            self._skip(count * dtype.itemsize)

    def _length(self) -> int:
        self._align(4)
        start = self._at
        self._fix(4)
        return int.from_bytes(self._data[start : start + 4], "little" if self._order == "<" else "big")

    def _fix(self, size: int) -> None:
        start = self._at
        self._skip(size)
        self.fixed.extend(range(start, self._at))

    def _align(self, size: int) -> None:
        self._at += -(self._at - _HEAD_BYTES) % size

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise NoLayoutError
