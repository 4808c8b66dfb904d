"""A rosbag2 folder with an MCAP file in it, and beside them the topic map that reads it back.

Everything is a standard message, so that any viewer shows it. Episodes follow each other at intervals of one second;
within one the stamps keep their distances.
"""

from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from rlpd_robot.data.importers.source import Notes
from rlpd_robot.errors import MissingPackageError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment

_GAP_NS = 1_000_000_000
_TYPES = {
    "/observation": "std_msgs/msg/Float32MultiArray",
    "/action": "std_msgs/msg/Float32MultiArray",
    "/reward": "std_msgs/msg/Float32",
    "/success": "std_msgs/msg/Bool",
    "/intervened": "std_msgs/msg/Bool",
    "/episode": "std_msgs/msg/String",
}
TOPICS = {
    "observation": [{"topic": "/observation", "field": "data"}],
    "action": [{"topic": "/action", "field": "data"}],
    **{key: {"topic": f"/{key}", "field": "data"} for key in ("reward", "success", "intervened")},
    "episode": {
        "topic": "/episode",
        "field": "data",
        "start": ["start"],
        **{ending: [ending] for ending in ("terminated", "truncated", "unknown")},
    },
    "tick": "/observation",
}
"""For an import of what is written here."""


class McapExporter:
    """Implements `target.Exporter`: a folder."""

    format = "mcap"

    def __init__(self, path: Path, problem: ProblemSpec) -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
            from rosbags.typesys import Stores, get_typestore
        except ModuleNotFoundError as error:
            raise MissingPackageError("rosbags", "ROS 2 recordings", "import") from error
        self.notes = Notes()
        self._path = path
        self._period_ns = round(1e9 * problem.robot.period_s)
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._writer: Any = Writer(path / "recording", version=8, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=self._store) for topic, kind in _TYPES.items()
        }
        self._next_ns = _GAP_NS

    def append(self, episode: Segment) -> None:
        """As `target.Exporter` says."""
        stamps = self._next_ns + self._offsets(episode)
        self._write("/episode", int(stamps[0]), "start")
        for t in range(len(episode)):
            now = int(stamps[t])
            self._write("/observation", now, episode.observations[t])
            self._write("/action", now, episode.actions[t])
            self._write("/reward", now, float(episode.rewards[t]))
            self._write("/success", now, bool(episode.success[t]))
            self._write("/intervened", now, bool(episode.intervened[t]))
        end = int(stamps[-1]) + self._period_ns
        self._write("/observation", end, episode.observations[-1])
        self._write("/episode", end, episode.ending)
        self._next_ns = end + _GAP_NS

    def _offsets(self, episode: Segment) -> NDArray[np.int64]:
        """(N,) nanoseconds since the first observation."""
        stamps = episode.stamps_s[:, 0]
        offsets: NDArray[np.int64] = np.rint(1e9 * (stamps - stamps[0])).astype(np.int64)
        if (np.diff(offsets) <= 0).any():
            self.notes.count("episodes whose stamps do not ascend: control period times step (invented)")
            offsets = np.arange(len(stamps)) * self._period_ns
        self.notes.count("episodes whose time stamps were moved as a whole", bool(stamps[0] * 1e9 != self._next_ns))
        return offsets

    def _write(self, topic: str, stamp_ns: int, value: Any) -> None:
        types, kind = self._store.types, _TYPES[topic]
        if isinstance(value, np.ndarray):
            layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
            message = types[kind](layout=layout, data=value.astype(np.float32))
        else:
            message = types[kind](data=value)
        self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, kind))

    def finish(self) -> None:
        """As `target.Exporter` says."""
        self._writer.close()
        self._writer = None
        folder = self._path / "recording"
        for file in folder.iterdir():
            file.rename(self._path / file.name)
        folder.rmdir()
        (self._path / "topics.yaml").write_text(yaml.safe_dump(TOPICS, sort_keys=False))

    def close(self) -> None:
        """As `target.Exporter` says."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
