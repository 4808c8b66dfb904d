"""Sound sources of every format that can be imported, for benches to read or to spoil.

Those that we export are written by our exporters, the others by the library of their format, pickles instruction by
instruction. A source of a million transitions is written without being held in memory.
"""

import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numcodecs  # type: ignore[import-untyped]
import numpy as np
import zarr
from numpy.typing import NDArray

from rlpd_robot.data.exporters.formats import exporter_class
from rlpd_robot.data.exporters.mcap import TOPICS
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Segment

Write = Callable[[Path, ProblemSpec, Iterable[Segment]], None]


def problem_of_sizes(observation: int, action: int, horizon: int) -> ProblemSpec:
    """A robot whose observations and actions have so many numbers."""
    robot = RobotSpec(
        "sample",
        0.02,
        (Field("position", (observation,), "float64", "rad"),),
        (Field("target", (action,), "float64", "rad", (-1.0,) * action, (1.0,) * action),),
    )
    return ProblemSpec(robot, "reach", observation, action, horizon=horizon)


def episode(problem: ProblemSpec, index: int, steps: int) -> Segment:
    """One whose numbers follow from its index: joints that wander, in double and in single precision alike."""
    rng = np.random.default_rng(index)
    wandering = np.cumsum(0.05 * rng.normal(size=(steps + 1, problem.observation_size)), axis=0)
    actions = rng.uniform(-1, 1, (steps, problem.action_size)).astype(np.float32)
    return Segment(
        boot="sample",
        first_sequence=0,
        episode=index,
        first_step=0,
        observations=wandering.astype(np.float32),
        actions=actions,
        proposed_actions=actions,
        rewards=rng.normal(size=steps).astype(np.float32),
        success=np.arange(steps) == steps - 1,
        intervened=np.zeros(steps, np.bool_),
        safety=np.zeros(steps, np.uint16),
        policy_versions=np.full(steps, -1, np.int64),
        stamps_s=np.repeat(0.02 * np.arange(steps)[:, None], 4, axis=1),
        ending="terminated" if index % 2 else "truncated",
    )


PROBLEM = problem_of_sizes(4, 2, horizon=50)
"""Of a small source."""


def few_episodes() -> Iterator[Segment]:
    """Those of a small source."""
    yield from (episode(PROBLEM, index, 6 + index) for index in range(3))


