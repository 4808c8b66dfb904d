"""Message types as a rosbridge server knows them, and its conversion of JSON to messages and back.

As the real one: a wrong type or an unknown field is an error (which the server then tells nobody); what is left out has
its zero; a header without a stamp gets the present time; NaN and infinity leave as null; uint8[] leaves as base64.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

HEADER = "std_msgs/Header"

_TYPES: dict[str, dict[str, str]] = {
    HEADER: {"stamp": "time", "frame_id": "string"},
    "std_msgs/Bool": {"data": "bool"},
    "std_msgs/Int32": {"data": "int32"},
    "std_msgs/Float64": {"data": "float64"},
    "std_msgs/String": {"data": "string"},
    "std_msgs/MultiArrayDimension": {"label": "string", "size": "uint32", "stride": "uint32"},
    "std_msgs/MultiArrayLayout": {"dim": "std_msgs/MultiArrayDimension[]", "data_offset": "uint32"},
    "std_msgs/Float64MultiArray": {"layout": "std_msgs/MultiArrayLayout", "data": "float64[]"},
    "ur_dashboard_msgs/SafetyMode": {"mode": "uint8"},
    "std_msgs/UInt8MultiArray": {"layout": "std_msgs/MultiArrayLayout", "data": "uint8[]"},
    "geometry_msgs/Point": dict.fromkeys("xyz", "float64"),
    "geometry_msgs/Vector3": dict.fromkeys("xyz", "float64"),
    "geometry_msgs/Quaternion": dict.fromkeys("xyzw", "float64"),
    "geometry_msgs/Pose": {"position": "geometry_msgs/Point", "orientation": "geometry_msgs/Quaternion"},
    "geometry_msgs/PoseStamped": {"header": HEADER, "pose": "geometry_msgs/Pose"},
    "geometry_msgs/Wrench": dict.fromkeys(("force", "torque"), "geometry_msgs/Vector3"),
    "geometry_msgs/WrenchStamped": {"header": HEADER, "wrench": "geometry_msgs/Wrench"},
    "geometry_msgs/Twist": dict.fromkeys(("linear", "angular"), "geometry_msgs/Vector3"),
    "geometry_msgs/TwistStamped": {"header": HEADER, "twist": "geometry_msgs/Twist"},
    "sensor_msgs/Joy": {"header": HEADER, "axes": "float32[]", "buttons": "int32[]"},
    "sensor_msgs/JointState": {
        "header": HEADER,
        "name": "string[]",
        **dict.fromkeys(("position", "velocity", "effort"), "float64[]"),
    },
    "trajectory_msgs/JointTrajectoryPoint": {
        **dict.fromkeys(("positions", "velocities", "accelerations", "effort"), "float64[]"),
        "time_from_start": "duration",
    },
    "trajectory_msgs/JointTrajectory": {
        "header": HEADER,
        "joint_names": "string[]",
        "points": "trajectory_msgs/JointTrajectoryPoint[]",
    },
    "control_msgs/JointTrajectoryControllerState": {
        "header": HEADER,
        "joint_names": "string[]",
        **dict.fromkeys(("desired", "actual", "error"), "trajectory_msgs/JointTrajectoryPoint"),
    },
}
TYPES: Mapping[str, Mapping[str, str]] = MappingProxyType(_TYPES)
"""Type → field → type of the field."""

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_FLOATS = ("float32", "float64")
_TIMES = ("time", "duration")
_BYTES = ("uint8[]", "char[]")


class MessageError(Exception):
    """A message that does not convert: what a real server writes into its own log."""


def plain(name: str) -> str:
    """A type in two parts."""
    return name.replace("/msg/", "/").replace("/srv/", "/")


def define(name: str, fields: Mapping[str, str]) -> str:
    """Make a type of a package of one's own known, as building the package does; its plain name."""
    _TYPES[plain(name)] = dict(fields)
    return plain(name)


def known(name: str) -> str:
    """The type's plain name.

    Raises:
        MessageError: there is none, as of a package that is not installed.
    """
    if plain(name) not in TYPES:
        raise MessageError(f"unable to import the type {name!r}")
    return plain(name)


def to_message(value: object, kind: str, now: Callable[[], dict[str, int]], path: str = "") -> Any:
    """JSON → message: checked, with zeros for what is left out.

    Args:
        value: from a client.
        kind: its type.
        now: the present time as a stamp.
        path: to it, for errors.

    Raises:
        MessageError: a wrong type or an unknown field.
    """
    if kind in _BYTES:
        return _to_bytes(value, path)
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise MessageError(f"{path} must be a list")
        return [to_message(one, kind[:-2], now, f"{path}[]") for one in value]
    if kind in _TIMES:
        return _to_time(value, kind, now, path)
    return _to_object(value, kind, now, path) if kind in TYPES else _to_primitive(value, kind, path)


def zero(kind: str, now: Callable[[], dict[str, int]]) -> Any:
    """What a field holds that nobody has set."""
    if kind in _BYTES:
        return b""
    if kind.endswith("[]"):
        return []
    if kind in _TIMES:
        return dict.fromkeys(now(), 0)
    if kind in TYPES:
        return {name: zero(field, now) for name, field in TYPES[kind].items()}
    return {"bool": False, "string": "", **dict.fromkeys(_FLOATS, 0.0)}.get(kind, 0)


def to_json(value: Any) -> Any:
    """Message → JSON."""
    if isinstance(value, dict):
        return {name: to_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [to_json(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _to_object(value: object, kind: str, now: Callable[[], dict[str, int]], path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise MessageError(f"{path} must be an object")
    for name in value:
        if name not in TYPES[kind]:
            raise MessageError(f"{kind} has no field {path}.{name}")
    message = {}
    for name, field in TYPES[kind].items():
        if name in value:
            message[name] = to_message(value[name], field, now, f"{path}.{name}")
        else:
            message[name] = now() if (kind, name) == (HEADER, "stamp") else zero(field, now)
    return message


def _to_primitive(value: object, kind: str, path: str) -> Any:
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "string" and isinstance(value, str):
        return value
    if kind in _INTEGERS and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in _FLOATS and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise MessageError(f"{path} must be a {kind}, and is {value!r:.40}")


def _to_time(value: object, kind: str, now: Callable[[], dict[str, int]], path: str) -> dict[str, int]:
    """ROS 1 knows its own way of writing, ROS 2 both; either ignores other keys."""
    if kind == "time" and value == "now":
        return now()
    if not isinstance(value, Mapping):
        raise MessageError(f"{path} must be a {kind}")
    found = {}
    for key in now():
        number = next((value[name] for name in _SPELLINGS[key] if name in value), 0)
        if not isinstance(number, int) or isinstance(number, bool):
            raise MessageError(f"{path}.{key} must be a whole number")
        found[key] = number
    return found


_SPELLINGS = {"secs": ("secs",), "nsecs": ("nsecs",), "sec": ("sec", "secs"), "nanosec": ("nanosec", "nsecs")}


def _to_bytes(value: object, path: str) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value)
        if isinstance(value, list):
            return bytes(value)
    except (binascii.Error, ValueError, TypeError):
        pass
    raise MessageError(f"{path} must be base64 or a list of bytes")
