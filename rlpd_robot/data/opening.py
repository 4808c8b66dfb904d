"""Opening a store and reading its rows, trusting nothing that a file says before it has been checked."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from rlpd_robot.data.direct_store import DirectStore
from rlpd_robot.data.layout import EPISODE_ENDS, MAX_CHUNK_BYTES, SAFETY, SCHEMA, SCHEMA_VERSION, SEAL, Column, columns
from rlpd_robot.errors import RlpdRobotError, SpecError, SpecMismatchError, StoreError
from rlpd_robot.spec import ProblemSpec

_RESTORE = "Restore the store from a copy; `rlpd-robot demos validate` checks it."
_NO_STORE = "Give the path of a demonstration store, such as demos/adroit_door/demos.zarr."


@dataclass(frozen=True, eq=False)
class OpenedStore:
    """One moment of a store: what was committed when it was opened.

    Attributes:
        path: where it lies.
        arrays: by key, as large as they were then; rows beyond the committed ones do not count.
        attributes: of the root group.
        problem: robot and task it was recorded on.
        ends: (E,) int64, row after each committed episode's last.
    """

    path: Path
    arrays: Mapping[str, Any]
    attributes: Mapping[str, Any]
    problem: ProblemSpec
    ends: NDArray[np.int64]

    @property
    def episodes(self) -> int:
        """E: committed episodes."""
        return len(self.ends)

    @property
    def rows(self) -> int:
        """Committed rows, N+1 for an episode of N transitions."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def bounds(self, episode: int) -> tuple[int, int]:
        """First row and row after the last of one committed episode."""
        return (int(self.ends[episode - 1]) if episode else 0), int(self.ends[episode])

    def refuse_sealed(self) -> None:
        """Make sure that it may still be written to.

        Raises:
            StoreError: it is sealed.
        """
        if SEAL in self.attributes:
            raise StoreError(
                self.path,
                "it is sealed, and stays as it is",
                "Write to a copy: `rlpd-robot demos edit merge STORE OUT` makes one that is not sealed.",
            )

    def check(self, problem: ProblemSpec) -> None:
        """Make sure that the store is of this robot and task.

        Raises:
            SpecMismatchError: it is of another; the sentence names what differs.
        """
        if problem.fingerprint != self.problem.fingerprint:
            raise SpecMismatchError(
                "this robot and task",
                f"Store {str(self.path)!r}",
                problem.differences(self.problem),
                "Use a store recorded on this robot and task, or set them as the store has them.",
            )


def open_store(path: Path, files: LocalStore | None = None) -> OpenedStore:
    """Index the store at `path` anew.

    Args:
        path: its directory.
        files: what to reach it through, when it is to be written.

    Raises:
        StoreError: there is nothing, it is something else, it is of another schema, or it is damaged.
    """
    attributes = _attributes(path)
    if attributes.get("schema_version") != SCHEMA_VERSION:
        raise StoreError(
            path,
            f"its schema version is {attributes.get('schema_version')!r}, this program reads {SCHEMA_VERSION}",
            "Use the rlpd-robot version that wrote it "
            f"({attributes.get('created_by', 'not recorded')}), or record the store again.",
        )
    try:
        problem = ProblemSpec.from_json(attributes.get("problem") or {})
    except (SpecError, ValueError, TypeError) as error:
        raise StoreError(path, f"its attribute 'problem' is damaged ({error})", _RESTORE) from error
    committed = attributes.get("committed_episodes")
    if type(committed) is not int or committed < 0:
        raise StoreError(path, f"its attribute 'committed_episodes' is {committed!r}, not a count", _RESTORE)
    present = [c for c in columns(problem) if c.key != SAFETY or (path / SAFETY).exists()]
    arrays = {c.key: _array(path, files, c) for c in present}
    opened = OpenedStore(path, arrays, attributes, problem, np.empty(0, np.int64))
    ends = read_rows(opened, EPISODE_ENDS, 0, committed).astype(np.int64)
    _check_ends(path, ends, arrays)
    return OpenedStore(path, arrays, attributes, problem, ends)


def something_at(path: Path) -> bool:
    """Whether making a store here would run into something: an empty directory does not count."""
    return path.exists() and not (path.is_dir() and next(path.iterdir(), None) is None)


