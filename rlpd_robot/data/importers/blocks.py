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
        parts = []
        while start < stop:
            if not self._start <= start < self._stop:
                self._start = start - start % self._rows
                self._stop = min(self._start + self._rows, self._length)
                self._values = self._read(self._start, self._stop)
            end = min(stop, self._stop)
            parts.append(self._values[start - self._start : end - self._start])
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
