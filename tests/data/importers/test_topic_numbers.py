"""Many messages at once give what the library gives for each."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rlpd_robot.data.importers import topic_numbers
from rlpd_robot.data.importers.cdr_layout import Layout, layout_of
from rlpd_robot.data.importers.topic_map import Part, numbers_of
from rlpd_robot.data.importers.topic_numbers import TopicNumbers
from rlpd_robot.errors import ImportSourceError

STORE = get_typestore(Stores.ROS2_HUMBLE)
STORE.register(
    get_types_from_msg(
        "string[] words\nbool flag\nint8 small\nuint64 large\nfloat32[3] three\nbool[] flags\nbyte raw\nstring end\n"
        "geometry_msgs/Point[] points\nuint16 last\n",
        "lab_msgs/msg/Odd",
    )
)
PATH = Path("bag")
JOINTS, ODD = "sensor_msgs/msg/JointState", "lab_msgs/msg/Odd"


def joint_state(rng: np.random.Generator, names: Sequence[str], frame: str, little_endian: bool = True) -> bytes:
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](sec=int(rng.integers(1 << 30)), nanosec=5)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)
    position, velocity = rng.normal(size=len(names)), rng.normal(size=int(rng.integers(3)))
    message = types[JOINTS](header=header, name=list(names), position=position, velocity=velocity, effort=np.zeros(0))
    return bytes(STORE.serialize_cdr(message, JOINTS, little_endian=little_endian))


def odd(rng: np.random.Generator) -> bytes:
    point = STORE.types["geometry_msgs/msg/Point"]
    message = STORE.types[ODD](
        words=["ab"] * int(rng.integers(3)),
        flag=bool(rng.integers(2)),
        small=int(rng.integers(-128, 128)),
        large=int(rng.integers(1 << 62)),
        three=rng.normal(size=3).astype(np.float32),
        flags=rng.integers(0, 2, int(rng.integers(4))).astype(np.bool_),
        raw=int(rng.integers(-128, 128)),
        end="x" * int(rng.integers(3)),
        points=[point(*rng.normal(size=3)) for _ in range(int(rng.integers(3)))],
        last=int(rng.integers(1 << 16)),
    )
    return bytes(STORE.serialize_cdr(message, ODD))


def check(parts: Sequence[Part], kind: str, messages: Sequence[bytes]) -> None:
    found = TopicNumbers(PATH, parts, STORE).read([kind] * len(messages), messages)
    for part, values in zip(parts, found, strict=True):
        for value, message in zip(values, messages, strict=True):
            assert np.array_equal(value, numbers_of(PATH, STORE.deserialize_cdr(message, kind), part))


def test_joints_by_name_in_any_order_and_byte_order() -> None:
    rng = np.random.default_rng(0)
    orders = (("a", "bb", "c"), ("c", "a", "bb"), ("bb", "c", "a", "d"))
    messages = [
        joint_state(rng, orders[rng.integers(3)], ("", "base")[rng.integers(2)], bool(rng.integers(2)))
        for _ in range(200)
    ]
    check([Part("/j", "position", ("bb", "a")), Part("/j", "header.stamp.sec")], JOINTS, messages)


def test_every_kind_of_number_and_sizes_that_change() -> None:
    rng = np.random.default_rng(1)
    names = ("flag", "small", "large", "three", "flags", "raw", "last")
    check([Part("/o", name) for name in names], ODD, [odd(rng) for _ in range(300)])


def test_a_layout_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """All joints at 0: the numbers of one message would not tell."""

    def shifted(message: bytes, kind: str, types: Any) -> Layout:
        layout = layout_of(message, kind, types)
        return replace(layout, places=[replace(place, start=place.start - 1) for place in layout.places])

    monkeypatch.setattr(topic_numbers, "layout_of", shifted)
    rng = np.random.default_rng(2)
    messages = [joint_state(rng, ("a", "b"), "") for _ in range(5)]
    still = STORE.deserialize_cdr(messages[0], JOINTS)
    messages[0] = bytes(STORE.serialize_cdr(replace(still, position=np.zeros(2), velocity=np.zeros(0)), JOINTS))  # type: ignore[type-var]
    check([Part("/j", "position")], JOINTS, messages)


def test_one_message_among_many_that_lacks_a_joint_or_is_damaged() -> None:
    rng = np.random.default_rng(3)
    good = [joint_state(rng, ("a", "b"), "") for _ in range(9)]
    reader = TopicNumbers(PATH, [Part("/j", "position", ("a",))], STORE)
    with pytest.raises(ImportSourceError, match="has no joint 'a'"):
        reader.read([JOINTS] * 10, [*good, joint_state(rng, ("x", "b"), "")])
    spoiled = bytearray(good[0])
    spoiled[spoiled.index(b"a\0")] = 0xFF
    with pytest.raises(Exception, match="Could not deserialize"):
        reader.read([JOINTS] * 10, [*good, bytes(spoiled)])
