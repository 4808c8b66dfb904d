"""Which topics of a recording hold what: the YAML file behind `topics=`, and numbers out of messages.

observation:
  - {topic: /joint_states, field: position, joints: [shoulder, elbow]}   # by name: their order is not yours
  - {topic: /wrench, field: wrench.force}                                # a message: its numbers in order
action:
  - {topic: /position_controller/commands, field: data}
reward: {topic: /reward, field: data}                # optional, as are success and intervened
episode: {topic: /episode, field: data, start: [go], terminated: [solved], truncated: [stop]}   # optional
tick: /joint_states                                  # optional: a step at each of its messages
max_age_s: 0.2                                       # optional
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, ImportSourceError

_COLUMNS = ("reward", "success", "intervened")
_EVENTS = ("start", "terminated", "truncated", "unknown")


@dataclass(frozen=True, eq=False)
class Part:
    """Numbers of one topic. One is equal to itself only, which is quick to find out.

    Attributes:
        topic: its name.
        field: of its messages, with dots downwards.
        joints: where `field` goes along with `name`, as in sensor_msgs/JointState: whose entries, in this order.
    """

    topic: str
    field: str
    joints: tuple[str, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The field, level by level."""
        return tuple(self.field.split("."))


@dataclass(frozen=True)
class TopicMap:
    """The whole file.

    Attributes:
        observation, action: what they are made of, in order.
        columns: where reward, success and intervened come from.
        episode: where starts and ends are told; none: each recording is one episode.
        events: by the text of such a message, "start" or how the episode ended.
        tick: a step at each message of this topic; none: one each control period.
        max_age_s: an observation older than this at a step cuts the episode [s].
    """

    observation: tuple[Part, ...]
    action: tuple[Part, ...]
    columns: Mapping[str, Part] = field(default_factory=dict)
    episode: Part | None = None
    events: Mapping[str, str] = field(default_factory=dict)
    tick: str | None = None
    max_age_s: float = 0.5

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every one of them."""
        episode = () if self.episode is None else (self.episode,)
        return (*self.observation, *self.action, *self.columns.values(), *episode)

    @property
    def topics(self) -> frozenset[str]:
        """Every topic that is read."""
        return frozenset({part.topic for part in self.parts} | ({self.tick} if self.tick else set()))

    @staticmethod
    def from_yaml(data: Mapping[str, Any]) -> "TopicMap":
        """Check and take apart.

        Raises:
            ConfigError: a key is missing, unknown or of the wrong kind.
        """
        known = ("observation", "action", *_COLUMNS, "episode", "tick", "max_age_s")
        for key in data:
            if key not in known:
                raise ConfigError(f"topics: {key}", data[key], f"one of {', '.join(known)}")
        age = data.get("max_age_s", 0.5)
        if isinstance(age, bool) or not isinstance(age, int | float) or not (math.isfinite(age) and age > 0):
            raise ConfigError("topics: max_age_s", age, "a positive time in seconds")
        tick = data.get("tick")
        if tick is not None and not isinstance(tick, str):
            raise ConfigError("topics: tick", tick, "the name of a topic")
        episode = data.get("episode")
        return TopicMap(
            _parts("observation", data.get("observation")),
            _parts("action", data.get("action")),
            {key: _part(key, data[key]) for key in _COLUMNS if data.get(key) is not None},
            None if episode is None else _part("episode", episode, _EVENTS),
            {} if episode is None else _events(episode),
            tick,
            float(age),
        )


def _parts(key: str, data: Any) -> tuple[Part, ...]:
    if not isinstance(data, list) or not data:
        raise ConfigError(f"topics: {key}", data, "a list such as [{topic: /joint_states, field: position}]")
    return tuple(_part(f"{key}[{i}]", entry) for i, entry in enumerate(data))


def _part(key: str, data: Any, more: Sequence[str] = ()) -> Part:
    known = ("topic", "field", "joints", *more)
    texts = isinstance(data, Mapping) and all(isinstance(data.get(k), str) for k in ("topic", "field"))
    if not texts or set(data) - set(known):
        raise ConfigError(f"topics: {key}", data, f"a mapping with topic and field, out of {', '.join(known)}")
    joints = data.get("joints") or ()
    if not isinstance(joints, list | tuple) or not all(isinstance(j, str) for j in joints):
        raise ConfigError(f"topics: {key}.joints", joints, "a list of names")
    return Part(data["topic"], data["field"], tuple(joints))


def _events(data: Mapping[str, Any]) -> dict[str, str]:
    """Text of a message to what it means."""
    events: dict[str, str] = {}
    for meaning in _EVENTS:
        values = data.get(meaning) or ()
        if not isinstance(values, list | tuple):
            raise ConfigError(f"topics: episode.{meaning}", values, "a list of values, such as [true] or [start]")
        events |= {str(value): meaning for value in values}
    if set(events.values()) < {"start"} or "start" not in events.values() or len(set(events.values())) < 2:
        raise ConfigError("topics: episode", dict(data), "values for start, and for at least one way to end")
    return events


def numbers_of(path: Path, message: Any, part: Part) -> NDArray[np.float64]:
    """(n,) what a message holds of `part`.

    Raises:
        ImportSourceError: it has no such field, no such joint, or no numbers there.
    """
    value = _value(path, message, part)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":  # the usual case, a million times
        found = value.reshape(-1).astype(np.float64)
    else:
        found = np.array(_flat(path, value, part), np.float64)
    if not part.joints:
        return found
    names = names_of(path, message, part)
    absent = [joint for joint in part.joints if joint not in names[: len(found)]]
    if absent:
        known = ", ".join(map(str, names[:50])) or "(none)"
        raise ImportSourceError(path, f"topic {part.topic!r} has no joint {absent[0]!r}", f"one of {known}")
    return found[[names.index(joint) for joint in part.joints]]


def names_of(path: Path, message: Any, part: Part) -> list[Any]:
    """Whose the entries of a message are, in their order.

    Raises:
        ImportSourceError: it has no field `name`.
    """
    return list(_value(path, message, Part(part.topic, "name")))


def text_of(path: Path, message: Any, part: Part) -> str:
    """What a message holds, as `TopicMap.events` has it."""
    return str(_value(path, message, part))


def _value(path: Path, message: Any, part: Part) -> Any:
    for name in part.names:
        fields = getattr(message, "__dataclass_fields__", {})
        if name not in fields:
            known = ", ".join(fields) or "none, it is no message"
            raise ImportSourceError(path, f"a message of {part.topic!r} has no field {part.field!r}", f"one of {known}")
        message = getattr(message, name)
    return message


def _flat(path: Path, value: Any, part: Part) -> list[float]:
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return [float(value)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        flat: list[float] = value.reshape(-1).tolist()
        return flat
    fields = getattr(value, "__dataclass_fields__", None)
    if fields:
        return [number for name in fields for number in _flat(path, getattr(value, name), part)]
    raise ImportSourceError(path, f"field {part.field!r} of topic {part.topic!r} holds no numbers", "numbers")