def _export(name: str) -> Write:
    def write(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
        with closing(exporter_class(name)(path, problem)) as exporter:
            for e in episodes:
                exporter.append(e)
            exporter.finish()

    return write


def _robomimic(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
    with h5py.File(path, "x") as file:
        for i, e in enumerate(episodes):
            columns: dict[str, NDArray[Any]] = {"actions": e.actions, "rewards": e.rewards, "dones": e.success}
            columns |= {"obs/state": e.observations[:-1], "next_obs/state": e.observations[1:]}
            for name, values in columns.items():
                file.create_dataset(f"data/demo_{i}/{name}", data=values, chunks=values.shape, compression="gzip")


def _diffusion_policy(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
    parts: dict[str, list[NDArray[Any]]] = {"data/action": [], "data/state": [], "data/reward": []}
    ends = [0]
    for e in episodes:
        for values, part in zip((e.actions, e.observations[:-1], e.rewards), parts.values(), strict=True):
            part.append(values)
        ends.append(ends[-1] + len(e))
    group = zarr.open_group(path, mode="w-", zarr_format=2)
    columns = {name: np.concatenate(part) for name, part in parts.items()}
    compressor = numcodecs.Blosc("zstd", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE)
    for name, values in {**columns, "meta/episode_ends": np.array(ends[1:])}.items():
        rows = min(len(values), max(8, 2_000_000 // values[0].nbytes)) if len(values) > 1000 else 8
        group.create_array(name, data=values, chunks=(rows, *values.shape[1:]), compressors=compressor)


def _zipped(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
    folder = path.with_name(f"{path.name}.folder")
    _diffusion_policy(folder, problem, episodes)
    with zipfile.ZipFile(path, "x") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())


def _sqlite(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
    """The MCAP export once more, message by message into SQLite."""
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    _export("mcap")(path.with_name("mcap"), problem, episodes)
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
    with Reader(path.with_name("mcap")) as reader, writer:
        into = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=store) for c in reader.connections}
        for connection, stamp, data in reader.messages():
            writer.write(into[connection.topic], stamp, data)


def dapg_objects(episodes: Iterable[Segment]) -> Iterator[dict[str, Any]]:
    """What DAPG pickles a list of."""
    for e in episodes:
        yield {"observations": e.observations[:-1], "actions": e.actions, "rewards": e.rewards}


def serl_objects(episodes: Iterable[Segment]) -> Iterator[dict[str, Any]]:
    """What SERL pickles a list of."""
    for e in episodes:
        for t in range(len(e)):
            yield {
                "observations": e.observations[t],
                "actions": e.actions[t],
                "next_observations": e.observations[t + 1],
                "rewards": float(e.rewards[t]),
                "masks": 1.0 - float(e.success[t] and e.ending == "terminated"),
                "dones": bool(t == len(e) - 1),
            }


def _pickle(objects: Callable[[Iterable[Segment]], Iterator[Any]]) -> Write:
    def write(path: Path, problem: ProblemSpec, episodes: Iterable[Segment]) -> None:
        write_pickle(path, objects(episodes))

    return write


def write_pickle(path: Path, objects: Iterable[Any]) -> None:
    """A pickle of a list, item by item, in batches of a thousand: only reading one takes an interpreter."""
    with path.open("wb") as file:
        file.write(b"\x80\x04]\x94(")
        write = _Pickled()
        for i, item in enumerate(objects):
            file.write((b"e(" if i and i % 1000 == 0 else b"") + write.value(item))
        file.write(b"e.")


class _Pickled:
    """The instructions of a pickle, as Python's own pickler has them in protocol 4, without frames.

    Everything but numbers is given a number to be remembered by; texts, names and types are written once.
    """

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._next = 1  # the list has 0

    def value(self, value: Any) -> bytes:
        """Those that build `value`."""
        if value is None:
            return b"N"
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if isinstance(value, int):
            return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + value.to_bytes(4, "little", signed=True)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            return self._once(value, lambda: b"X" + len(value.encode()).to_bytes(4, "little") + value.encode())
        if isinstance(value, bytes):
            short = len(value) < 256
            return self._new((b"C" + bytes([len(value)]) if short else b"B" + len(value).to_bytes(4, "little")) + value)
        if isinstance(value, list | tuple | dict):
            return self._container(value)
        return self._array(value)

    def _container(self, value: Any) -> bytes:
        if isinstance(value, tuple):
            parts = b"".join(map(self.value, value))
            return self._new(parts + bytes([0x84 + len(value)]) if 0 < len(value) < 4 else b"(" + parts + b"t")
        parts = self._new(b"]" if isinstance(value, list) else b"}")
        items = value if isinstance(value, list) else chain.from_iterable(value.items())
        return parts + b"(" + b"".join(map(self.value, items)) + (b"e" if isinstance(value, list) else b"u")

    def _array(self, value: NDArray[Any]) -> bytes:
        made = self._name("numpy._core.multiarray", "_reconstruct") + self._name("numpy", "ndarray")
        made += self._new(b"K\x00\x85") + self._once(b"b", lambda: b"C\x01b")
        made = self._new(self._new(made + b"\x87") + b"R")
        made += b"(K\x01" + self.value(value.shape) + self._dtype(value.dtype) + b"\x89"
        return made + self._new(self.value(value.tobytes()) + b"t") + b"b"

    def _dtype(self, dtype: np.dtype[Any]) -> bytes:
        if dtype in self._known:
            return self._again(dtype)
        made = self._name("numpy", "dtype") + self.value(dtype.str[1:])
        made = self._new(self._new(made + b"\x89\x88\x87") + b"R")
        self._known[dtype] = self._next - 1
        state = b"(K\x03" + self.value(dtype.str[0]) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        return made + self._new(state) + b"b"

    def _name(self, module: str, name: str) -> bytes:
        return self._once((module, name), lambda: self.value(module) + self.value(name) + b"\x93")

    def _new(self, instructions: bytes) -> bytes:
        """Those, and remember what they build."""
        self._next += 1
        return instructions + b"\x94"

    def _once(self, key: Any, write: Callable[[], bytes]) -> bytes:
        """What is written, or remembered from before."""
        if key in self._known:
            return self._again(key)
        instructions = self._new(write())
        self._known[key] = self._next - 1
        return instructions

    def _again(self, key: Any) -> bytes:
        number = self._known[key]
        return b"h" + bytes([number]) if number < 256 else b"j" + number.to_bytes(4, "little")


@dataclass(frozen=True)
class Sample:
    """One kind of source.

    Attributes:
        importer: name of the importer that reads it.
        write: makes one of whole episodes at a path where nothing is.
        options: what has to be said to read it.
    """

    importer: str
    write: Write
    options: SourceOptions = SourceOptions()


_RECORDING = SourceOptions(period_s=0.02, topics=TOPICS)

SAMPLES: Mapping[str, Sample] = {
    "dapg": Sample("dapg", _pickle(dapg_objects)),
    "serl": Sample("serl", _pickle(serl_objects)),
    "d4rl": Sample("d4rl", _export("d4rl")),
    "minari": Sample("minari", _export("minari")),
    "robomimic": Sample("robomimic", _robomimic),
    "diffusion_policy": Sample("diffusion_policy", _diffusion_policy),
    "umi_zip": Sample("diffusion_policy", _zipped),
    "lerobot": Sample("lerobot", _export("lerobot")),
    "mcap": Sample("rosbag", _export("mcap"), _RECORDING),
    "rosbag": Sample("rosbag", _sqlite, _RECORDING),
}
"""By name; every importer is among them."""