def _attributes(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise StoreError(path, "there is nothing at this path", _NO_STORE)
    if not path.is_dir():
        raise StoreError(path, "this is a file, not a directory", _NO_STORE)
    if not (path / "zarr.json").is_file():
        raise StoreError(path, "this directory is no demonstration store (it holds no zarr.json)", _NO_STORE)
    for part in ("zarr.json", "data", "meta"):
        _refuse_link(path, path / part)
    try:
        attributes = dict(zarr.open_group(LocalStore(path, read_only=True), mode="r", zarr_format=3).attrs)
    except Exception as error:  # zarr raises whatever its parsers do
        raise StoreError(path, f"its zarr.json cannot be read ({_words(error)})", _RESTORE) from error
    if attributes.get("schema") != SCHEMA:
        raise StoreError(
            path,
            f"this zarr group is no demonstration store (attribute 'schema' is {attributes.get('schema')!r}, "
            f"not {SCHEMA!r})",
            _NO_STORE,
        )
    return attributes


def _refuse_link(path: Path, part: Path) -> None:
    """Make sure that a part of the store is not somewhere else, where a writer would write and a reader look around.

    Raises:
        StoreError: it is a link that leads out.
    """
    if part.is_symlink() and not part.resolve().is_relative_to(path.resolve()):
        raise StoreError(
            path,
            f"its part '{part.relative_to(path).as_posix()}' is a link that leads out of the store",
            "Copy the store with what its links lead to (cp -rL), if you trust it.",
        )


def _array(path: Path, files: LocalStore | None, column: Column) -> Any:
    store = DirectStore(path, read_only=True) if files is None else files
    for part in (path / column.key, path / column.key / "zarr.json"):
        _refuse_link(path, part)
    try:
        array = zarr.open_array(store, path=column.key, mode="r" if files is None else "r+", zarr_format=3)
    except Exception as error:  # zarr raises whatever its parsers do
        raise StoreError(path, f"its array '{column.key}' cannot be opened ({_words(error)})", _RESTORE) from error
    if array.shape[1:] != column.row or array.dtype != np.dtype(column.dtype):
        raise StoreError(
            path,
            f"its array '{column.key}' holds {array.dtype} rows of shape {array.shape[1:]}, "
            f"not {column.dtype} of {column.row}",
            _RESTORE,
        )
    chunk = int(np.prod(array.shards or array.chunks, dtype=object)) * array.dtype.itemsize
    if chunk > MAX_CHUNK_BYTES:
        raise StoreError(
            path,
            f"its array '{column.key}' has chunks of {chunk / 1e6:.0f} MB",
            f"Store it again in chunks of at most {MAX_CHUNK_BYTES / 1e6:.0f} MB.",
        )
    return array


def _check_ends(path: Path, ends: NDArray[np.int64], arrays: Mapping[str, Any]) -> None:
    short = np.flatnonzero(np.diff(ends, prepend=0) < 2)
    if len(short):
        raise StoreError(
            path,
            f"'{EPISODE_ENDS}'[{short[0]}] is {ends[short[0]]}, which leaves that episode no transition",
            _RESTORE,
        )
    for key, array in arrays.items():
        needed = len(ends) if key.startswith("meta/") else int(ends[-1]) if len(ends) else 0
        if array.shape[0] < needed:
            raise StoreError(path, f"its array '{key}' has {array.shape[0]} rows, {needed} are committed", _RESTORE)


def read_rows(opened: OpenedStore, key: str, start: int, stop: int) -> NDArray[Any]:
    """Rows [start, stop) of one array, every chunk of which must be there and whole.

    zarr itself reads a missing chunk as zeros. A store from before `SAFETY` has 1 there, cause not recorded, where the
    safety filter changed the command.

    Raises:
        StoreError: a chunk is missing or damaged; the sentence names array, rows and episodes.
    """
    if key == SAFETY and key not in opened.arrays:
        return read_rows(opened, "data/filtered", start, stop).astype(np.uint16)
    array = opened.arrays[key]
    if stop > array.shape[0]:
        raise StoreError(opened.path, f"its array '{key}' has {array.shape[0]} rows, {stop} are committed", _RESTORE)
    for file in _chunk_files(opened.path, key, array, start, stop):
        if not file.is_file():
            where = file.relative_to(opened.path).as_posix()
            raise StoreError(opened.path, f"the chunk file '{where}' is missing", _RESTORE)
        _refuse_link(opened.path, file)
    try:
        rows: NDArray[Any] = np.asarray(array[start:stop])
    except Exception as error:  # each codec raises its own
        raise _damage(opened, key, array, start, stop, error) from error
    return rows


def _chunk_files(path: Path, key: str, array: Any, start: int, stop: int) -> list[Path]:
    chunk = array.shards or array.chunks
    if stop <= start:
        return []
    grid = [range(start // chunk[0], (stop - 1) // chunk[0] + 1)]
    grid += [range(-(-n // c)) for n, c in zip(array.shape[1:], chunk[1:], strict=True)]
    return [path / key / array.metadata.encode_chunk_key(index) for index in itertools.product(*grid)]


def _damage(opened: OpenedStore, key: str, array: Any, start: int, stop: int, error: Exception) -> RlpdRobotError:
    rows = (array.shards or array.chunks)[0]
    for first in range(start - start % rows, stop, rows):
        last = min(first + rows, stop)
        try:
            array[max(first, start) : last]
        except Exception as cause:  # the same read as before, now chunk by chunk
            where = f"rows {first} to {last - 1} of its array '{key}'"
            if key.startswith("data/") and opened.episodes:
                a, b = np.searchsorted(opened.ends, [first, last - 1], side="right")
                where += f" (episodes {a} to {b})"
            return StoreError(opened.path, f"{where} cannot be read ({_words(cause)})", _RESTORE)
    return StoreError(opened.path, f"its array '{key}' cannot be read ({_words(error)})", _RESTORE)


def _words(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
