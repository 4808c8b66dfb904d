"""Recordings made by rosbags' own writer: which command belongs to which observation."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rlpd_robot.data.importers import message_windows, resample
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import ConfigError, ImportSourceError
from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Segment
from tests.data.importers.importing import import_from

STORE = get_typestore(Stores.ROS2_HUMBLE)
MS = 1_000_000
PERIOD_S = 0.1
ROBOT = RobotSpec(
    "arm",
    PERIOD_S,
    (Field("joints", (2,), "float64", "rad"),),
    (Field("target", (1,), "float64", "rad", (-1.0,), (1.0,)),),
)
PROBLEM = ProblemSpec(ROBOT, "reach", observation_size=2, action_size=1, horizon=100)
TOPICS = {
    "observation": [{"topic": "/joint_states", "field": "position", "joints": ["elbow", "wrist"]}],
    "action": [{"topic": "/command", "field": "data"}],
}
EVENTS = {"topic": "/episode", "field": "data", "start": ["go"], "terminated": ["solved"], "truncated": ["stop"]}

Messages = Sequence[tuple[int, str, Any]]
"""At so many milliseconds, on a topic: joints of the state (wrist first), a command, a text or a flag."""


def message(topic: str, value: Any, names: Sequence[str] = ("wrist", "elbow")) -> tuple[str, Any]:
    types = STORE.types
    if topic == "/joint_states":
        stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
        nothing, positions = np.zeros(0), np.array(value, np.float64)
        return "sensor_msgs/msg/JointState", types["sensor_msgs/msg/JointState"](
            header=header, name=list(names), position=positions, velocity=nothing, effort=nothing
        )
    if topic == "/command":
        layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
        kind = "std_msgs/msg/Float64MultiArray"
        return kind, types[kind](layout=layout, data=np.array([value], np.float64))
    if topic == "/wrench":
        vector = types["geometry_msgs/msg/Vector3"]
        kind = "geometry_msgs/msg/Wrench"
        return kind, types[kind](force=vector(*value), torque=vector(0.0, 0.0, 0.0))
    kind = "std_msgs/msg/String" if isinstance(value, str) else "std_msgs/msg/Float64"
    return kind, types[kind](data=value)


def write_bag(
    path: Path, messages: Messages, plugin: StoragePlugin = StoragePlugin.MCAP, mode: CompressionMode | None = None
) -> None:
    writer = Writer(path, version=8, storage_plugin=plugin)
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        for at_ms, topic, value in messages:
            kind, content = message(topic, value)
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], 1_000_000_000 + at_ms * MS, STORE.serialize_cdr(content, kind))


def read_bag(path: Path, topics: Mapping[str, Any] = TOPICS, out: str = "s.zarr") -> tuple[list[Segment], Any]:
    options = SourceOptions(period_s=PERIOD_S, topics=topics)
    return import_from(path, path.parent / out, options=options, problem=PROBLEM, rewards="last")


def joints(at_ms: int, elbow: float) -> tuple[int, str, Any]:
    return at_ms, "/joint_states", [-elbow, elbow]


# States every 40 ms, the first at 20; commands beside the grid; steps at 20, 120, 220, 320 ms.
PLAIN: Messages = [
    joints(20, 0.02),
    (50, "/command", 0.1),
    joints(60, 0.06),
    joints(100, 0.10),
    (110, "/command", 0.2),
    (120, "/command", 0.3),  # at the very step: it belongs to what follows
    joints(140, 0.14),
    joints(180, 0.18),
    joints(220, 0.22),
    (221, "/command", 0.4),
    joints(260, 0.26),
    joints(300, 0.30),
    joints(340, 0.34),
]


@pytest.mark.parametrize(
    ("plugin", "mode"),
    [(StoragePlugin.SQLITE3, None), (StoragePlugin.MCAP, None), (StoragePlugin.MCAP, CompressionMode.STORAGE)],
)
def test_latest_before_each_step(plugin: StoragePlugin, mode: CompressionMode | None, tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", PLAIN, plugin, mode)
    ((episode,), report) = read_bag(tmp_path / "bag")
    assert np.allclose(episode.observations, [[0.02, -0.02], [0.10, -0.10], [0.22, -0.22], [0.30, -0.30]])
    assert np.allclose(episode.actions[:, 0], [0.2, 0.3, 0.4])
    assert np.allclose(episode.stamps_s[:, 0], [0.0, 0.1, 0.2])
    assert (report.format, report.endings) == ("rosbag", {"unknown": 1})


def test_an_mcap_file_alone_and_a_folder_of_recordings(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_bag(tmp_path / "all" / name, PLAIN)
    read, _ = read_bag(tmp_path / "all" / "a" / "a.mcap", out="one.zarr")
    assert len(read) == 1
    read, _ = read_bag(tmp_path / "all")
    assert [e.cause for e in read] == ["rosbag: a, episode 0", "rosbag: b, episode 0"]


def test_steps_at_the_messages_of_a_topic_and_a_wrench(tmp_path: Path) -> None:
    messages: Messages = [
        (10, "/command", 0.1),
        (20, "/wrench", (1.0, 2.0, 0.0)),
        (20, "/command", 0.2),
        (55, "/wrench", (3.0, 4.0, 0.0)),
        (99, "/wrench", (5.0, 6.0, 0.0)),
    ]
    write_bag(tmp_path / "bag", messages)
    force = [{"topic": "/wrench", "field": f"force.{axis}"} for axis in "xy"]
    ((episode,), _) = read_bag(tmp_path / "bag", {**TOPICS, "observation": force, "tick": "/wrench"})
    assert episode.observations.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert np.allclose(episode.actions[:, 0], [0.2, 0.2]), "a command holds until the next"


def test_episodes_by_events(tmp_path: Path) -> None:
    messages = [
        *PLAIN[:3],
        (130, "/episode", "go"),
        *((t, "/command", 0.5) for t in (131, 200, 231)),
        *(joints(t, t / 1000) for t in range(135, 420, 20)),
        (420, "/episode", "solved"),
        *(joints(t, 0.0) for t in range(430, 600, 20)),
        (700, "/episode", "go"),
        *(joints(t, t / 1000) for t in range(701, 950, 20)),
        (960, "/episode", "stop"),
        (970, "/episode", "what"),
    ]
    write_bag(tmp_path / "bag", sorted(messages, key=lambda m: m[0]))
    read, report = read_bag(tmp_path / "bag", {**TOPICS, "episode": EVENTS})
    assert [(len(e), e.ending) for e in read] == [(2, "terminated"), (2, "truncated")]
    assert read[0].observations[:, 0] == pytest.approx([0.06, 0.215, 0.315])
    assert report.endings == {"terminated": 1, "truncated": 1}


def test_how_many_messages_are_taken_at_once_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [(130, "/episode", "go"), (255, "/episode", "stop"), (260, "/episode", "go")]
    messages = sorted([*PLAIN, *(joints(t, t / 1000) for t in range(341, 900, 7)), *events], key=lambda m: m[0])
    write_bag(tmp_path / "bag", messages)
    whole, report = read_bag(tmp_path / "bag", {**TOPICS, "episode": EVENTS}, "whole.zarr")
    monkeypatch.setattr(message_windows, "_WINDOW_BYTES", 0)
    monkeypatch.setattr(resample, "_STEPS_BYTES", 1)
    parts, again = read_bag(tmp_path / "bag", {**TOPICS, "episode": EVENTS}, "parts.zarr")
    assert [len(e) for e in whole] == [1, 6]
    assert again.notes == report.notes
    for a, b in zip(whole, parts, strict=True):
        assert np.array_equal(a.observations, b.observations)
        assert np.array_equal(a.actions, b.actions)
        assert np.array_equal(a.stamps_s, b.stamps_s)
        assert a.ending == b.ending


def test_a_silent_sensor_cuts_the_episode(tmp_path: Path) -> None:
    messages = [
        *(joints(t, 0.1) for t in range(0, 210, 10)),
        (5, "/command", 0.5),
        (1900, "/command", 0.5),
        *(joints(t, 0.2) for t in range(2000, 2210, 10)),
    ]
    write_bag(tmp_path / "bag", sorted(messages, key=lambda m: m[0]))
    read, report = read_bag(tmp_path / "bag", {**TOPICS, "max_age_s": 0.25})
    assert report.notes["episodes cut where an observation was older than 0.25 s"] == 1
    assert [e.observations[0, 0] for e in read] == pytest.approx([0.1, 0.2])
    assert [len(e) for e in read] == [4, 2], "held for 250 ms, and no longer"


def test_steps_before_the_first_command_are_left_out(tmp_path: Path) -> None:
    write_bag(
        tmp_path / "bag", [*(joints(t, 0.1) for t in range(0, 500, 20)), (490, "/command", 0.5), joints(501, 0.1)]
    )
    ((episode,), report) = read_bag(tmp_path / "bag")
    assert len(episode) == 1
    assert report.notes["steps before the first command left out"] == 4


def test_a_message_type_that_ros_does_not_bring(tmp_path: Path) -> None:
    own = get_typestore(Stores.ROS2_HUMBLE)
    own.register(get_types_from_msg("float64 left\nfloat64 right\n", "lab_msgs/msg/Pair"))
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        pair = writer.add_connection("/pair", "lab_msgs/msg/Pair", typestore=own)
        command = writer.add_connection("/command", "std_msgs/msg/Float64MultiArray", typestore=own)
        for i in range(4):
            content = own.types["lab_msgs/msg/Pair"](left=float(i), right=-float(i))
            writer.write(pair, 10**9 + i * 100 * MS, own.serialize_cdr(content, "lab_msgs/msg/Pair"))
            kind, content = message("/command", 0.1)
            writer.write(command, 10**9 + i * 100 * MS + 1, own.serialize_cdr(content, kind))
    parts = [{"topic": "/pair", "field": name} for name in ("right", "left")]
    ((episode,), _) = read_bag(tmp_path / "bag", {**TOPICS, "observation": parts})
    assert episode.observations.tolist() == [[0, 0], [-1, 1], [-2, 2], [-3, 3]]


@pytest.mark.parametrize(
    ("topics", "words"),
    [
        ({"action": TOPICS["action"]}, "Setting 'topics: observation' must be a list"),
        ({**TOPICS, "actoin": []}, "Setting 'topics: actoin' must be one of observation, action"),
        ({**TOPICS, "max_age_s": 0}, "Setting 'topics: max_age_s' must be a positive time"),
        ({**TOPICS, "action": [{"topic": "/command"}]}, r"Setting 'topics: action\[0\]' must be a mapping with topic"),
        ({**TOPICS, "episode": {**EVENTS, "start": []}}, "Setting 'topics: episode' must be values for start"),
        ({}, "Setting 'topics' must be a YAML file"),
    ],
)
def test_a_map_that_is_wrong(topics: Mapping[str, Any], words: str, tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", PLAIN)
    with pytest.raises(ConfigError, match=words):
        read_bag(tmp_path / "bag", topics)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action": [{"topic": "/cmd", "field": "data"}]}, "it has no topic '/cmd'. Expected topics out of /command"),
        ({"action": [{"topic": "/command", "field": "x"}]}, "has no field 'x'. Expected one of layout, data"),
        ({"action": [{"topic": "/joint_states", "field": "name"}]}, "holds no numbers"),
        ({"action": [{"topic": "/joint_states", "field": "position", "joints": ["knee"]}]}, "no joint 'knee'.*elbow"),
        ({"reward": {"topic": "/joint_states", "field": "position"}}, "has steps without a reward"),
    ],
)
def test_a_map_of_another_robot(changes: Mapping[str, Any], words: str, tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", PLAIN)
    with pytest.raises(ImportSourceError, match=words):
        read_bag(tmp_path / "bag", {**TOPICS, **changes})


def mcap_bomb(folder: Path) -> None:
    """A chunk that claims a few bytes and unpacks to many."""
    from backports import zstd

    file = folder / "bag.mcap"
    data = file.read_bytes()
    at = data.index(b"\x06", 8)
    length = int.from_bytes(data[at + 1 : at + 9], "little")
    packed = zstd.compress(bytes(1 << 26))
    head = data[at + 9 : at + 9 + 28 + 8] + len(packed).to_bytes(8, "little")
    body = head + packed
    file.write_bytes(data[: at + 1] + len(body).to_bytes(8, "little") + body + data[at + 9 + length :])


def view_bomb(folder: Path) -> None:
    connection = sqlite3.connect(folder / "bag.db3")
    connection.executescript(
        "ALTER TABLE messages RENAME TO m; CREATE VIEW messages AS WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT"
        " n+1 FROM t) SELECT n AS id, 1 AS topic_id, n AS timestamp, zeroblob(100000000) AS data FROM t;"
    )
    connection.close()


def rename(folder: Path) -> None:
    file = folder / "bag.mcap"
    data = file.read_bytes()
    assert b"float64[] position" in data
    file.write_bytes(data.replace(b"float64[] position", b"float64[] positiom"))


DAMAGES: dict[str, tuple[StoragePlugin, CompressionMode | None, Callable[[Path], Any], str]] = {
    "bomb": (StoragePlugin.MCAP, CompressionMode.STORAGE, mcap_bomb, "is damaged or does not unpack to"),
    "view": (StoragePlugin.SQLITE3, None, view_bomb, "it holds a view 'messages' that computes"),
    "files": (StoragePlugin.SQLITE3, CompressionMode.FILE, lambda f: None, "compressed one by one"),
    "messages": (StoragePlugin.SQLITE3, CompressionMode.MESSAGE, lambda f: None, "compressed one by one"),
    "cut off": (
        StoragePlugin.MCAP,
        None,
        lambda f: (f / "bag.mcap").write_bytes((f / "bag.mcap").read_bytes()[:-40]),
        "is cut off|does not end as",
    ),
    "metadata": (StoragePlugin.MCAP, None, lambda f: (f / "metadata.yaml").write_text("[["), "it cannot be read"),
    "names": (
        StoragePlugin.MCAP,
        None,
        lambda f: (f / "metadata.yaml").write_text(
            "a: &a [x, x]\nb: &b [*a, *a]\nrosbag2_bagfile_information: {relative_file_paths: [*b, *b]}"
        ),
        "its relative_file_paths are no names",
    ),
    "nothing": (StoragePlugin.MCAP, None, lambda f: (f / "bag.mcap").write_bytes(b""), "does not begin as"),
    "type": (StoragePlugin.MCAP, None, rename, "cannot be read|has no field 'position'"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_a_recording_must_not_be(name: str, tmp_path: Path) -> None:
    plugin, mode, damage, words = DAMAGES[name]
    write_bag(tmp_path / "bag", PLAIN, plugin, mode)
    damage(tmp_path / "bag")
    with pytest.raises(ImportSourceError, match=words):
        read_bag(tmp_path / "bag")
    assert not list(tmp_path.glob("*s.zarr*partial")) + list(tmp_path.glob("s.zarr"))
