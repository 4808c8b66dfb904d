"""Reading parquet files of others: what a file says of its sizes is checked before memory is taken."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.source import check_bytes, numbers
from rlpd_robot.errors import ImportSourceError, MissingPackageError, RlpdRobotError

BATCH_ROWS = 1 << 13


def pyarrow_modules() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet.

    Raises:
        MissingPackageError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingPackageError("pyarrow", "parquet files", "import") from error
    return pyarrow, pyarrow.parquet


def read_batches(path: Path, sizes: Mapping[str, int], optional: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Some columns of a file as (T, size) arrays, a batch of rows after the other.

    Args:
        path: the file.
        sizes: numbers of a row in each column.
        optional: columns among them that may be absent.

    Raises:
        ImportSourceError: a column is absent, ragged, has gaps, or a part of the file cannot be read.
    """
    with _open(path) as file:
        names = set(file.schema_arrow.names)
        absent = [name for name in sizes if name not in names and name not in optional]
        if absent:
            raise ImportSourceError(path, f"it has no column '{absent[0]}'", "what info.json tells of")
        wanted = {name: size for name, size in sizes.items() if name in names}
        _check_groups(path, file.metadata, wanted)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(wanted), use_threads=False):
            yield {name: _numbers(path, name, batch.column(name), size) for name, size in wanted.items()}


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    pyarrow, parquet = pyarrow_modules()
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except RlpdRobotError:
        raise
    except (
        pyarrow.ArrowException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        OverflowError,
        MemoryError,
        NotImplementedError,
    ) as error:
        words = " ".join(str(error).split())[:200]
        raise ImportSourceError(path, f"it cannot be read ({words})", "a whole parquet file") from error


def _check_groups(path: Path, metadata: Any, sizes: Mapping[str, int]) -> None:
    """A column of one repeated number takes a few bytes, however often it is repeated."""
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        for c in range(group.num_columns):
            chunk = group.column(c)
            name = chunk.path_in_schema.partition(".list.")[0]  # lists of lists have more of it
            if name not in sizes:
                continue
            where = f"column '{name}' of row group {g}"
            check_bytes(path, where, (chunk.total_uncompressed_size,), 1)
            if chunk.num_values != group.num_rows * sizes[name]:
                found = f"{where} has {chunk.num_values} numbers in {group.num_rows} rows"
                raise ImportSourceError(path, found, f"{sizes[name]} a row")


def _numbers(path: Path, name: str, column: Any, size: int) -> NDArray[Any]:
    """(T, size): lists, also nested ones, are flattened."""
    pyarrow, _ = pyarrow_modules()
    rows, types = len(column), pyarrow.types
    where = f"column '{name}'"
    while types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type):
        if column.null_count:
            raise ImportSourceError(path, f"{where} has gaps", "a number everywhere")
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        if len(lengths) and (lengths != lengths[0]).any():
            raise ImportSourceError(path, f"{where} is ragged", "as many numbers in each row")
        column = column.flatten()
    if column.null_count:
        raise ImportSourceError(path, f"{where} has gaps", "a number everywhere")
    values = numbers(path, where, np.asarray(column.to_numpy(zero_copy_only=False)))
    if values.size != rows * size:
        raise ImportSourceError(path, f"{where} has {values.size} numbers in {rows} rows", f"{size} a row")
    return values.reshape(rows, size)


def feature_size(shape: Sequence[int]) -> int:
    """Numbers of one row."""
    return math.prod(shape)
