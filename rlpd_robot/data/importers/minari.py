"""Minari datasets in their HDF5 storage: `data/main_data.hdf5`, one group an episode, N+1 observations."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.hdf5 import child, dataset, leaves, needed, open_hdf5, read
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, choose_keys, column, rows
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Ending


class MinariImporter:
    """Implements `source.Importer`, reading one episode at a time."""

    format = "minari"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = main_file(path)
        self._options = options
        self._keys: tuple[str, ...] = ()

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        with open_hdf5(self._path) as file:
            names = sorted((n for n in file if re.fullmatch(r"episode_\d+", n)), key=lambda n: int(n[8:]))
            if not names:
                raise ImportSourceError(self._path, "it has no 'episode_0'", "Minari's groups")
            for name in names:
                yield self._episode(name, child(self._path, file, name))

    def _episode(self, name: str, group: Any) -> SourceEpisode:
        actions = rows(self._path, f"{name}, actions", read(self._path, needed(self._path, group, "actions")))
        rewards = column(self._path, f"{name}, rewards", read(self._path, needed(self._path, group, "rewards")))
        ends = {}
        for flag in ("terminations", "truncations"):
            values = column(self._path, f"{name}, {flag}", read(self._path, needed(self._path, group, flag)))
            if values[:-1].any():
                raise ImportSourceError(self._path, f"{name}, {flag} is set before the last step", "it at the end only")
            ends[flag] = bool(values[-1])
        ending: Ending = "terminated" if ends["terminations"] else "truncated" if ends["truncations"] else "unknown"
        return SourceEpisode(
            name=name,
            observations=self._observations(name, group),
            actions=actions,
            rewards=rewards,
            success=self._info(name, group, "success", len(actions)),
            intervened=self._info(name, group, "intervened", len(actions)),
            stamps_s=self._info(name, group, "stamp_s", len(actions)),
            ending=ending,
        )

    def _observations(self, name: str, group: Any) -> NDArray[Any]:
        found = child(self._path, group, "observations")
        if found is None:
            raise ImportSourceError(self._path, f"{name} has no 'observations'", "it, for this format")
        if not hasattr(found, "keys"):
            values = read(self._path, needed(self._path, group, "observations"))
            return rows(self._path, f"{name}, observations", values)
        arrays = leaves(self._path, found)
        if not self._keys:
            sizes = {k: int(np.prod(d.shape[1:], dtype=object)) for k, d in arrays.items() if d.dtype != np.uint8}
            pictures = sorted(set(arrays) - set(sizes))
            self.notes.count(f"pictures not read: {', '.join(pictures)}", len(pictures))
            self._keys = choose_keys(self._path, self._options.observations, sizes)
        missing = [key for key in self._keys if key not in arrays]
        if missing:
            raise ImportSourceError(self._path, f"{name} has no observations/{missing[0]}", "it in every episode")
        parts = [rows(self._path, f"{name}, observations/{k}", read(self._path, arrays[k])) for k in self._keys]
        if len({len(p) for p in parts}) != 1:
            raise ImportSourceError(self._path, f"{name}: its observations differ in length", "one row a step in each")
        return np.concatenate(parts, axis=1)

    def _info(self, name: str, group: Any, key: str, n: int) -> NDArray[Any] | None:
        """One of `infos`, which may have a first row of the reset."""
        infos = child(self._path, group, "infos")
        if infos is None or not hasattr(infos, "keys"):
            return None
        found = dataset(self._path, infos, key)
        if found is None:
            return None
        values = column(self._path, f"{name}, infos/{key}", read(self._path, found))
        return values[:n] if key == "stamp_s" else values[-n:]


def main_file(path: Path) -> Path:
    """The HDF5 file of a dataset that may be named by its own folder or by that of its data.

    Raises:
        ImportSourceError: there is none.
    """
    if path.is_file():
        return path
    for candidate in (path / "data" / "main_data.hdf5", path / "main_data.hdf5"):
        if candidate.is_file():
            if not candidate.resolve().is_relative_to(path.resolve()):
                raise ImportSourceError(path, "its main_data.hdf5 is a link out of it", "a file of its own")
            return candidate
    raise ImportSourceError(path, "it has no data/main_data.hdf5", "a Minari dataset in HDF5 storage")
