"""Arrays as pickles have them: what they are made of is checked first, and one that comes again is known."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIMPLE_DTYPE = re.compile(r"[<>=|]?([biuf][1248]|b1|\?)")


class RefusedError(Exception):
    """What a pickle asked for."""


def dtype_named(name: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    """In the place of `numpy.dtype`."""
    name = name.decode("latin1") if type(name) is bytes else name
    if type(name) is not str or not _SIMPLE_DTYPE.fullmatch(name):
        raise RefusedError(f"arrays of {name[:40]!r}" if type(name) is str else "arrays of an unusual type")
    return np.dtype(np.dtype(name), copy=True)  # a new one: its state is set afterwards


def set_dtype(dtype: np.dtype[Any], state: Any) -> None:
    """In the place of its own `__setstate__`."""
    _version, order, *rest = state
    if order not in ("<", ">", "|", "=", b"<", b">", b"|", b"=") or any(r not in (None, -1, 0) for r in rest):
        raise RefusedError("arrays of a compound type")
    order = order.decode() if type(order) is bytes else order
    dtype.__setstate__((3, order, None, None, None, -1, -1, 0))  # type: ignore[attr-defined,unused-ignore]


def check_array(shape: Any, dtype: Any, data: Any) -> None:
    """Make sure that these bytes are the numbers of such an array.

    Raises:
        RefusedError: they are not.
    """
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biuf" or dtype.hasobject:
        raise RefusedError("an array that is not numeric")
    if type(data) not in (bytes, bytearray):
        raise RefusedError("an array made of something else than bytes")
    if type(shape) is not tuple or any(type(n) is not int or not 0 <= n < 1 << 48 for n in shape):
        raise RefusedError("an array of an impossible shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise RefusedError(f"an array of shape {shape} from {len(data)} bytes")


_GET = rb"(?:h.|j.{4})"
_INT = rb"(?:K.|M..|J.{4})"
_SHAPE = rb"(?:\)|(?:" + _INT + rb"){1,3}[\x85-\x87]\x94|\((?:" + _INT + rb"){4,9}t\x94)"
_PAYLOAD = rb"(?:C.|B.{4}|\x8e.{8}|\x96.{8})"
_RECONSTRUCT = _GET + _GET + rb"K\x00\x85\x94" + _GET + rb"\x87\x94R\x94\(K\x01" + _SHAPE + _GET + rb"[\x88\x89]"
_SET_STATE = (  # _reconstruct(ndarray, (0,), b"b"), then the state of what it made: version, shape, dtype, order, data
    re.compile(_RECONSTRUCT + _PAYLOAD, re.DOTALL),
    re.compile(rb"\x94t\x94b", re.DOTALL),
)
_FROM_BUFFER = (  # _frombuffer(data, dtype, shape, order)
    re.compile(_GET + rb"\(" + _PAYLOAD, re.DOTALL),
    re.compile(rb"\x94" + _GET + _SHAPE + _GET + rb"t\x94R", re.DOTALL),
)


@dataclass(frozen=True)
class ArrayForm:
    """The instructions that make an array, all but its numbers, as Python's pickler writes them from protocol 4 on.

    Where they come again, byte for byte and meaning the same, they make an array of the same shape and type.

    Attributes:
        head, tail: what stands before and after the numbers.
        size: bytes of the numbers.
        dtype, shape, order: of the array.
        remembered: how many things the instructions have the reader remember.
        place: which of them is the array; none: it is not among them.
    """

    head: bytes
    tail: bytes
    size: int
    dtype: np.dtype[Any]
    shape: Sequence[int]
    order: Any
    remembered: int
    place: int | None

    @staticmethod
    def of(program: bytes, array: NDArray[Any], remembered: int, place: int | None) -> "ArrayForm | None":
        """The form of the array that `program` made; None where it is not one of the usual."""
        for first, second in (_SET_STATE, _FROM_BUFFER):
            head = first.match(program)
            if head is not None and array.nbytes and second.fullmatch(program, head.end() + array.nbytes):
                tail = program[head.end() + array.nbytes :]
                order = "C" if array.flags.c_contiguous else "F"
                return ArrayForm(head.group(), tail, array.nbytes, array.dtype, array.shape, order, remembered, place)
        return None

    def length_at(self, data: bytes, at: int) -> int:
        """How long the instructions are, where they are these; 0 where they are others."""
        if not data.startswith(self.head, at):
            return 0
        stop = at + len(self.head) + self.size
        return stop + len(self.tail) - at if data.startswith(self.tail, stop) else 0

    def array_at(self, data: bytes, at: int) -> NDArray[Any]:
        """The array that they make there."""
        count = self.size // self.dtype.itemsize
        values = np.frombuffer(data, self.dtype, count, at + len(self.head))
        return values.reshape(self.shape, order=self.order).copy("K")
