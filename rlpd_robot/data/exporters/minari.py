"""Minari datasets in their HDF5 storage: `data/main_data.hdf5`, one group an episode, and `data/metadata.json`.

Written with h5py after the layout of Minari 0.5, since Minari itself is not needed for it. `infos` have N+1 rows there:
the first is of the reset.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.exporters.target import ends
from rlpd_robot.data.importers.hdf5 import h5py_module
from rlpd_robot.data.importers.source import Notes
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment

VERSION = "0.5.3"


class MinariExporter:
    """Implements `target.Exporter`: a folder."""

    format = "minari"

    def __init__(self, path: Path, problem: ProblemSpec) -> None:
        h5py = h5py_module()
        self.notes = Notes()
        self._problem = problem
        self._folder = path / "data"
        self._folder.mkdir(parents=True)
        self._file = h5py.File(self._folder / "main_data.hdf5", "x", track_order=True)
        self._episodes = self._steps = 0

    def append(self, episode: Segment) -> None:
        """As `target.Exporter` says."""
        flags = ends(episode)
        self.notes.count("unknown endings written as neither termination nor truncation", episode.ending == "unknown")
        group = self._file.create_group(f"episode_{self._episodes}")
        group.attrs["id"] = self._episodes
        group.attrs["total_steps"] = len(episode)
        columns = {
            "observations": episode.observations,
            "actions": episode.actions,
            "rewards": episode.rewards,
            "terminations": flags["terminated"],
            "truncations": flags["truncated"],
            "infos/success": _from_reset(episode.success),
            "infos/intervened": _from_reset(episode.intervened),
            "infos/stamp_s": np.append(episode.stamps_s[:, 0], episode.stamps_s[-1, 0] + self._problem.robot.period_s),
        }
        for name, values in columns.items():
            group.create_dataset(name, data=values)
        self._episodes += 1
        self._steps += len(episode)

    def finish(self) -> None:
        """As `target.Exporter` says."""
        self._file.close()
        size = (self._folder / "main_data.hdf5").stat().st_size
        problem = self._problem
        metadata = {
            "total_episodes": self._episodes,
            "total_steps": self._steps,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            "observation_space": _box(problem.observation_size, float("inf")),
            "action_space": _box(problem.action_size, 1.0),
            "dataset_id": f"rlpd-robot/{problem.task.replace('_', '-')}-v0",
            "minari_version": VERSION,
            "dataset_size": round(size / 1e6, 1),
            "description": f"Task '{problem.task}' on robot '{problem.robot.name}', from a demonstration store.",
        }
        (self._folder / "metadata.json").write_text(json.dumps(metadata))

    def close(self) -> None:
        """As `target.Exporter` says."""
        self._file.close()


def _from_reset(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.concatenate([[False], values])


def _box(size: int, bound: float) -> str:
    """A `gymnasium.spaces.Box` as Minari writes it down."""
    space: dict[str, Any] = {"type": "Box", "dtype": "float32", "shape": [size]}
    return json.dumps({**space, "low": [-bound] * size, "high": [bound] * size})
