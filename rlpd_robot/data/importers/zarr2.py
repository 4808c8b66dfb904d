"""zarr arrays of version 2 of others, read through the library zarr after every claim of a file has been checked.

zarr itself would make up absent chunks, load any codec that is registered (one of them is pickle) and decompress
whatever comes; here only plain compressors are taken, every chunk must be there, and each must unpack to its own size.
"""

import bz2
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from rlpd_robot.data.importers.source import check_bytes, numbers
from rlpd_robot.errors import ImportSourceError, RlpdRobotError

_MAX_JSON = 1 << 20
_UNPACK: Mapping[str, Callable[[], Any]] = {
    "zlib": zlib.decompressobj,
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "bz2": bz2.BZ2Decompressor,
    "lzma": lzma.LZMADecompressor,
}
_COMPRESSORS = ("blosc", "lz4", "zstd", *_UNPACK)


class Zarr2:
    """A folder or zip archive with zarr arrays. Made by `open_zarr2`."""

    def __init__(self, path: Path, archive: zipfile.ZipFile | None) -> None:
        self._path = path
        self._archive = archive
        self._held: dict[str, Any] = {}

    def names(self, group: str) -> list[str]:
        """The arrays directly below a group, by name."""
        if self._archive is None:
            return sorted(p.parent.name for p in (self._path / group).glob("*/.zarray"))
        parts = [name.split("/") for name in self._archive.namelist()]
        return sorted(p[1] for p in parts if len(p) == 3 and (p[0], p[2]) == (group, ".zarray"))

    def array(self, key: str) -> "Zarr2Array":
        """An array, its description checked.

        Raises:
            ImportSourceError: it is not there, or is none that is read here.
        """
        where = f"array '{key}'"
        text = self._text(f"{key}/.zarray", where)
        meta = self._json(f"{key}/.zarray", text)
        try:
            shape, chunks = ([int(n) for n in meta[k]] for k in ("shape", "chunks"))
            dtype = np.dtype(str(meta["dtype"]))
            compressor = meta.get("compressor")
            codec = None if compressor is None else str(compressor["id"])
            filters, separator = meta.get("filters"), meta.get("dimension_separator", ".")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ImportSourceError(self._path, f"{where}: its .zarray is damaged ({error!r})", "zarr's own") from error
        if meta.get("zarr_format") != 2 or separator not in (".", "/"):
            raise ImportSourceError(self._path, f"{where} has zarr_format {meta.get('zarr_format')!r}", "2")
        if dtype.kind not in "biuf":
            raise ImportSourceError(self._path, f"{where} has dtype {dtype}", "numbers")
        if filters or codec not in (None, *_COMPRESSORS):
            codecs = [codec, *(f.get("id") if isinstance(f, dict) else f for f in filters or ())]
            raise ImportSourceError(self._path, f"{where} is stored with {codecs}", f"one of {', '.join(_COMPRESSORS)}")
        if len(shape) != len(chunks) or not shape or min(shape) < 0 or min(chunks) < 1:
            raise ImportSourceError(self._path, f"{where} has shape {shape} in chunks {chunks}", "one row a step")
        check_bytes(self._path, f"a chunk of {where}", chunks, dtype.itemsize)
        self.hold(f"{key}/.zarray", text)
        return Zarr2Array(self, key, tuple(shape), tuple(chunks), dtype, codec, separator)

    def _text(self, key: str, where: str) -> bytes:
        size = self.size(key)
        if size is None:
            raise ImportSourceError(self._path, f"it has no {where}", "it, for this format")
        if size > _MAX_JSON:
            raise ImportSourceError(self._path, f"'{key}' has {size / 1e6:.0f} MB", "at most 1 MB")
        return self.data(key, size)

    def _json(self, key: str, text: bytes) -> dict[str, Any]:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ImportSourceError(self._path, f"'{key}' is no JSON ({error})", "zarr's own") from error
        if not isinstance(data, dict):
            raise ImportSourceError(self._path, f"'{key}' is no mapping", "zarr's own")
        return data

    def size(self, key: str) -> int | None:
        """Bytes of a file, as it tells; none where it is absent.

        Raises:
            ImportSourceError: it is packed in a way of which the memory it takes cannot be bounded.
        """
        if self._archive is None:
            file = self._path / key
            return file.stat().st_size if file.is_file() else None
        try:
            member = self._archive.getinfo(key)
        except KeyError:
            return None
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            found = f"'{key}' is packed by method {member.compress_type} of zip"
            raise ImportSourceError(self._path, found, "stored or deflated files")
        return member.file_size

    def data(self, key: str, size: int) -> bytes:
        """The first `size` bytes of a file: asked for all, an archive unpacks whatever there is, whatever it tells."""
        if self._archive is None:
            with (self._path / key).open("rb") as file:
                return file.read(size)
        with self._archive.open(key) as member:
            return member.read(size)

    def open(self, key: str) -> Any:
        """zarr's own array, which finds nothing but what is held."""
        return zarr.open_array(MemoryStore(self._held, read_only=True), path=key, mode="r", zarr_format=2)

    def hold(self, key: str, data: bytes) -> None:
        """Show zarr a file, which has been checked."""
        self._held[key] = default_buffer_prototype().buffer.from_bytes(data)

    def let_go(self, keys: Iterable[str]) -> None:
        """Show them no more."""
        for key in keys:
            self._held.pop(key, None)

    @property
    def path(self) -> Path:
        """The folder or archive."""
        return self._path


