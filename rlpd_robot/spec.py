"""What a robot measures and accepts (`RobotSpec`), what a task makes of it (`ProblemSpec`), and their fingerprints.

The fingerprint covers what changes the *meaning* of recorded data: fields, shapes, units, ranges, control period, task,
observation and action size. A name for people (`RobotSpec.name`) is left out, so that renaming a robot does not
orphan its demonstrations, nor does reaching it through another protocol.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import SpecError

MAX_ELEMENTS = 1 << 20  # of one field: a size is checked before memory is taken


@dataclass(frozen=True)
class Field:
    """One named array of a state or a command.

    Attributes:
        name: lower_snake_case.
        shape: of one reading; () is a scalar.
        dtype: NumPy name, "float64", "float32", "int64", "bool", "uint8".
        unit: "rad", "m", "rad/s", "N", "-" …
        low, high: element-wise range, flat, or empty for unbounded. Commands must be bounded.
        labels: one name an element (joint names, axes), or empty.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    unit: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, kind in (("shape", int), ("low", float), ("high", float), ("labels", str)):
            object.__setattr__(self, name, tuple(kind(v) for v in getattr(self, name)))  # lists and ints hash apart
        where = f"Field '{self.name}'"
        if not self.name.isidentifier():
            raise SpecError(where, "its name is not an identifier", "letters, digits and underscores")
        if self.dtype not in ("float64", "float32", "int64", "bool", "uint8"):
            raise SpecError(where, f"dtype {self.dtype!r}", "float64, float32, int64, bool or uint8")
        if any(s < 1 for s in self.shape) or self.size > MAX_ELEMENTS:
            raise SpecError(where, f"shape {self.shape}", f"positive sizes, at most {MAX_ELEMENTS} elements")
        for name in ("low", "high", "labels"):
            if len(getattr(self, name)) not in (0, self.size):
                raise SpecError(where, f"{name} has {len(getattr(self, name))} entries", f"{self.size}, or none")
        if not all(math.isfinite(v) for v in (*self.low, *self.high)):
            raise SpecError(where, "a bound is not finite", "finite bounds, or none at all")
        if bool(self.low) != bool(self.high) or any(a >= b for a, b in zip(self.low, self.high, strict=True)):
            raise SpecError(where, "low is not below high", "low < high for every element")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Field":
        """Rebuild from `asdict`, whose tuples JSON and msgpack turn into lists."""
        return Field(
            name=str(data["name"]),
            shape=tuple(data["shape"]),
            dtype=str(data["dtype"]),
            unit=str(data["unit"]),
            low=tuple(data["low"]),
            high=tuple(data["high"]),
            labels=tuple(data["labels"]),
        )


@dataclass(frozen=True)
class RobotSpec:
    """What a robot measures (`state`) and accepts (`command`), every `period_s` seconds."""

    name: str
    period_s: float
    state: tuple[Field, ...]
    command: tuple[Field, ...]

    def __post_init__(self) -> None:
        where = f"Robot '{self.name}'"
        if not (math.isfinite(self.period_s) and self.period_s > 0):
            raise SpecError(where, f"period_s is {self.period_s!r}", "a positive time in seconds")
        if not self.state or not self.command:
            raise SpecError(where, "it has no state or no command field", "at least one of each")
        for fields in (self.state, self.command):
            names = [f.name for f in fields]
            if len(set(names)) != len(names):
                raise SpecError(where, f"field names repeat in {names}", "unique names")
        for field in self.command:
            if not field.low:
                raise SpecError(where, f"command field '{field.name}' has no range", "low and high for every command")

    @property
    def command_size(self) -> int:
        """C: elements of one command."""
        return sum(f.size for f in self.command)

    @cached_property
    def command_low(self) -> NDArray[np.float64]:
        """(C,) lower end of each command element, in its field's unit."""
        return np.array([v for f in self.command for v in f.low], np.float64)

    @cached_property
    def command_high(self) -> NDArray[np.float64]:
        """(C,) upper end of each command element, in its field's unit."""
        return np.array([v for f in self.command for v in f.high], np.float64)

    def state_field(self, name: str) -> Field:
        """The state field of that name.

        Raises:
            SpecError: there is none; the sentence lists those there are.
        """
        for field in self.state:
            if field.name == name:
                return field
        raise SpecError(f"Robot '{self.name}'", f"it measures no '{name}'", f"one of {[f.name for f in self.state]}")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON or msgpack."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "RobotSpec":
        """Inverse of `to_json`.

        Raises:
            SpecError: a key is missing, of the wrong type, or contradicts another.
        """
        try:
            return RobotSpec(
                name=str(data["name"]),
                period_s=float(data["period_s"]),
                state=tuple(Field.from_json(f) for f in data["state"]),
                command=tuple(Field.from_json(f) for f in data["command"]),
            )
        except (KeyError, TypeError) as error:
            raise SpecError("Robot description", f"{type(error).__name__}: {error}", "the output of to_json") from error


@dataclass(frozen=True)
class ProblemSpec:
    """A robot together with a task on it: all that a learner or a store needs to know of either.

    Attributes:
        robot: the robot.
        task: the task's name.
        observation_size: O.
        action_size: A.
        horizon: longest episode [control periods].
    """

    robot: RobotSpec
    task: str
    observation_size: int
    action_size: int
    horizon: int

    def __post_init__(self) -> None:
        for key in ("observation_size", "action_size", "horizon"):
            if getattr(self, key) < 1:
                raise SpecError(f"Task '{self.task}'", f"{key} is {getattr(self, key)}", "at least 1")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON or msgpack."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "ProblemSpec":
        """Inverse of `to_json`.

        Raises:
            SpecError: a key is missing or of the wrong type.
        """
        try:
            return ProblemSpec(
                robot=RobotSpec.from_json(data["robot"]),
                task=str(data["task"]),
                observation_size=int(data["observation_size"]),
                action_size=int(data["action_size"]),
                horizon=int(data["horizon"]),
            )
        except (KeyError, TypeError) as error:
            raise SpecError(
                "Problem description", f"{type(error).__name__}: {error}", "the output of to_json"
            ) from error

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of everything that gives recorded data its meaning (not the robot's name)."""
        data = self.to_json()
        del data["robot"]["name"]
        return fingerprint(data)

    def differences(self, other: "ProblemSpec") -> list[str]:
        """Each differing entry as "path: ours, theirs"; empty when the fingerprints agree."""
        ours, theirs = _flatten(self.to_json()), _flatten(other.to_json())
        return [
            f"{key}: {ours.get(key, 'absent')} here, {theirs.get(key, 'absent')} there"
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key) and key != "robot.name"
        ]


def fingerprint(data: Mapping[str, Any]) -> str:
    """SHA-256 (first 16 hex digits) of canonical JSON."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _flatten(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = [(f"{path}.{k}" if path else str(k), v) for k, v in value.items()]
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        pairs = [(f"{path}.{v.get('name', i)}", v) for i, v in enumerate(value)]
    else:
        return {path: json.dumps(value)}
    return {key: text for sub, v in pairs for key, text in _flatten(v, sub).items()}
