"""An unpickler that builds numbers, lists, dictionaries and numeric arrays, and refuses whatever else it is asked for.

Python's pure unpickler, with most of its table of instructions cut away: it takes no memory on a claim. The names in a
pickle do not lead to NumPy's own functions but to ones of ours that check sizes first. The instructions of which most
pickles consist are carried out in one loop over the bytes, and an array that is made just as one before it is made
without them (`pickled_arrays`).
"""

import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.pickled_arrays import (
    ArrayForm,
    RefusedError,
    check_array,
    dtype_named,
    set_dtype,
)

_ALLOWED = {  # fmt: skip
    "PROTO",
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
"""Instructions that cannot call anything. GLOBAL, STACK_GLOBAL, REDUCE, BUILD, FRAME, APPENDS, STOP and those that
remember something are this file's own."""

_BASE: Any = pickle._Unpickler
_DISPATCH: Mapping[int, Any] = _BASE.dispatch
_NAMES = {code.code.encode("latin1")[0]: code.name for code in pickletools.opcodes}

_MARK, _TUPLE, _TUPLE1, _TUPLE2, _TUPLE3, _NONE, _TRUE, _FALSE = b"(t\x85\x86\x87N\x88\x89"
_GET, _LONG_GET, _PUT, _LONG_PUT, _MEMOIZE, _REDUCE, _BUILD, _EMPTY_DICT, _SET_ITEMS = b"hjqr\x94Rb}u"
_INT1, _INT2, _INT4, _FLOAT, _TEXT1, _TEXT4, _BYTES1, _BYTES4 = b"KMJG\x8cXCB"
_STOP, _APPEND, _APPENDS = b".ae"
_BIG_FLOAT, _SMALL_INT = struct.Struct(">d"), struct.Struct("<i")

_SHORT, _LARGE = 1 << 6, 1 << 12
"""Bytes of an array."""
_FORGOTTEN, _ABSENT = object(), object()
_SIMPLE = {_NONE: None, _TRUE: True, _FALSE: False}
_TUPLES = {_TUPLE1: 1, _TUPLE2: 2, _TUPLE3: 3}
_TEXTS = {_TEXT1: 1, _TEXT4: 4, _BYTES1: 1, _BYTES4: 4}
"""By instruction, the bytes of the length that follows it."""
_LONG_KINDS = (bytes, bytearray, str)
_LARGE_KINDS = (np.ndarray, dict, list, tuple, float, np.generic)
_BLOCK = 1 << 20
_MARGIN = 16
"""Longer than any instruction without its text."""
_HELD = 1 << 16
"""So many of the last things may be come back to where not all are held."""
_MAX_LESSONS = 256
"""A pickle whose arrays take more forms than that, or unusual ones, is read without."""
_FORM_KEY = 6


class LongBeforeError(Exception):
    """A pickle comes back to something that is not held."""


class NumbersUnpickler(_BASE):  # type: ignore[misc]
    """Python's unpickler, with most of its instructions taken away and the frequent ones made quick.

    Args:
        file: the pickle.
        size: of it.
        by_item: give out the items of the list that it is as they come, and do not put them into it.
        hold_all: everything that it might come back to.
    """

    def __init__(self, file: BinaryIO, size: int, by_item: bool, hold_all: bool) -> None:
        super().__init__(file, encoding="latin1")
        self._file = file
        self._unread, self._base = size, 0
        self._by_item = by_item
        self._hold_all = hold_all
        self._buffer, self._at = b"", 0
        self._forms: dict[bytes, list[ArrayForm]] = {}
        self._began = (0, 0)
        self._lessons = _MAX_LESSONS
        self._remembered, self._forget_at = 0, 2 * _HELD
        self._left = size + (1 << 20)
        self._globals: Mapping[tuple[str, str], Callable[..., Any]] = {
            **{(f"numpy.{core}.multiarray", "_reconstruct"): self._empty_array for core in ("core", "_core")},
            **{(f"numpy.{core}.multiarray", "scalar"): self._scalar for core in ("core", "_core")},
            **{(f"numpy.{core}.numeric", "_frombuffer"): self._from_buffer for core in ("core", "_core")},
            ("numpy", "ndarray"): _ndarray,
            ("numpy", "dtype"): dtype_named,
            ("collections", "OrderedDict"): _ordered,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): _no_bytes,
        }
        self._callable = {id(function) for function in self._globals.values()}
        self._array_makers = {
            id(f) for (_, name), f in self._globals.items() if name in ("_reconstruct", "_frombuffer")
        }

    def _take(self, size: int) -> None:
        """Memory is given out only as far as the file itself is long: names of one array repeated cost nothing."""
        self._left -= size
        if self._left < 0:
            raise RefusedError("more memory than its own length")

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """One of this file's own functions in the place of the named one."""
        try:
            return self._globals[module, name]
        except KeyError:
            raise RefusedError(f"'{module}.{name}'") from None

    def persistent_load(self, pid: Any) -> Any:
        """Refused."""
        raise RefusedError("a persistent object")

    def items(self) -> Iterator[Any]:
        """Carry the program out: the items of the list that it is, where they are wanted, or the whole.

        Raises:
            RefusedError: an instruction, a name or a size that is not allowed.
            LongBeforeError: what it comes back to is not held.
        """
        self.metastack: list[list[Any]] = []
        self.stack: list[Any] = []
        self.append, self.read, self.readline = self.stack.append, self._read_bytes, self._read_line
        while (code := self._run()) != _STOP:
            if code in (_APPEND, _APPENDS):
                items = [self.stack.pop()] if code == _APPEND else self.pop_mark()
                target = self.stack[-1]
                if type(target) is not list:
                    raise RefusedError("items for something else than a list")
                if self._by_item and not self.metastack and len(self.stack) == 1:
                    yield from items
                else:
                    target.extend(items)
            elif code in self.dispatch:
                self.dispatch[code](self)
            else:
                raise RefusedError(f"the instruction {_NAMES.get(code, code)!r}")
        whole = self.stack.pop()
        if not self._by_item:
            yield whole
        elif type(whole) is not list:
            raise RefusedError(f"a {type(whole).__name__} in the place of a list")

    def _run(self) -> int:  # noqa: C901  # a call for each instruction would cost more than most of them
        """Carry out whatever is frequent; returns the first instruction that is not, with everything in its place."""
        buffer, at, stack, memo, metastack = self._buffer, self._at, self.stack, self.memo, self.metastack
        append = stack.append
        last = len(buffer) - _MARGIN
        while True:
            if at > last:
                self._at = at
                buffer, at = self._fill(_MARGIN), 0
                last = len(buffer) - _MARGIN if self._unread else len(buffer) - 1
                if last < 0:
                    raise EOFError("it ends too early")
            code = buffer[at]
            if code in (_GET, _LONG_GET):
                if (known := self._forms.get(buffer[at : at + _FORM_KEY])) and (
                    length := self._again(known, buffer, at, append)
                ):
                    at += length
                    continue
                stop = at + (2 if code == _GET else 5)
                number = buffer[at + 1] if code == _GET else int.from_bytes(buffer[at + 1 : stop], "little")
                value = memo.get(number, _ABSENT)
                if value is _ABSENT:
                    raise self._absent(number)
                if id(value) in self._array_makers:
                    self._began = self._base + at, self._remembered
                append(value)
                at = stop
            elif code == _MEMOIZE:
                self._remember(self._remembered, stack[-1])
                at += 1
            elif code in (_PUT, _LONG_PUT):
                stop = at + (2 if code == _PUT else 5)
                self._remember(int.from_bytes(buffer[at + 1 : stop], "little"), stack[-1])
                at = stop
            elif code == _MARK:
                metastack.append(stack)
                stack = []
                append = stack.append
                at += 1
            elif code in _SIMPLE:
                append(_SIMPLE[code])
                at += 1
            elif code == _EMPTY_DICT:
                append({})
                at += 1
            elif code == _FLOAT:
                append(_BIG_FLOAT.unpack_from(buffer, at + 1)[0])
                at += 9
            elif code == _INT1:
                append(buffer[at + 1])
                at += 2
            elif code in _TEXTS:
                width = _TEXTS[code]
                start = at + 1 + width
                size = int.from_bytes(buffer[at + 1 : start], "little")
                if start + size > len(buffer):
                    self._at = at
                    buffer, at, start = self._fill(1 + width + size), 0, 1 + width
                    last = len(buffer) - _MARGIN if self._unread else len(buffer) - 1
                    if start + size > len(buffer):
                        raise EOFError("it ends within a text")
                at = start + size
                data = buffer[start:at]
                append(str(data, "utf-8", "surrogatepass") if code in (_TEXT1, _TEXT4) else data)
            elif code in _TUPLES:
                count = _TUPLES[code]
                if len(stack) < count:
                    raise RefusedError("more than there is")
                stack[-count:] = [tuple(stack[-count:])]
                at += 1
            elif code in (_TUPLE, _SET_ITEMS):
                items, stack = stack, metastack.pop()
                append = stack.append
                if code == _TUPLE:
                    append(tuple(items))
                else:
                    _set_items(stack[-1], items)
                at += 1
            elif code in (_REDUCE, _BUILD):
                argument = stack.pop()
                at += 1
                self._at = at
                if code == _REDUCE:
                    stack[-1] = self._call(stack[-1], argument)
                else:
                    self._set_state(stack[-1], argument)
            elif code == _INT4:
                append(_SMALL_INT.unpack_from(buffer, at + 1)[0])
                at += 5
            elif code == _INT2:
                append(buffer[at + 1] | buffer[at + 2] << 8)
                at += 3
            else:
                self._at, self.stack, self.append = at + 1, stack, append
                return code

    def _fill(self, size: int) -> bytes:
        """The bytes from here on: so many, or all that are left."""
        here = self._buffer[self._at :]
        more = self._file.read(min(max(_BLOCK, size - len(here)), self._unread))
        self._unread = self._unread - len(more) if more else 0
        self._base += self._at
        self._buffer, self._at = here + more, 0
        return self._buffer

    def _read_bytes(self, size: int) -> bytes:
        if self._at + size > len(self._buffer) and len(self._fill(size)) < size:
            raise EOFError("it ends too early")
        data = self._buffer[self._at : self._at + size]
        self._at += size
        return data

    def _read_line(self) -> bytes:
        while (stop := self._buffer.find(b"\n", self._at) + 1) == 0:
            if not self._unread:
                raise EOFError("it ends within a line")
            self._fill(len(self._buffer) - self._at + _BLOCK)
        return self._read_bytes(stop - self._at)

    def _absent(self, number: int) -> Exception:
        if self._hold_all or number >= self._remembered:
            return KeyError(f"nothing has the number {number}")
        return LongBeforeError()

    def _remember(self, number: int, value: Any) -> None:
        """What the file may come back to. The raw bytes of an array never are, and would be held beside it."""
        memo = self.memo
        if number in memo:
            self._forms.clear()
        else:
            self._remembered += 1
        memo[number] = _FORGOTTEN if type(value) in _LONG_KINDS and len(value) > _LARGE else value
        if not self._hold_all and self._remembered >= self._forget_at:
            self._forget_at = self._remembered + _HELD
            for old in [n for n, v in memo.items() if n < self._remembered - _HELD and _is_large(v)]:
                del memo[old]

    def _again(self, known: list[ArrayForm], buffer: bytes, at: int, append: Callable[[Any], None]) -> int:
        """Make an array of a known form, where one is: the length of its instructions, else 0."""
        for form in known:
            length = form.length_at(buffer, at)
            if length:
                self._take(form.size)
                array = form.array_at(buffer, at)
                append(array)
                if form.place is not None:
                    self.memo[self._remembered + form.place] = array
                self._remembered += form.remembered
                return length
        return 0

    def _learn(self, array: NDArray[Any]) -> None:
        """Know the instructions again that made this array, from `_began` to here."""
        start, before = self._began
        if self._hold_all or start < self._base or self._lessons == 0:
            return
        self._lessons -= 1
        place = next((n - before for n in range(before, self._remembered) if self.memo.get(n) is array), None)
        program = self._buffer[start - self._base : self._at]
        form = ArrayForm.of(program, array, self._remembered - before, place)
        if form is not None:
            self._forms.setdefault(program[:_FORM_KEY], []).append(form)

    def _call(self, function: Any, arguments: Any) -> Any:
        if id(function) not in self._callable or type(arguments) is not tuple:
            raise RefusedError(f"a call of {type(function).__name__!r}")
        made = function(*arguments)
        if type(made) is np.ndarray and made.size:
            self._learn(made)
        return made

    def _set_state(self, target: Any, state: Any) -> None:
        if type(target) is np.ndarray:
            self._set_array(target, state)
            self._learn(target)
        elif isinstance(target, np.dtype):
            set_dtype(target, state)
        else:
            raise RefusedError(f"the state of {type(target).__name__!r} to be set")

    def _load_frame(self) -> None:
        """What it says of lengths is of no use here."""
        self.read(8)

    def _load_bytearray8(self) -> None:
        """Python's takes the memory before it reads."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def _load_put(self) -> None:
        self._remember(int(self.readline()[:-1]), self.stack[-1])

    def _empty_array(self, kind: Any, shape: Any, typecode: Any) -> NDArray[Any]:
        if kind is not _ndarray or shape != (0,) or typecode not in (b"b", "b"):
            raise RefusedError("an unusual array")
        return np.empty(0, np.int8)

    def _set_array(self, array: NDArray[Any], state: Any) -> None:
        version, shape, dtype, is_fortran, data = state
        data = data.encode("latin1") if type(data) is str else data  # as Python 2 wrote it
        check_array(shape, dtype, data)
        self._take(len(data))
        state = (version, shape, dtype, bool(is_fortran), bytes(data))
        array.__setstate__(state)

    def _from_buffer(self, data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
        check_array(shape, dtype, data)
        self._take(len(data))
        return np.frombuffer(bytes(data), dtype).reshape(shape, order="F" if order == "F" else "C")

    def _scalar(self, dtype: Any, data: Any) -> Any:
        data = data.encode("latin1") if type(data) is str else data
        check_array((), dtype, data)
        return np.frombuffer(data, dtype)[0]

    def _encode(self, text: Any, codec: Any) -> bytes:
        if type(text) is not str or codec not in ("latin1", "latin-1"):
            raise RefusedError("an encoding other than latin1")
        self._take(len(text))
        return text.encode("latin1")

    dispatch = {  # the name by which Python's unpickler finds its instructions
        **{code: method for code, method in _DISPATCH.items() if _NAMES[code] in {*_ALLOWED, "GLOBAL", "STACK_GLOBAL"}},
        pickle.FRAME[0]: _load_frame,
        pickle.BYTEARRAY8[0]: _load_bytearray8,
        pickle.PUT[0]: _load_put,
    }


def _is_large(value: Any) -> bool:
    return isinstance(value, _LARGE_KINDS) or (type(value) in _LONG_KINDS and len(value) > _SHORT)


def _set_items(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise RefusedError("entries for something else than a dictionary")
    target.update(zip(items[::2], items[1::2], strict=True))


def _ndarray(*_: Any) -> Any:
    raise RefusedError("an array made directly")


def _no_bytes(*arguments: Any) -> bytes:
    """How an empty array's bytes stand in old pickles."""
    if arguments:
        raise RefusedError("bytes to be made")
    return b""


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    if arguments not in ((), ([],)):
        raise RefusedError("an unusual OrderedDict")
    return OrderedDict()