class Zarr2Array:
    """One array. Made by `Zarr2.array`."""

    def __init__(
        self,
        source: Zarr2,
        key: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        dtype: np.dtype[Any],
        codec: str | None,
        separator: str,
    ) -> None:
        self.key, self.shape, self.chunks, self.dtype = key, shape, chunks, dtype
        self._source, self._codec, self._separator = source, codec, separator
        self._array: Any = None

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop).

        Raises:
            ImportSourceError: they are too many, a chunk is missing or damaged.
        """
        path, where = self._source.path, f"array '{self.key}', rows {start} to {stop - 1}"
        check_bytes(path, where, (stop - start, *self.shape[1:]), self.dtype.itemsize)
        keys = list[str]()
        try:
            for key in self._chunk_keys(start, stop):
                self._source.hold(key, self._chunk(key))
                keys.append(key)
            self._array = self._source.open(self.key) if self._array is None else self._array
            values = np.asarray(self._array[start:stop])
        except RlpdRobotError:
            raise
        except Exception as error:  # each codec raises its own
            words = " ".join(str(error).split())[:200]
            raise ImportSourceError(path, f"{where} cannot be read ({words})", "a whole array") from error
        finally:
            self._source.let_go(keys)
        return numbers(path, where, values)

    def _chunk_keys(self, start: int, stop: int) -> Iterator[str]:
        if stop <= start:
            return
        grid = [range(start // self.chunks[0], (stop - 1) // self.chunks[0] + 1)]
        grid += [range(-(-n // c)) for n, c in zip(self.shape[1:], self.chunks[1:], strict=True)]
        for index in product(*grid):
            yield f"{self.key}/{self._separator.join(map(str, index))}"

    def _chunk(self, key: str) -> bytes:
        """It must be there, and unpack to exactly a chunk: known without unpacking it into memory."""
        path, expected = self._source.path, math.prod(self.chunks) * self.dtype.itemsize
        size = self._source.size(key)
        if size is None:
            raise ImportSourceError(path, f"chunk '{key}' is missing", "every chunk of its array")
        if size > 2 * expected + 4096:
            raise ImportSourceError(path, f"chunk '{key}' has {size} bytes", f"about {expected} at most")
        data = self._source.data(key, size)
        claimed = len(data) if self._codec is None else _unpacked_size(self._codec, data, expected)
        if claimed != expected:
            raise ImportSourceError(path, f"chunk '{key}' is damaged or unpacks to another size", f"{expected} bytes")
        return data


@contextmanager
def open_zarr2(path: Path) -> Iterator[Zarr2]:
    """A folder, or a zip archive of one.

    Raises:
        ImportSourceError: it is neither.
    """
    try:
        if path.is_dir():
            yield Zarr2(path, None)
        else:
            with zipfile.ZipFile(path) as archive:
                yield Zarr2(path, archive)
    except RlpdRobotError:
        raise
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, NotImplementedError, EOFError) as error:
        words = " ".join(str(error).split())[:200]
        raise ImportSourceError(path, f"it cannot be read ({words})", "a whole zip archive of zarr") from error


def _unpacked_size(codec: str, data: bytes, expected: int) -> int:
    """Bytes that a chunk unpacks to, or -1 where that is not known or more than expected."""
    if codec == "blosc":
        return int.from_bytes(data[4:8], "little") if len(data) >= 16 else -1
    if codec == "lz4":
        return int.from_bytes(data[:4], "little") if len(data) >= 4 else -1
    if codec == "zstd":
        return _zstd_size(data)
    return _streamed_size(_UNPACK[codec](), data, expected)


def _zstd_size(data: bytes) -> int:
    """The content size of a frame's header (RFC 8878, 3.1.1.1); frames without it are not written by zarr."""
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd":
        return -1
    flag, single, dictionary = data[4] >> 6, data[4] >> 5 & 1, data[4] & 3
    at = 5 + (not single) + (0, 1, 2, 4)[dictionary]
    width = (single, 2, 4, 8)[flag]
    if not width or len(data) < at + width:
        return -1
    return int.from_bytes(data[at : at + width], "little") + (256 if flag == 1 else 0)


def _streamed_size(unpacker: Any, data: bytes, expected: int) -> int:
    """By unpacking piece by piece and keeping nothing."""
    size = 0
    try:
        while not unpacker.eof and size <= expected:
            piece = unpacker.decompress(data, 1 << 20)
            data = getattr(unpacker, "unconsumed_tail", b"")
            size += len(piece)
            if not piece and not data:
                return -1
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return -1
    return size if unpacker.eof and not unpacker.unused_data else -1


def elements(shape: Sequence[int]) -> int:
    """Numbers of a step of an array of this shape."""
    return math.prod(shape[1:])
