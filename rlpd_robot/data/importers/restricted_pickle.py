"""Reading pickles of numbers without running them: the one place of this project that touches pickle.

A pickle is a program. Here only those instructions are carried out that build numbers, strings, lists, tuples,
dictionaries and numeric NumPy arrays; every other instruction, and every name outside a short list, is refused before
anything happens. The names do not lead to NumPy's own functions but to ones of this file that check sizes first.
Python's pure unpickler is used: it has a table of instructions that can be cut down, and takes no memory on a claim.
"""

import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ImportSourceError

MAX_BYTES = 1 << 31
"""A pickle can only be read whole."""

_ALLOWED = {  # fmt: skip
    "PROTO",
    "FRAME",
    "STOP",
    "MARK",
    "POP",
    "POP_MARK",
    "DUP",
    "NONE",
    "NEWTRUE",
    "NEWFALSE",
    "INT",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG",
    "LONG1",
    "LONG4",
    "FLOAT",
    "BINFLOAT",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "EMPTY_LIST",
    "LIST",
    "APPEND",
    "APPENDS",
    "EMPTY_TUPLE",
    "TUPLE",
    "TUPLE1",
    "TUPLE2",
    "TUPLE3",
    "EMPTY_DICT",
    "DICT",
    "SETITEM",
    "SETITEMS",
    "GET",
    "BINGET",
    "LONG_BINGET",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
}
"""Instructions that cannot call anything. GLOBAL, STACK_GLOBAL, REDUCE, BUILD, BYTEARRAY8 and those that remember
something are this file's own."""

_BASE: Any = pickle._Unpickler
_DISPATCH: Mapping[int, Any] = _BASE.dispatch
_NAMES = {code.code.encode("latin1")[0]: code.name for code in pickletools.opcodes}

_LARGE = 1 << 12
"""Bytes of an array."""
_FORGOTTEN = object()
_SIMPLE_DTYPE = re.compile(r"[<>=|]?([biuf][1248]|b1|\?)")


class _RefusedError(Exception):
    """What the pickle asked for."""


