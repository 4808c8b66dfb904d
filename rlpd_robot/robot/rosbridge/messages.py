"""From ROS messages, as JSON objects, to arrays, and back. Pure functions.

A server sends NaN and infinity as null: they become NaN here, never 0. Joints are found by name, whatever the order.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ProtocolError
from rlpd_robot.robot.rosbridge.settings import FLOAT_ARRAY, JOINT_STATE, PARTS, TRAJECTORY, TWIST_AXES, Publication
from rlpd_robot.robot.rosbridge.settings import Reading as ReadingSettings

_AXES = ("x", "y", "z", "w")


class Reading:
    """One state field in the messages of its topic.

    Args:
        name: of the field.
        settings: where it stands.
        peer: whose messages these are, for errors.
    """

    def __init__(self, name: str, settings: ReadingSettings, peer: str) -> None:
        self.name, self.topic = name, settings.topic
        self.field = settings.to_field(name)
        self.names_path = settings.names_path
        self._settings, self._where = settings, f"{peer}, topic {settings.topic}"
        self._path, self._indices = settings.path.split("."), np.array(settings.indices, np.intp)
        self._places: dict[tuple[str, ...], NDArray[np.intp] | None] = {}
        self._dtype, self._shape, self._size = np.dtype(self.field.dtype), self.field.shape, self.field.size

    def missing(self, names: tuple[str, ...]) -> list[str]:
        """Joints of this field that a message with these names has not."""
        return [name for name in self._settings.names if name not in names]

    def fits(self, names: tuple[str, ...]) -> bool:
        """Whether a message with these names holds this field. Several publishers may share a topic."""
        return not self._settings.names or self._place(names) is not None

    def read(self, message: Mapping[str, Any], names: tuple[str, ...]) -> NDArray[Any]:
        """The field's value, as a fresh array of its shape and type.

        Raises:
            ProtocolError: the message has no such thing, or one of another kind or size.
        """
        array = self._numbers(_follow(message, self._path, self._where))
        if self._settings.names:
            place = self._place(names)
            if place is None or array.ndim != 1 or len(array) != len(names):
                raise ProtocolError(
                    self._where,
                    f"'{self._settings.path}' has {array.size} elements for {len(names)} names, "
                    f"without {self.missing(names) or 'none missing'}",
                    f"one for each of {list(self._settings.names)}",
                )
            array = array[place]
        elif self._settings.indices:
            if array.ndim != 1 or len(array) <= self._indices.max():
                raise ProtocolError(self._where, f"'{self._settings.path}' has {array.size} elements", "more")
            array = array[self._indices]
        if array.size != self._size:
            raise ProtocolError(
                self._where, f"'{self._settings.path}' has {array.size} elements", f"{self._size}, for {self.name}"
            )
        return self._typed(array)

    def _numbers(self, value: object) -> NDArray[Any]:
        if isinstance(value, str):
            return _from_base64(value, self._where, self._settings.path)
        if isinstance(value, Mapping):
            value = [value[axis] for axis in _AXES if axis in value]
        return to_numbers(value, self._where, self._settings.path)

    def _typed(self, array: NDArray[Any]) -> NDArray[Any]:
        dtype = self._dtype
        if self._settings.scale != 1.0:
            array = array * self._settings.scale
        if dtype.kind != "f" and not np.isfinite(array).all():
            raise ProtocolError(self._where, f"'{self._settings.path}' is null", f"a {dtype.name}")
        if dtype.kind in "iu" and not (array == np.trunc(array)).all():
            raise ProtocolError(self._where, f"'{self._settings.path}' is no whole number", f"a {dtype.name}")
        return array.astype(dtype, copy=False).reshape(self._shape)  # `_numbers` made a fresh one

    def _place(self, names: tuple[str, ...]) -> NDArray[np.intp] | None:
        """Where the joints are in messages with these names; None: not all of them are there."""
        if names not in self._places:
            if len(self._places) > 64:  # a server that invents names without end
                self._places.clear()
            index = {name: i for i, name in enumerate(names)}
            there = all(name in index for name in self._settings.names)
            self._places[names] = np.array([index[name] for name in self._settings.names]) if there else None
        return self._places[names]


def find(message: Mapping[str, Any], path: str, where: str) -> Any:
    """What stands at a dotted path.

    Raises:
        ProtocolError: nothing does.
    """
    return _follow(message, path.split("."), where)


def _follow(message: Mapping[str, Any], path: Sequence[str], where: str) -> Any:
    value: Any = message
    for part in path:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            there = list(value) if isinstance(value, Mapping) else type(value).__name__
            lacks = f"there is no '{'.'.join(path)}' ({part!r} is not in {there})"
            raise ProtocolError(where, lacks, "that path") from None
    return value


def names_of(message: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The joint names that a message brings; none where it has no such list."""
    value: Any = message
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return ()
        value = value[part]
    if isinstance(value, list) and len(value) <= 4096 and set(map(type, value)) <= {str}:
        return tuple(value)
    return ()


