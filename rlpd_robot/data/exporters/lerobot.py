"""LeRobotDataset v3: one parquet row group an episode, statistics and episodes below `meta/`.

Written with pyarrow after LeRobot's published layout. Its own keys are joined by `next.observation.state`,
`next.terminated`, `next.truncated`, `intervened` and `stamp_s`, which policies do not read and an import needs.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.exporters.target import ends
from rlpd_robot.data.importers.parquet import pyarrow_modules
from rlpd_robot.data.importers.source import Notes
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment

FILE_BYTES = 100 << 20
"""Where the next data file begins."""
_FILES_A_CHUNK = 1000
_EPISODES_A_BLOCK = 500
_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)

_Stats = dict[str, NDArray[Any]]


class LerobotExporter:
    """Implements `target.Exporter`: a folder."""

    format = "lerobot"

    def __init__(self, path: Path, problem: ProblemSpec) -> None:
        self._arrow, self._parquet = pyarrow_modules()
        self.notes = Notes()
        self._path = path
        self._problem = problem
        (path / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
        self._data: Any = None
        self._data_path = path
        self._data_file = -1
        self._episodes_writer: Any = None
        self._rows: list[dict[str, Any]] = []
        self._episodes = self._frames = 0
        self._total: dict[str, _Stats] = {}
        self._features: dict[str, dict[str, Any]] = {}

    def append(self, episode: Segment) -> None:
        """As `target.Exporter` says."""
        columns = self._columns(episode)
        if self._data is None or self._data_path.stat().st_size > FILE_BYTES:
            self._next_file(columns)
        self._data.write_table(self._table(columns), row_group_size=len(episode))
        stats = {name: _stats(values) for name, values in columns.items()}
        self._total = {n: _merged(self._total[n], s) if n in self._total else s for n, s in stats.items()}
        self._rows.append(
            {
                "episode_index": self._episodes,
                "tasks": [self._problem.task],
                "length": len(episode),
                "data/chunk_index": self._data_file // _FILES_A_CHUNK,
                "data/file_index": self._data_file % _FILES_A_CHUNK,
                "dataset_from_index": self._frames,
                "dataset_to_index": self._frames + len(episode),
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                **{f"stats/{n}/{k}": v.tolist() for n, s in stats.items() for k, v in s.items()},
            }
        )
        self._episodes += 1
        self._frames += len(episode)
        if len(self._rows) >= _EPISODES_A_BLOCK:
            self._flush_episodes()

    def _columns(self, episode: Segment) -> dict[str, NDArray[Any]]:
        """(N, size) of each feature, in the types that LeRobot has for its own."""
        n, flags = len(episode), ends(episode)
        step = np.arange(n)
        return {
            "observation.state": episode.observations[:-1],
            "action": episode.actions,
            "next.observation.state": episode.observations[1:],
            "next.reward": episode.rewards[:, None],
            "next.done": (step == n - 1)[:, None],
            "next.success": episode.success[:, None],
            "next.terminated": flags["terminated"][:, None],
            "next.truncated": flags["truncated"][:, None],
            "intervened": episode.intervened[:, None],
            "stamp_s": episode.stamps_s[:, :1],
            "timestamp": (step * self._problem.robot.period_s).astype(np.float32)[:, None],
            "frame_index": step[:, None],
            "episode_index": np.full((n, 1), self._episodes),
            "index": (self._frames + step)[:, None],
            "task_index": np.zeros((n, 1), np.int64),
        }

    def _table(self, columns: Mapping[str, NDArray[Any]]) -> Any:
        arrow, arrays = self._arrow, []
        for values in columns.values():
            flat = arrow.array(np.ascontiguousarray(values).reshape(-1))
            size = values.shape[1]
            arrays.append(flat if size == 1 else arrow.FixedSizeListArray.from_arrays(flat, size))
        return arrow.table(arrays, names=list(columns))

    def _next_file(self, columns: Mapping[str, NDArray[Any]]) -> None:
        if self._data is not None:
            self._data.close()
        self._data_file += 1
        chunk, file = divmod(self._data_file, _FILES_A_CHUNK)
        self._data_path = self._path / "data" / f"chunk-{chunk:03d}" / f"file-{file:03d}.parquet"
        self._data_path.parent.mkdir(parents=True, exist_ok=True)
        self._data = self._parquet.ParquetWriter(self._data_path, self._table(columns).schema, compression="snappy")
        self._features = {
            name: {"dtype": values.dtype.name, "shape": [values.shape[1]], "names": None}
            for name, values in columns.items()
        }

    def _flush_episodes(self) -> None:
        table = self._arrow.Table.from_pylist(self._rows)
        if self._episodes_writer is None:
            path = self._path / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
            self._episodes_writer = self._parquet.ParquetWriter(path, table.schema)
        self._episodes_writer.write_table(table.cast(self._episodes_writer.schema))
        self._rows = []

    def finish(self) -> None:
        """As `target.Exporter` says."""
        if self._rows:
            self._flush_episodes()
        self.close()
        fps = 1 / self._problem.robot.period_s
        self._write_json(
            "info.json",
            {
                "codebase_version": "v3.0",
                "robot_type": self._problem.robot.name,
                "total_episodes": self._episodes,
                "total_frames": self._frames,
                "total_tasks": 1,
                "chunks_size": _FILES_A_CHUNK,
                "data_files_size_in_mb": FILE_BYTES >> 20,
                "video_files_size_in_mb": 200,
                "fps": round(fps) if abs(fps - round(fps)) < 1e-6 * fps else fps,
                "splits": {"train": f"0:{self._episodes}"},
                "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
                "video_path": None,
                "features": self._features,
            },
        )
        stats = {name: {k: v.tolist() for k, v in s.items()} for name, s in self._total.items()}
        self._write_json("stats.json", stats)
        self._write_tasks()

    def _write_json(self, name: str, data: Mapping[str, Any]) -> None:
        (self._path / "meta" / name).write_text(json.dumps(data, indent=4))

    def _write_tasks(self) -> None:
        """A table whose index is the task's sentence, in the way that pandas writes one down."""
        arrow = self._arrow
        kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
        description = {
            "index_columns": ["task"],
            "column_indexes": [],
            "columns": [
                {"name": n, "field_name": n, "pandas_type": p, "numpy_type": t, "metadata": None}
                for n, (p, t) in kinds.items()
            ],
            "creator": {"library": "pyarrow", "version": arrow.__version__},
            "pandas_version": "2.2.0",
        }
        table = arrow.table({"task_index": [0], "task": [self._problem.task]})
        table = table.replace_schema_metadata({"pandas": json.dumps(description)})
        self._parquet.write_table(table, self._path / "meta" / "tasks.parquet")

    def close(self) -> None:
        """As `target.Exporter` says."""
        for writer in (self._data, self._episodes_writer):
            if writer is not None:
                writer.close()


