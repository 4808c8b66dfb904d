"""What a YAML file says of a robot behind rosbridge, checked key by key; docs/rosbridge.md explains each.

Plain mappings come in, as YAML gives them; frozen dataclasses come out, or one sentence that names the key.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import Field

FLOAT_ARRAY, TRAJECTORY = "std_msgs/Float64MultiArray", "trajectory_msgs/JointTrajectory"
JOINT_STATE, TWIST = "sensor_msgs/JointState", "geometry_msgs/TwistStamped"
COMMAND_TYPES = (FLOAT_ARRAY, TRAJECTORY, JOINT_STATE, TWIST)
"""Message types that commands may have."""

PARTS = {TRAJECTORY: ("positions", "velocities"), JOINT_STATE: ("position", "velocity", "effort")}
"""Which array of a message the values of a command go into; the first unless told otherwise."""

TWIST_AXES = ("linear.x", "linear.y", "linear.z", "angular.x", "angular.y", "angular.z")


@dataclass(frozen=True)
class Subscription:
    """One topic that states come from.

    Attributes:
        type: two-part message type, such as "sensor_msgs/JointState"; both ROS versions take it.
        max_age_s: a reading of this topic that arrived longer ago makes no state [s]; 0: any age will do, for what is
            published on change only.
        throttle_ms: least time between two messages that the server sends on [ms]; 0: all of them.
    """

    type: str
    max_age_s: float = 0.1
    throttle_ms: int = 0


@dataclass(frozen=True)
class Poll:
    """One service that states come from, where a robot publishes none: its answers count as messages.

    Attributes:
        type: two-part type of the service.
        every_s: from one question to the next [s]; the next one waits for the answer.
        args: of each request.
        max_age_s: as of a `Subscription`, counted from the question.
        timeout_s: without an answer for so long it is asked again [s].
    """

    type: str
    every_s: float
    args: Mapping[str, Any] = field(default_factory=dict)
    max_age_s: float = 0.1
    timeout_s: float = 1.0


@dataclass(frozen=True)
class Reading:
    """Where a value is in the messages of a topic.

    Attributes:
        topic: one of `subscribe` or `poll`.
        path: dotted way to the value: numbers, a list of them, or something with x, y, z (w); an index is written as a
            number, as in "points.0.positions".
        names: joints to take from a list, in this order, by the message's own list of names.
        names_path: way to that list.
        indices: elements to take from a list that has no names.
        scale: factor from the message's unit to the field's.
        unit, dtype, labels, shape: of the state field (`Field`). Labels are the names unless given, and the shape is
            that of the names, indices or labels: a scalar when there are none.
    """

    topic: str
    path: str
    names: tuple[str, ...] = ()
    names_path: str = "name"
    indices: tuple[int, ...] = ()
    scale: float = 1.0
    unit: str = "-"
    dtype: str = "float64"
    labels: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    def to_field(self, name: str) -> Field:
        """The state field of this name."""
        size = len(self.names or self.indices or self.labels)
        shape = self.shape if self.shape is not None else (size,) if size else ()
        return Field(name, shape, self.dtype, self.unit, labels=self.labels or self.names)


@dataclass(frozen=True)
class Echo:
    """Where the robot says which command it follows: a topic that carries the command's values.

    Attributes:
        topic, type, path, names_path: as in `Subscription` and `Reading`; joints by name where `names_path` is given.
    """

    topic: str
    type: str
    path: str
    names_path: str | None = None


@dataclass(frozen=True)
class Publication:
    """One topic that commands go to.

    Attributes:
        type: one of `COMMAND_TYPES`.
        part: which array of the message; see `PARTS`.
        time_from_start: of the point of a JointTrajectory [control periods].
        stamp: "robot": the present time of the robot's clock, as the stamped states tell it, so that a controller may
            refuse what comes late; "bridge": none, the rosbridge server puts its own; "zero": act at once.
        frame_id: of the header.
        echo: where the robot tells what it follows; none: it does not.
    """

    type: str
    part: str = ""
    time_from_start: float = 2.0
    stamp: str = "zero"
    frame_id: str = ""
    echo: Echo | None = None


@dataclass(frozen=True)
class CommandField:
    """One field of the command.

    Attributes:
        topic: one of `publish`. Fields of one topic travel in one message, in the order written here.
        low, high: range of each element, in `unit`.
        unit: of the field.
        names: joints (or `TWIST_AXES`) of the elements.
        labels: of the elements in the robot's description; the names unless given.
        scale: factor from the field's unit to the message's.
        measured: state field of the same shape that measures it, for `hold` and `home`.
    """

    topic: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    scale: float = 1.0
    measured: str | None = None

    def to_field(self, name: str) -> Field:
        """The command field of this name."""
        return Field(
            name,
            (len(self.low),),
            "float64",
            self.unit,
            self.low,
            self.high,
            self.labels or self.names[: len(self.low)],
        )


@dataclass(frozen=True)
class Condition:
    """What a topic must say.

    Attributes:
        topic, type, path: where it stands.
        value: what must stand there.
        max_age_s: silence after which it counts as broken [s]; 0: a last word is good for ever.
    """

    topic: str
    type: str
    path: str
    value: Any
    max_age_s: float = 0.0


@dataclass(frozen=True)
class Call:
    """A service.

    Attributes:
        service, type: its name, and its type where that is to be checked at the start.
        args: of the request. The text "{seed}" stands for the seed of a reset (-1: none).
        ok: way to a truth value in the answer that must be true; "" for none.
        timeout_s: longest wait for the answer [s].
    """

    service: str
    type: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    ok: str = ""
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Say:
    """One message on a topic.

    Attributes:
        topic, type, message: what is said where.
    """

    topic: str
    type: str
    message: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Switch:
    """Controllers that controller_manager is to have running.

    Attributes:
        start, stop: their names.
        manager: name of the controller manager.
        timeout_s: for each of its services [s].
    """

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    manager: str = "/controller_manager"
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Home:
    """A slow way to where episodes start, by the same commands as acting.

    Attributes:
        target: by command field, its elements [command unit].
        speed: of the fastest element [command unit/s].
        tolerance: of each measured element, at the end [command unit].
    """

    target: Mapping[str, tuple[float, ...]]
    speed: float
    tolerance: float = 0.05


@dataclass(frozen=True)
class Step:
    """One step of a reset or of a stop; exactly one of these.

    Attributes:
        call, say, switch, home: see the classes of these names.
    """

    call: Call | None = None
    say: Say | None = None
    switch: Switch | None = None
    home: Home | None = None


_NESTED: dict[str, type[Any]] = {"echo": Echo, "call": Call, "say": Say, "switch": Switch, "home": Home}
_FREE = ("args", "message", "value")


def parse(cls: type[Any], data: object, key: str) -> Any:
    """One dataclass of this file from a mapping.

    Raises:
        ConfigError: not a mapping, an unknown or missing key, or a value of another type.
    """
    known = {f.name: f for f in fields(cls)}
    if not isinstance(data, Mapping):
        raise ConfigError(key, data, f"a mapping of the keys {', '.join(known)}")
    for name in data:
        if name not in known:
            raise ConfigError(f"{key}.{name}", name, f"one of the keys {', '.join(known)}")
    for name, one in known.items():
        if name not in data and one.default is MISSING and one.default_factory is MISSING:
            raise ConfigError(f"{key}.{name}", None, "given")
    made = cls(**{name: _value(str(known[name].type), value, f"{key}.{name}") for name, value in data.items()})
    _check(made, key)
    return made


def parse_all(cls: type[Any], data: object, key: str) -> dict[str, Any]:
    """A mapping of names to one dataclass of this file each."""
    if not isinstance(data, Mapping):
        raise ConfigError(key, data, "a mapping of names")
    return {str(name): parse(cls, one, f"{key}.{name}") for name, one in data.items()}


def parse_list(cls: type[Any], data: object, key: str) -> tuple[Any, ...]:
    """A list of one dataclass of this file each."""
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise ConfigError(key, data, "a list")
    return tuple(parse(cls, one, f"{key}.{i}") for i, one in enumerate(data))


def plain_type(name: str) -> str:
    """A message or service type in two parts: ROS 2 says `sensor_msgs/msg/JointState`."""
    return name.replace("/msg/", "/").replace("/srv/", "/")


def _value(kind: str, value: object, key: str) -> Any:
    name = key.rpartition(".")[2]
    if name in _FREE:
        return value
    if value is None and "None" in kind:
        return None
    if name in _NESTED:
        return parse(_NESTED[name], value, key)
    if kind.startswith("collections.abc.Mapping"):
        if not isinstance(value, Mapping):
            raise ConfigError(key, value, "a mapping")
        return {str(k): tuple(_number(v, f"{key}.{k}") for v in _list(one, f"{key}.{k}")) for k, one in value.items()}
    if kind.startswith("tuple"):
        item = str if "[str" in kind else int if "[int" in kind else float
        return tuple(_scalar(item, one, f"{key}.{i}") for i, one in enumerate(_list(value, key)))
    return _scalar({"str": str, "int": int, "float": float}[_base(kind)], value, key)


def _base(kind: str) -> str:
    """The name of the scalar type in an annotation: "float", "str | None" or "<class 'float'>"."""
    return next(name for name in ("float", "str", "int") if name in kind)


def _list(value: object, key: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(key, value, "a list")
    return value


def _scalar(kind: type[Any], value: object, key: str) -> Any:
    if kind is float:
        return _number(value, key)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(key, value, "a whole number" if kind is int else "a text")
    return value


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(key, value, "a finite number")
    return float(value)


def _check(made: Any, key: str) -> None:
    """What a single part may get wrong by itself."""
    _check_simple(made, key)
    kind = getattr(made, "type", "a/b")
    if kind and kind.count("/") != 1:
        raise ConfigError(f"{key}.type", kind, f"in two parts, such as {plain_type(kind)!r} or 'std_msgs/Bool'")
    match made:
        case Publication():
            _check_publication(made, key)
        case CommandField():
            sizes = {len(made.low), len(made.high), *([len(made.names)] if made.names else [])}
            if len(sizes) != 1 or not made.low:
                counts = f"{len(made.low)} low, {len(made.high)} high, {len(made.names)} names"
                raise ConfigError(key, counts, "one low, one high and one name for each element")
        case Step():
            steps = [f.name for f in fields(made) if getattr(made, f.name) is not None]
            if len(steps) != 1:
                raise ConfigError(key, steps, "exactly one of call, say, switch, home")


def _check_simple(made: Any, key: str) -> None:
    for name in ("max_age_s", "throttle_ms"):
        if getattr(made, name, 0) < 0:
            raise ConfigError(f"{key}.{name}", getattr(made, name), "at least 0")
    for name in ("timeout_s", "every_s", "speed", "tolerance", "time_from_start"):
        if not getattr(made, name, 1) > 0:
            raise ConfigError(f"{key}.{name}", getattr(made, name), "above 0")
    for name in ("topic", "service", "manager"):
        if not getattr(made, name, "/").startswith("/"):
            raise ConfigError(f"{key}.{name}", getattr(made, name), "a name that begins with /")


def _check_publication(made: Publication, key: str) -> None:
    if made.type not in COMMAND_TYPES:
        raise ConfigError(f"{key}.type", made.type, f"one of {', '.join(COMMAND_TYPES)}")
    parts = PARTS.get(made.type, ("",))
    if made.part and made.part not in parts:
        raise ConfigError(f"{key}.part", made.part, f"one of {', '.join(parts)} for {made.type}")
    if made.stamp not in ("robot", "bridge", "zero"):
        raise ConfigError(f"{key}.stamp", made.stamp, "robot, bridge or zero")