def stamp_of(message: Mapping[str, Any]) -> float | None:
    """The header's stamp [s], of either ROS version; None: there is none, or it is zero."""
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, Mapping) else None
    if not isinstance(stamp, Mapping):
        return None
    seconds, nanoseconds = stamp.get("sec", stamp.get("secs")), stamp.get("nanosec", stamp.get("nsecs"))
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (seconds, nanoseconds)):
        return None
    value = float(seconds) + 1e-9 * float(nanoseconds)
    return value if value > 0 else None


def ros_version_of(message: Mapping[str, Any]) -> int | None:
    """1 or 2, by the way the header's stamp is written."""
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, Mapping) else None
    if not isinstance(stamp, Mapping):
        return None
    return 2 if "nanosec" in stamp else 1 if "nsecs" in stamp else None


def to_time(seconds: float, ros: int) -> dict[str, int]:
    """A time or a duration [s] as this ROS version writes it."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 1_000_000_000)
    return {"sec": whole, "nanosec": nanoseconds} if ros == 2 else {"secs": whole, "nsecs": nanoseconds}


def to_numbers(value: object, where: str, path: str) -> NDArray[np.float64]:
    """Numbers, or lists of them, as float64; null is NaN.

    Raises:
        ProtocolError: something else.
    """
    try:
        array = np.array(value, np.float64)  # None becomes NaN
    except (ValueError, TypeError, OverflowError):
        raise ProtocolError(where, f"'{path}' is {_short(value)}", "numbers") from None
    if isinstance(value, str) or (isinstance(value, list) and str in set(map(type, value))):
        raise ProtocolError(where, f"'{path}' is {_short(value)}", "numbers")
    return array


class CommandMessage:
    """How the values of one topic's command fields become its message.

    Args:
        topic: its name.
        settings: of the topic.
        names: joints or axes, one an element.
        scale: (K,) factor from the command's unit to the message's.
        period_s: control period [s].
    """

    def __init__(
        self, topic: str, settings: Publication, names: Sequence[str], scale: NDArray[np.float64], period_s: float
    ) -> None:
        self.topic, self.settings = topic, settings
        self.names, self.scale = list(names), scale
        self._from_start_s = settings.time_from_start * period_s
        self._part = settings.part or PARTS.get(settings.type, ("",))[0]

    def encode(self, values: NDArray[np.float64], number: int, ros: int, robot_s: float | None) -> bytes:
        """The message on the wire.

        Args:
            values: (K,) finite.
            number: of the command; it is the id of the message, which a server may log.
            ros: version.
            robot_s: present time of the robot's clock [s], for the header; None: unknown.
        """
        numbers = (values * self.scale).tolist()  # Python's own: NumPy scalars are no JSON
        message = {
            "op": "publish",
            "id": f"command:{number}",
            "topic": self.topic,
            "msg": self._message(numbers, ros, robot_s),
        }
        return json.dumps(message, allow_nan=False).encode()

    def _message(self, numbers: list[float], ros: int, robot_s: float | None) -> dict[str, Any]:
        if self.settings.type == FLOAT_ARRAY:
            return {"layout": {"dim": [], "data_offset": 0}, "data": numbers}
        message: dict[str, Any] = {"header": self._header(ros, robot_s)}
        if self.settings.type == TRAJECTORY:
            point = {self._part: numbers, "time_from_start": to_time(self._from_start_s, ros)}
            return {**message, "joint_names": self.names, "points": [point]}
        if self.settings.type == JOINT_STATE:
            return {**message, "name": self.names, self._part: numbers}
        by_axis = dict(zip(self.names, numbers, strict=True))
        twist = {
            group: {axis.partition(".")[2]: by_axis.get(axis, 0.0) for axis in TWIST_AXES if axis.startswith(group)}
            for group in ("linear", "angular")
        }
        return {**message, "twist": twist}

    def _header(self, ros: int, robot_s: float | None) -> dict[str, Any]:
        header: dict[str, Any] = {"frame_id": self.settings.frame_id}
        if self.settings.stamp == "robot" and robot_s is not None:
            header["stamp"] = to_time(robot_s, ros)
        elif self.settings.stamp == "zero":
            header["stamp"] = to_time(0.0, ros)
        return header


def _from_base64(text: str, where: str, path: str) -> NDArray[np.uint8]:
    """uint8[] and char[] come as base64."""
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), np.uint8).copy()
    except (binascii.Error, ValueError):
        raise ProtocolError(where, f"'{path}' is the text {_short(text)}", "numbers, or base64 of bytes") from None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
