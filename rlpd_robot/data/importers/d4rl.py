"""D4RL HDF5 files: all transitions after each other, `terminals` and `timeouts` marking where episodes end.

A timeout is no terminal: its value counts. Without `next_observations` the final observation of an episode is absent,
since the next row is already the first of another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.blocks import BLOCK_ROWS, Blocks
from rlpd_robot.data.importers.hdf5 import blocks, dataset, needed, open_hdf5
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, check_bytes, column, rows
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Ending

_FOUND = {
    "rewards": ("rewards",),
    "next_observations": ("next_observations",),
    "success": ("infos/success", "infos/goal_achieved"),
    "intervened": ("infos/intervened",),
    "stamps_s": ("infos/stamp_s",),
}
"""Where a field of `SourceEpisode` may be; the first that is there."""

_Ends = tuple[int, int, Ending]


class D4rlImporter:
    """Implements `source.Importer`, reading blocks of rows."""

    format = "d4rl"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        with open_hdf5(self._path) as file:
            found = {name: needed(self._path, file, name) for name in ("observations", "actions", "terminals")}
            for name, places in {"timeouts": ("timeouts",), **_FOUND}.items():
                present = [d for d in (dataset(self._path, file, place) for place in places) if d is not None]
                found.update({name: present[0]} if present else {})
            n = self._length(found)
            self.notes.count("no timeouts: only terminals end an episode", "timeouts" not in found)
            flags = {name: found.pop(name) for name in list(found) if name in ("terminals", "timeouts")}
            columns = {name: blocks(self._path, values) for name, values in found.items()}
            for i, (start, stop, ending) in enumerate(self._bounds(flags, n)):
                yield self._episode(f"episode {i} (rows {start} to {stop - 1})", columns, start, stop, ending)

    def _length(self, columns: dict[str, Any]) -> int:
        lengths = {name: len(c) if c.ndim else 0 for name, c in columns.items()}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise ImportSourceError(self._path, f"its arrays differ in length ({found})", "one row a transition")
        return lengths["actions"]

    def _bounds(self, flags: dict[str, Any], n: int) -> Iterator[_Ends]:
        columns = {name: blocks(self._path, values) for name, values in flags.items()}
        start = 0
        for block in range(0, n, BLOCK_ROWS):
            stop = min(block + BLOCK_ROWS, n)
            terminal = self._flags(columns["terminals"], block, stop)
            ends = terminal | self._flags(columns["timeouts"], block, stop) if "timeouts" in columns else terminal
            for i in np.flatnonzero(ends).tolist():
                yield start, block + i + 1, "terminated" if terminal[i] else "truncated"
                start = block + i + 1
        if start < n:
            yield start, n, "unknown"

    def _flags(self, values: Blocks, start: int, stop: int) -> NDArray[np.bool_]:
        return column(self._path, "a flag of an end", values.rows(start, stop)).astype(bool)

    def _episode(self, name: str, columns: dict[str, Blocks], start: int, stop: int, ending: Ending) -> SourceEpisode:
        def take(key: str) -> NDArray[Any] | None:
            if key not in columns:
                return None
            as_array = rows if key.endswith(("observations", "actions")) else column
            check_bytes(self._path, f"{name}, {key}", (stop - start,), columns[key].row_bytes)
            return as_array(self._path, f"{name}, {key}", columns[key].rows(start, stop))

        observations, actions = take("observations"), take("actions")
        assert observations is not None
        assert actions is not None
        return SourceEpisode(name, observations, actions, ending=ending, **{key: take(key) for key in _FOUND})
