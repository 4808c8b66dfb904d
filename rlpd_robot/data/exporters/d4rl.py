"""D4RL HDF5: all transitions after each other, `next_observations` included, so that nothing is lost at an end."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.exporters.target import ends
from rlpd_robot.data.importers.hdf5 import h5py_module
from rlpd_robot.data.importers.source import Notes
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment

_CHUNK_ROWS = 1 << 12
_BLOCK_ROWS = 1 << 14


class D4rlExporter:
    """Implements `target.Exporter`: one file."""

    format = "d4rl"

    def __init__(self, path: Path, problem: ProblemSpec) -> None:
        self.notes = Notes()
        self._file = h5py_module().File(path, "x")
        self._file.attrs["task"] = problem.task
        self._file.attrs["fingerprint"] = problem.fingerprint
        self._blocks: list[dict[str, NDArray[Any]]] = []
        self._held = 0

    def append(self, episode: Segment) -> None:
        """As `target.Exporter` says."""
        flags = ends(episode)
        if episode.ending == "unknown":
            self.notes.count("unknown endings written as timeouts")
            flags["truncated"][-1] = True
        self._blocks.append(
            {
                "observations": episode.observations[:-1],
                "actions": episode.actions,
                "rewards": episode.rewards,
                "next_observations": episode.observations[1:],
                "terminals": flags["terminated"],
                "timeouts": flags["truncated"],
                "infos/success": episode.success,
                "infos/intervened": episode.intervened,
                "infos/stamp_s": episode.stamps_s[:, 0],
            }
        )
        self._held += len(episode)
        if self._held >= _BLOCK_ROWS:
            self._flush()

    def _flush(self) -> None:
        for name in self._blocks[0] if self._blocks else ():
            values = np.concatenate([block[name] for block in self._blocks])
            if name not in self._file:
                row = values.shape[1:]
                self._file.create_dataset(
                    name,
                    (0, *row),
                    values.dtype,
                    maxshape=(None, *row),
                    chunks=(_CHUNK_ROWS, *row),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            array = self._file[name]
            start = len(array)
            array.resize(start + len(values), axis=0)
            array[start:] = values
        self._blocks, self._held = [], 0

    def finish(self) -> None:
        """As `target.Exporter` says."""
        self._flush()

    def close(self) -> None:
        """As `target.Exporter` says."""
        self._file.close()
