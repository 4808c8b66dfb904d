"""robomimic HDF5 files: one group an episode, `data/demo_0`, `data/demo_1` …, observations by name.

What `dones` means depends on how a file was collected (success, end of the recording, or both), so an episode's ending
is unknown. The last `next_obs` may be a copy of the last `obs` and is then no observation of what came after.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.hdf5 import child, dataset, leaves, needed, open_hdf5, read
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, choose_keys, column, rows
from rlpd_robot.errors import ImportSourceError


class RobomimicImporter:
    """Implements `source.Importer`, reading one episode at a time."""

    format = "robomimic"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path
        self._options = options
        self._keys: tuple[str, ...] = ()

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        with open_hdf5(self._path) as file:
            data = child(self._path, file, "data")
            listed = data if hasattr(data, "keys") else ()
            names = sorted((n for n in listed if re.fullmatch(r"demo_\d+", n)), key=lambda n: int(n[5:]))
            if not names:
                raise ImportSourceError(self._path, "it has no 'data/demo_0'", "robomimic's groups")
            for name in names:
                yield self._episode(name, child(self._path, data, name))

    def _episode(self, name: str, group: Any) -> SourceEpisode:
        obs = child(self._path, group, "obs")
        if obs is None:
            raise ImportSourceError(self._path, f"{name} has no 'obs'", "it: extract it with robomimic's own script")
        self._keys = self._keys or self._choose(name, obs)
        rewards = dataset(self._path, group, "rewards")
        observations = self._observations(name, obs)
        following = child(self._path, group, "next_obs")
        next_observations = None if following is None else self._observations(name, following)
        if next_observations is not None and np.array_equal(next_observations[-1], observations[-1]):
            self.notes.count("episodes whose last next_obs is a copy of the last obs, so not used")
            next_observations = None
        return SourceEpisode(
            name=name,
            observations=observations,
            next_observations=next_observations,
            actions=rows(self._path, f"{name}, actions", read(self._path, needed(self._path, group, "actions"))),
            rewards=None if rewards is None else column(self._path, f"{name}, rewards", read(self._path, rewards)),
        )

    def _choose(self, name: str, obs: Any) -> tuple[str, ...]:
        found = leaves(self._path, obs)
        sizes = {k: int(np.prod(d.shape[1:], dtype=object)) for k, d in found.items() if d.dtype != np.uint8}
        pictures = sorted(set(found) - set(sizes))
        self.notes.count(f"pictures not read: {', '.join(pictures)}", len(pictures))
        return choose_keys(self._path, self._options.observations, sizes)

    def _observations(self, name: str, obs: Any) -> NDArray[Any]:
        parts = []
        for key in self._keys:
            values = needed(self._path, obs, key)
            parts.append(rows(self._path, f"{name}/obs/{key}", read(self._path, values)))
        if len({len(p) for p in parts}) != 1:
            raise ImportSourceError(self._path, f"the arrays of {name}/obs differ in length", "one row a step in each")
        return np.concatenate(parts, axis=1)
