"""A small sound source of every format that can be imported, for `bench import_fuzz` to spoil."""

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import zarr
from numpy.typing import NDArray

from rlpd_robot.data.exporters.formats import exporter_class
from rlpd_robot.data.exporters.mcap import TOPICS
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Segment

OBSERVATION, ACTION, EPISODES, STEPS = 4, 2, 3, 6

_ROBOT = RobotSpec(
    "sample",
    0.02,
    (Field("position", (OBSERVATION,), "float64", "rad"),),
    (Field("target", (ACTION,), "float64", "rad", (-1.0,) * ACTION, (1.0,) * ACTION),),
)
PROBLEM = ProblemSpec(_ROBOT, "reach", OBSERVATION, ACTION, horizon=50)


def episode(index: int) -> Segment:
    """One whose numbers follow from its index."""
    rng, n = np.random.default_rng(index), STEPS + index
    actions = rng.uniform(-1, 1, (n, ACTION)).astype(np.float32)
    return Segment(
        boot="sample",
        first_sequence=0,
        episode=index,
        first_step=0,
        observations=rng.normal(size=(n + 1, OBSERVATION)).astype(np.float32),
        actions=actions,
        proposed_actions=actions,
        rewards=rng.normal(size=n).astype(np.float32),
        success=np.arange(n) == n - 1,
        intervened=np.zeros(n, np.bool_),
        safety=np.zeros(n, np.uint16),
        policy_versions=np.full(n, -1, np.int64),
        stamps_s=np.repeat(0.02 * np.arange(n)[:, None], 4, axis=1),
        ending="terminated" if index % 2 else "truncated",
    )


def _export(name: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        exporter = exporter_class(name)(path, PROBLEM)
        for i in range(EPISODES):
            exporter.append(episode(i))
        exporter.finish()
        exporter.close()

    return write


def _robomimic(path: Path) -> None:
    with h5py.File(path, "x") as file:
        for i in range(EPISODES):
            e = episode(i)
            columns: dict[str, NDArray[Any]] = {
                "actions": e.actions,
                "rewards": e.rewards,
                "dones": e.success,
            }
            columns |= {"obs/state": e.observations[:-1], "next_obs/state": e.observations[1:]}
            for name, values in columns.items():
                file.create_dataset(f"data/demo_{i}/{name}", data=values, chunks=values.shape, compression="gzip")


def _diffusion_policy(path: Path) -> None:
    group = zarr.open_group(path, mode="w-", zarr_format=2)
    episodes = [episode(i) for i in range(EPISODES)]
    columns: dict[str, NDArray[Any]] = {
        "data/action": np.concatenate([e.actions for e in episodes]),
        "data/state": np.concatenate([e.observations[:-1] for e in episodes]),
        "data/reward": np.concatenate([e.rewards for e in episodes]),
        "meta/episode_ends": np.cumsum([len(e) for e in episodes]),
    }
    for name, values in columns.items():
        group.create_array(name, data=values, chunks=(8, *values.shape[1:]))


def _sqlite(path: Path) -> None:
    """The MCAP export once more, message by message into SQLite."""
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    _export("mcap")(path.with_name("mcap"))
    store = get_typestore(Stores.ROS2_HUMBLE)
    writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
    with Reader(path.with_name("mcap")) as reader, writer:
        into = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=store) for c in reader.connections}
        for connection, stamp, data in reader.messages():
            writer.write(into[connection.topic], stamp, data)


def _dapg(path: Path) -> None:
    episodes = [episode(i) for i in range(EPISODES)]
    columns = [{"observations": e.observations[:-1], "actions": e.actions, "rewards": e.rewards} for e in episodes]
    path.write_bytes(b"\x80\x02" + _pickled(columns) + b".")


def _serl(path: Path) -> None:
    transitions = [
        {
            "observations": e.observations[t],
            "actions": e.actions[t],
            "next_observations": e.observations[t + 1],
            "rewards": float(e.rewards[t]),
            "masks": 1.0 - float(e.success[t]),
            "dones": bool(t == len(e) - 1),
        }
        for e in map(episode, range(EPISODES))
        for t in range(len(e))
    ]
    path.write_bytes(b"\x80\x02" + _pickled(transitions) + b".")


def _pickled(value: Any) -> bytes:
    """The instructions of a pickle (protocol 2) that builds `value`: only reading one takes an interpreter."""
    if isinstance(value, list):
        return b"](" + b"".join(map(_pickled, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_pickled, value)) + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_pickled(v) for item in value.items() for v in item) + b"u"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
    if isinstance(value, bytes):
        return b"B" + len(value).to_bytes(4, "little") + value
    return _pickled_array(value)


def _pickled_array(value: NDArray[Any]) -> bytes:
    kind = b"cnumpy\ndtype\n" + _pickled((value.dtype.str[1:], False, True)) + b"R"
    kind += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _pickled((0,)) + _pickled(b"b") + b"tR"
    state = b"(K\x01" + _pickled(value.shape) + kind + b"\x89" + _pickled(value.tobytes()) + b"tb"
    return empty + state


SAMPLES: Mapping[str, tuple[str, Callable[[Path], None], SourceOptions]] = {
    "dapg": ("dapg", _dapg, SourceOptions()),
    "serl": ("serl", _serl, SourceOptions()),
    "d4rl": ("d4rl", _export("d4rl"), SourceOptions()),
    "minari": ("minari", _export("minari"), SourceOptions()),
    "robomimic": ("robomimic", _robomimic, SourceOptions()),
    "diffusion_policy": ("diffusion_policy", _diffusion_policy, SourceOptions()),
    "lerobot": ("lerobot", _export("lerobot"), SourceOptions()),
    "mcap": ("rosbag", _export("mcap"), SourceOptions(period_s=0.02, topics=TOPICS)),
    "rosbag": ("rosbag", _sqlite, SourceOptions(period_s=0.02, topics=TOPICS)),
}
"""By name: the importer, what writes a sample of its format, and what has to be said to read it."""
