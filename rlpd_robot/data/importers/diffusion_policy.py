"""zarr (v2) of diffusion_policy and UMI: arrays `data/<name>` over all episodes, `meta/episode_ends` where they end.

No reward, no ending and no final observation is in them. UMI has no commands either: what acted there was a person's
hand, so that an action has to be made of where it was one step later (`actions_from=[…]`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.blocks import Blocks
from rlpd_robot.data.importers.source import (
    MAX_EPISODES,
    Notes,
    SourceEpisode,
    SourceOptions,
    choose_keys,
    column,
    rows,
)
from rlpd_robot.data.importers.zarr2 import Zarr2, Zarr2Array, elements, open_zarr2
from rlpd_robot.errors import DataError, ImportSourceError


class DiffusionPolicyImporter:
    """Implements `source.Importer`, reading blocks of rows."""

    format = "diffusion_policy"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path
        self._options = options

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        if (self._path / "zarr.json").exists():
            raise ImportSourceError(self._path, "this is a zarr group of version 3", "version 2, or use it as a store")
        with open_zarr2(self._path) as source:
            ends = self._ends(source)
            arrays = {name: source.array(f"data/{name}") for name in source.names("data")}
            observed, acted = self._choose(arrays)
            used = {name: arrays[name] for name in {*observed, *acted, *({"reward"} & set(arrays))}}
            self._check_lengths(used, int(ends[-1]) if len(ends) else 0)
            blocks = {name: _blocks(array) for name, array in used.items()}
            start = 0
            for i, stop in enumerate(ends.tolist()):
                yield self._episode(f"episode {i} (rows {start} to {stop - 1})", blocks, observed, acted, start, stop)
                start = stop

    def _ends(self, source: Zarr2) -> NDArray[np.int64]:
        array = source.array("meta/episode_ends")
        if len(array.shape) != 1 or array.shape[0] > MAX_EPISODES or array.dtype.kind not in "iu":
            found = f"'meta/episode_ends' has shape {array.shape} and dtype {array.dtype}"
            raise ImportSourceError(self._path, found, f"at most {MAX_EPISODES} whole numbers")
        ends = array.read(0, array.shape[0]).astype(np.int64)
        wrong = np.flatnonzero(np.diff(ends, prepend=0) < 1)
        if len(wrong):
            found = f"'meta/episode_ends'[{wrong[0]}] is {ends[wrong[0]]}, which leaves that episode no step"
            raise ImportSourceError(self._path, found, "ascending numbers")
        return ends

    def _check_lengths(self, arrays: dict[str, Zarr2Array], needed: int) -> None:
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) != 1 or min(lengths) < needed:
            found = ", ".join(f"{name} {len(array)}" for name, array in sorted(arrays.items()))
            raise ImportSourceError(
                self._path, f"its arrays have {found} rows, its episodes end at {needed}", "one row a step in each"
            )
        self.notes.count("rows after the end of the last episode left out", min(lengths) - needed)

    def _choose(self, arrays: dict[str, Zarr2Array]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the arrays that make observation and action."""
        pictures = sorted(n for n, a in arrays.items() if a.dtype == np.uint8 or len(a.shape) > 3)
        sizes = {n: elements(a.shape) for n, a in arrays.items() if n not in pictures}
        self.notes.count(f"pictures not read: {', '.join(pictures)}", len(pictures))
        acted = tuple(self._options.actions_from) or ("action",)
        absent = [name for name in acted if name not in sizes]
        if absent:
            listed = ", ".join(f"{n} ({s})" for n, s in sorted(sizes.items())) or "(none)"
            raise DataError(
                f"Source {str(self._path)!r}",
                f"it has no array 'data/{absent[0]}'",
                f"actions_from=[…] with arrays whose next row is what was commanded, out of {listed}",
            )
        candidates = {n: s for n, s in sizes.items() if n not in ("action", "reward")}
        return choose_keys(self._path, self._options.observations, candidates), acted

    def _episode(
        self,
        name: str,
        blocks: dict[str, Blocks],
        observed: tuple[str, ...],
        acted: tuple[str, ...],
        start: int,
        stop: int,
    ) -> SourceEpisode:
        def joined(names: tuple[str, ...], first: int) -> NDArray[Any]:
            parts = [rows(self._path, f"{name}, {key}", blocks[key].rows(first, stop)) for key in names]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

        later = int(bool(self._options.actions_from))
        if later and stop - start < 2:
            raise ImportSourceError(self._path, f"{name} has one step", "two, for actions made of the next row")
        self.notes.count("episodes whose actions are the next row of what was measured (invented)", later)
        rewards = blocks.get("reward")
        return SourceEpisode(
            name=name,
            observations=joined(observed, start),
            actions=joined(acted, start + later),
            rewards=None
            if rewards is None
            else column(self._path, f"{name}, reward", rewards.rows(start, stop - later)),
        )


def _blocks(array: Zarr2Array) -> Blocks:
    return Blocks(array.read, len(array), elements(array.shape) * array.dtype.itemsize, array.chunks[0])
