"""Rows of a long array, episode after episode: read in large pieces, since a chunk of a file holds many episodes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 15
BLOCK_BYTES = 1 << 23
"""Of one array, held in memory: each of its chunks is decompressed once."""

Read = Callable[[int, int], NDArray[Any]]
"""Rows [start, stop)."""


class Blocks:
    """Rows of one array, in ascending order.

    Args:
        read: how to get rows.
        length: how many there are.
        row_bytes: size of one.
        chunk_rows: rows that the file keeps together.
    """

    def __init__(self, read: Read, length: int, row_bytes: int, chunk_rows: int = 1) -> None:
        self.row_bytes = row_bytes
        wanted = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, row_bytes)))
        self._rows = -(-wanted // chunk_rows) * chunk_rows
        self._read = read
        self._length = length
        self._start = self._stop = 0
        self._values: NDArray[Any] = np.empty(0)

    def __len__(self) -> int:
        return self._length

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows [start, stop), start < stop; not to be written to."""
        if self._holds(start, stop):
            return self._values[start - self._start : stop - self._start]
        first, values = start, None
        while start < stop:
            if not self._start <= start < self._stop:
                self._start = start - start % self._rows
                self._stop = min(self._start + self._rows, self._length)
                self._values = self._read(self._start, self._stop)
            end = min(stop, self._stop)
            part = self._values[start - self._start : end - self._start]
            values = np.empty((stop - first, *part.shape[1:]), part.dtype) if values is None else values
            values[start - first : end - first] = part
            start = end
        assert values is not None
        return values

    def _holds(self, start: int, stop: int) -> bool:
        return self._start <= start and stop <= self._stop
