"""D4RL HDF5 files: all transitions after each other, `terminals` and `timeouts` marking where episodes end.

A timeout is no terminal: its value counts. Without `next_observations` the final observation of an episode is absent,
since the next row is already the first of another.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.hdf5 import dataset, needed, open_hdf5, read
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, column, rows
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Ending

_BLOCK = 1 << 16
_SUCCESS = ("infos/success", "infos/goal_achieved")


class D4rlImporter:
    """Implements `source.Importer`, reading one episode at a time."""

    format = "d4rl"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        with open_hdf5(self._path) as file:
            columns = {name: needed(self._path, file, name) for name in ("observations", "actions", "terminals")}
            for name in ("rewards", "timeouts", "next_observations"):
                if (found := dataset(self._path, file, name)) is not None:
                    columns[name] = found
            for name in _SUCCESS:
                if (found := dataset(self._path, file, name)) is not None:
                    columns.setdefault("success", found)
            n = self._length(columns)
            self.notes.count("no timeouts: only terminals end an episode", "timeouts" not in columns)
            for i, (start, stop, ending) in enumerate(self._bounds(columns, n)):
                yield self._episode(f"episode {i} (rows {start} to {stop - 1})", columns, start, stop, ending)

    def _length(self, columns: dict[str, Any]) -> int:
        lengths = {name: len(c) if c.ndim else 0 for name, c in columns.items()}
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise ImportSourceError(self._path, f"its arrays differ in length ({found})", "one row a transition")
        return lengths["actions"]

    def _bounds(self, columns: dict[str, Any], n: int) -> Iterator[tuple[int, int, Ending]]:
        start = 0
        for block in range(0, n, _BLOCK):
            stop = min(block + _BLOCK, n)
            terminal = self._flags(columns["terminals"], block, stop)
            ends = terminal | self._flags(columns["timeouts"], block, stop) if "timeouts" in columns else terminal
            for i in np.flatnonzero(ends):
                yield start, block + int(i) + 1, "terminated" if terminal[i] else "truncated"
                start = block + int(i) + 1
        if start < n:
            yield start, n, "unknown"

    def _flags(self, values: Any, start: int, stop: int) -> NDArray[np.bool_]:
        return column(self._path, f"'{values.name}'", read(self._path, values, start, stop)).astype(bool)

    def _episode(self, name: str, columns: dict[str, Any], start: int, stop: int, ending: Ending) -> SourceEpisode:
        values = {k: read(self._path, c, start, stop) for k, c in columns.items() if k not in ("terminals", "timeouts")}
        following = values.get("next_observations")
        return SourceEpisode(
            name=name,
            observations=rows(self._path, f"{name}, observations", values["observations"]),
            actions=rows(self._path, f"{name}, actions", values["actions"]),
            rewards=column(self._path, f"{name}, rewards", values["rewards"]) if "rewards" in values else None,
            success=column(self._path, f"{name}, success", values["success"]) if "success" in values else None,
            next_observations=None if following is None else rows(self._path, f"{name}, next_observations", following),
            ending=ending,
        )