def load_numbers(path: Path) -> Any:
    """The lists, dictionaries and numeric arrays that a pickle holds.

    Raises:
        ImportSourceError: it is no pickle, it is damaged, it is too large, or it asks for anything else; in that case
            nothing of what it asked for has been done.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ImportSourceError(
            path, f"it has {size / 1e9:.1f} GB, and a pickle is read whole", f"at most {MAX_BYTES / 1e9:.1f} GB"
        )
    try:
        with path.open("rb") as file:
            return _NumbersUnpickler(file, size).load()
    except _RefusedError as refusal:
        raise ImportSourceError(
            path,
            f"this pickle asks for {refusal}, which was not done",
            "numbers, lists, dictionaries and numeric arrays",
        ) from None
    except Exception as error:  # a mutilated program fails in any way
        raise ImportSourceError(
            path, f"this pickle cannot be read ({type(error).__name__}: {str(error)[:200]})", "a whole pickle file"
        ) from error


class _NumbersUnpickler(_BASE):  # type: ignore[misc]
    """Python's unpickler, with most of its instructions taken away."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, encoding="latin1")
        self._left = size + (1 << 20)
        self._globals: Mapping[tuple[str, str], Callable[..., Any]] = {
            **{(f"numpy.{core}.multiarray", "_reconstruct"): self._empty_array for core in ("core", "_core")},
            **{(f"numpy.{core}.multiarray", "scalar"): self._scalar for core in ("core", "_core")},
            **{(f"numpy.{core}.numeric", "_frombuffer"): self._from_buffer for core in ("core", "_core")},
            ("numpy", "ndarray"): _ndarray,
            ("numpy", "dtype"): _dtype,
            ("collections", "OrderedDict"): _ordered,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): _no_bytes,
        }

    def _take(self, size: int) -> None:
        """Memory is given out only as far as the file itself is long: names of one array repeated cost nothing."""
        self._left -= size
        if self._left < 0:
            raise _RefusedError("more memory than its own length")

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """One of this file's own functions in the place of the named one."""
        try:
            return self._globals[module, name]
        except KeyError:
            raise _RefusedError(f"'{module}.{name}'") from None

    def persistent_load(self, pid: Any) -> Any:
        """Refused."""
        raise _RefusedError("a persistent object")

    def _load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not any(function is allowed for allowed in self._globals.values()) or type(arguments) is not tuple:
            raise _RefusedError(f"a call of {type(function).__name__!r}")
        self.append(function(*arguments))

    def _load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is np.ndarray:
            self._set_array(target, state)
        elif isinstance(target, np.dtype):
            _set_dtype(target, state)
        else:
            raise _RefusedError(f"the state of {type(target).__name__!r} to be set")

    def _load_bytearray8(self) -> None:
        """Python's takes the memory before it reads."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def _load_memoize(self) -> None:
        self._remember(len(self.memo))

    def _load_put(self) -> None:
        self._remember(int(self.readline()[:-1]))

    def _load_binput(self) -> None:
        self._remember(self.read(1)[0])

    def _load_long_binput(self) -> None:
        self._remember(int.from_bytes(self.read(4), "little"))

    def _remember(self, number: int) -> None:
        """What the file may come back to. The raw bytes of an array never are, and would be held beside it."""
        value = self.stack[-1]
        large = isinstance(value, bytes | bytearray | str) and len(value) > _LARGE
        self.memo[number] = _FORGOTTEN if large else value

    def _empty_array(self, kind: Any, shape: Any, typecode: Any) -> NDArray[Any]:
        if kind is not _ndarray or shape != (0,) or typecode not in (b"b", "b"):
            raise _RefusedError("an unusual array")
        return np.empty(0, np.int8)

    def _set_array(self, array: NDArray[Any], state: Any) -> None:
        version, shape, dtype, is_fortran, data = state
        data = data.encode("latin1") if type(data) is str else data  # as Python 2 wrote it
        _check_array(shape, dtype, data)
        self._take(len(data))
        state = (version, shape, dtype, bool(is_fortran), bytes(data))
        array.__setstate__(state)

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
        _check_array(shape, dtype, data)
        self._take(len(data))
        return np.frombuffer(bytes(data), dtype).reshape(shape, order="F" if order == "F" else "C")

    def _scalar(self, dtype: Any, data: Any) -> Any:
        data = data.encode("latin1") if type(data) is str else data
        _check_array((), dtype, data)
        return np.frombuffer(data, dtype)[0]

    def _encode(self, text: Any, codec: Any) -> bytes:
        if type(text) is not str or codec not in ("latin1", "latin-1"):
            raise _RefusedError("an encoding other than latin1")
        self._take(len(text))
        return text.encode("latin1")

    dispatch = {  # the name by which Python's unpickler finds its instructions
        **{code: method for code, method in _DISPATCH.items() if _NAMES[code] in {*_ALLOWED, "GLOBAL", "STACK_GLOBAL"}},
        pickle.REDUCE[0]: _load_reduce,
        pickle.BUILD[0]: _load_build,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
        pickle.MEMOIZE[0]: _load_memoize,
        pickle.PUT[0]: _load_put,
        pickle.BINPUT[0]: _load_binput,
        pickle.LONG_BINPUT[0]: _load_long_binput,
    }

    def load(self) -> Any:
        """Carry the program out.

        Raises:
            _RefusedError: an instruction, a name or a size that is not allowed.
        """
        try:
            return super().load()
        except KeyError as error:
            code = error.args[0] if error.args else None
            if isinstance(code, int) and code not in self.dispatch:
                raise _RefusedError(f"the instruction {_NAMES.get(code, code)!r}") from None
            raise


def _ndarray(*_: Any) -> Any:
    raise _RefusedError("an array made directly")


def _no_bytes(*arguments: Any) -> bytes:
    """How an empty array's bytes stand in old pickles."""
    if arguments:
        raise _RefusedError("bytes to be made")
    return b""


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    if arguments not in ((), ([],)):
        raise _RefusedError("an unusual OrderedDict")
    return OrderedDict()


def _dtype(name: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    name = name.decode("latin1") if type(name) is bytes else name
    if type(name) is not str or not _SIMPLE_DTYPE.fullmatch(name):
        raise _RefusedError(f"arrays of {name[:40]!r}" if type(name) is str else "arrays of an unusual type")
    return np.dtype(np.dtype(name), copy=True)  # a new one: its state is set afterwards


def _set_dtype(dtype: np.dtype[Any], state: Any) -> None:
    _version, order, *rest = state
    if order not in ("<", ">", "|", "=", b"<", b">", b"|", b"=") or any(r not in (None, -1, 0) for r in rest):
        raise _RefusedError("arrays of a compound type")
    order = order.decode() if type(order) is bytes else order
    dtype.__setstate__((3, order, None, None, None, -1, -1, 0))  # type: ignore[attr-defined,unused-ignore]


def _check_array(shape: Any, dtype: Any, data: Any) -> None:
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biuf" or dtype.hasobject:
        raise _RefusedError("an array that is not numeric")
    if type(data) not in (bytes, bytearray):
        raise _RefusedError("an array made of something else than bytes")
    if type(shape) is not tuple or any(type(n) is not int or not 0 <= n < 1 << 48 for n in shape):
        raise _RefusedError("an array of an impossible shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _RefusedError(f"an array of shape {shape} from {len(data)} bytes")