def _stats(values: NDArray[Any]) -> _Stats:
    """LeRobot's, of (N, size): each (size,), the count (1,)."""
    wide = values.astype(np.float64)
    quantiles = np.quantile(wide, _QUANTILES, axis=0)
    return {
        "min": wide.min(axis=0),
        "max": wide.max(axis=0),
        "mean": wide.mean(axis=0),
        "std": wide.std(axis=0),
        "count": np.array([len(values)]),
        **{f"q{round(100 * q):02d}": row for q, row in zip(_QUANTILES, quantiles, strict=True)},
    }


def _merged(a: _Stats, b: _Stats) -> _Stats:
    """Of both together; quantiles are averaged by count, as LeRobot does."""
    n, m = int(a["count"][0]), int(b["count"][0])
    mean = (n * a["mean"] + m * b["mean"]) / (n + m)
    variance = sum(k * (s["std"] ** 2 + (s["mean"] - mean) ** 2) for k, s in ((n, a), (m, b))) / (n + m)
    merged = {key: (n * a[key] + m * b[key]) / (n + m) for key in a if key.startswith("q")}
    extremes = {"min": np.minimum(a["min"], b["min"]), "max": np.maximum(a["max"], b["max"])}
    return {**extremes, "mean": mean, "std": np.sqrt(variance), "count": np.array([n + m]), **merged}
