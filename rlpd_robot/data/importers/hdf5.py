"""Opening HDF5 files of others: nothing outside the file is followed, and sizes are checked before memory is taken."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.blocks import Blocks
from rlpd_robot.data.importers.source import check_bytes, numbers
from rlpd_robot.errors import ImportSourceError, MissingPackageError, RlpdRobotError

_FILTERS = {"gzip", "lzf", "shuffle", "fletcher32", "szip", "scaleoffset"}
"""HDF5's own and h5py's, by h5py's names; any other is a plugin of which the machine knows nothing."""


def h5py_module() -> Any:
    """h5py.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingPackageError("h5py", "HDF5 files", "import") from error
    return h5py


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The root group of a file, for reading.

    Raises:
        MissingPackageError: h5py is not installed.
        ImportSourceError: it is no HDF5 file, or a part of it cannot be read.
    """
    h5py = h5py_module()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except RlpdRobotError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        words = " ".join(str(error).split())[:200]
        raise ImportSourceError(path, f"it cannot be read ({words})", "a whole HDF5 file") from error


def child(path: Path, group: Any, name: str) -> Any:
    """What `group` holds by that name, which may be a path downwards; none where there is nothing.

    Raises:
        ImportSourceError: the name leads out of the file, or anywhere but to something of its own.
    """
    h5py = h5py_module()
    for part in name.split("/"):
        if not isinstance(group, h5py.Group):
            return None
        links, key = (
            group.id.links,
            part.encode(errors="surrogateescape"),
        )  # quicker than `get`: there may be many names
        if not part or not links.exists(key):
            return None
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise ImportSourceError(path, f"'{group.name}/{part}' is a link elsewhere", "data of the file itself")
        group = group[part]
    return group


def dataset(path: Path, group: Any, name: str) -> Any:
    """A dataset of `group`; none where there is nothing.

    Raises:
        ImportSourceError: it is no dataset, its values lie in another file, or it needs a foreign filter.
    """
    found = child(path, group, name)
    if found is None:
        return None
    where = _Name(found)
    if not isinstance(found, h5py_module().Dataset):
        raise ImportSourceError(path, f"{where} is a group", "an array")
    if found.external or found.is_virtual:
        raise ImportSourceError(path, f"the values of {where} lie in another file", "data of the file itself")
    try:
        filters = set(found._filters)
    except IndexError as error:  # of h5py, where a filter lacks its settings
        raise ImportSourceError(path, f"the filters of {where} are damaged", "a whole HDF5 file") from error
    foreign = sorted(filters - _FILTERS)
    if foreign:
        raise ImportSourceError(path, f"{where} is stored with filter {foreign[0]}", ", ".join(sorted(_FILTERS)))
    if found.dtype.kind not in "biuf":
        raise ImportSourceError(path, f"{where} has dtype {found.dtype}", "numbers")
    if not _is_written(found):
        raise ImportSourceError(path, f"{where} claims shape {found.shape}, a part of which was never written", "all")
    return found


class _Name:
    """The quoted name of something in a file, looked up only where a sentence is made."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __str__(self) -> str:
        return f"'{self._found.name}'"


def _is_written(found: Any) -> bool:
    """Whether the file holds every value: HDF5 makes up the rest, petabytes of it if a shape says so."""
    if found.chunks is None:
        return bool(found.id.get_storage_size() == found.nbytes)
    chunks = math.prod(-(-n // c) for n, c in zip(found.shape, found.chunks, strict=True))
    return bool(found.id.get_num_chunks() == chunks)


def needed(path: Path, group: Any, name: str) -> Any:
    """As `dataset`, and it must be there."""
    found = dataset(path, group, name)
    if found is None:
        raise ImportSourceError(path, f"'{group.name}' has no '{name}'", "it, for this format")
    return found


def read(path: Path, found: Any, start: int = 0, stop: int | None = None) -> NDArray[Any]:
    """Rows [start, stop) of a dataset.

    Raises:
        ImportSourceError: they are too many, or they cannot be read.
    """
    where = _Name(found)
    if found.ndim < 1:
        raise ImportSourceError(path, f"{where} is one number", "one row a step")
    stop = len(found) if stop is None else stop
    check_bytes(path, where, (stop - start, *found.shape[1:]), found.dtype.itemsize)
    if found.chunks is not None:
        check_bytes(path, where, found.chunks, found.dtype.itemsize)
    try:
        values: NDArray[Any] = np.asarray(found[start:stop])
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        words = " ".join(str(error).split())[:200]
        raise ImportSourceError(path, f"{where}, rows {start} to {stop - 1}, cannot be read ({words})", "it") from error
    return numbers(path, where, values)


def blocks(path: Path, found: Any) -> Blocks:
    """The rows of a dataset, to be read one after the other. The reads raise as `read` does."""
    row_bytes = math.prod(found.shape[1:]) * found.dtype.itemsize
    chunk_rows = found.chunks[0] if found.chunks else 1
    return Blocks(lambda start, stop: read(path, found, start, stop), len(found), row_bytes, chunk_rows)


def leaves(path: Path, group: Any, prefix: str = "") -> dict[str, Any]:
    """Every dataset below a group, by its name relative to it; groups are at most eight deep."""
    found: dict[str, Any] = {}
    if prefix.count("/") > 8:
        raise ImportSourceError(path, f"'{group.name}' is nested too deeply", "at most eight levels")
    for name in group:
        value = child(path, group, name)
        if isinstance(value, h5py_module().Group):
            found |= leaves(path, value, f"{prefix}{name}/")
        else:
            found[prefix + name] = needed(path, group, name)
    return found
