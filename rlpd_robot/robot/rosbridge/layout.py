"""A robot's whole description, from YAML to what the driver works with: fields, topics, encoders, steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.rosbridge.checks import Checks
from rlpd_robot.robot.rosbridge.conditions import EStop, Requirement
from rlpd_robot.robot.rosbridge.executed import EchoReader
from rlpd_robot.robot.rosbridge.messages import CommandMessage, Reading
from rlpd_robot.robot.rosbridge.settings import (
    FLOAT_ARRAY,
    TWIST,
    TWIST_AXES,
    CommandField,
    Condition,
    Poll,
    Publication,
    Step,
    Subscription,
    parse,
    parse_all,
    parse_list,
)
from rlpd_robot.robot.rosbridge.settings import Reading as ReadingSettings
from rlpd_robot.robot.rosbridge.steps import HomePath
from rlpd_robot.spec import RobotSpec
from rlpd_robot.wire.settings import is_local

_KEYS = ("name", "period_s", "subscribe", "state", "publish", "command")
_OPTIONS = ("poll", "require", "e_stop", "reset", "stop", "hold", "ros", "paced_by", "time_to_live_s", "transit_s")
_E_STOP_QUEUE = 10  # messages: a short press must not be overwritten


class Layout:
    """A robot behind rosbridge, as its settings describe it.

    Args:
        name: of the robot, for people.
        period_s: control period [s].
        subscribe: topic → `Subscription`.
        state: field → `Reading`.
        publish: topic → `Publication`.
        command: field → `CommandField`.
        poll: service → `Poll`.
        require: list of `Condition` that must hold while the robot may move.
        e_stop: `Condition` that tells that the emergency stop is pressed.
        reset: list of `Step`, in order.
        stop: list of `Step`, of `call` and `say` only; nothing waits for them.
        hold: whether a stop also commands rates of zero and, where `measured` tells them, the positions of that moment.
        ros: 1, 2, or "auto": as the robot's stamps are written.
        paced_by: topic of which each message makes a state; the first of `subscribe`, then `poll`, unless given.
        time_to_live_s: age of the newest state, and time on the way to the socket, beyond which a command is dropped
            [s]; `FRESH_PERIODS` unless given.
        transit_s: to the robot and back [s]; see `Executed`.

    Raises:
        ConfigError: an unknown or missing key, a value of another type, or two that contradict each other.
        SpecError: a field of state or command contradicts itself.
    """

    def __init__(
        self,
        name: str,
        period_s: float,
        subscribe: Mapping[str, Any],
        state: Mapping[str, Any],
        publish: Mapping[str, Any],
        command: Mapping[str, Any],
        poll: Mapping[str, Any] = MappingProxyType({}),
        require: Sequence[Any] = (),
        e_stop: Mapping[str, Any] | None = None,
        reset: Sequence[Any] = (),
        stop: Sequence[Any] = (),
        hold: bool = True,
        ros: int | str = "auto",
        paced_by: str | None = None,
        time_to_live_s: float | None = None,
        transit_s: float = 0.002,
    ) -> None:
        self.hold, self.transit_s = hold, transit_s
        self._subscribe: dict[str, Subscription] = parse_all(Subscription, subscribe, "subscribe")
        self.poll: dict[str, Poll] = parse_all(Poll, poll, "poll")
        readings: dict[str, ReadingSettings] = parse_all(ReadingSettings, state, "state")
        self._publish: dict[str, Publication] = parse_all(Publication, publish, "publish")
        self._command: dict[str, CommandField] = parse_all(CommandField, command, "command")
        self.require = [Requirement(one) for one in parse_list(Condition, require, "require")]
        self.e_stop = None if e_stop is None else EStop(parse(Condition, e_stop, "e_stop"))
        self.reset: tuple[Step, ...] = parse_list(Step, reset, "reset")
        self.stop: tuple[Step, ...] = parse_list(Step, stop, "stop")
        for i, step in enumerate(self.stop):
            if step.switch is not None or step.home is not None:
                raise ConfigError(f"stop.{i}", "switch or home", "call or say: a stop waits for nothing")
        if ros not in (1, 2, "auto"):
            raise ConfigError("ros", ros, "1, 2 or auto")
        self.ros = ros if isinstance(ros, int) else None
        told: dict[str, Subscription | Poll] = {**self._subscribe, **self.poll}
        for key, topics, known in (("state", readings, told), ("command", self._command, self._publish)):
            for field, one in topics.items():
                if one.topic not in known:
                    group = "'subscribe' and 'poll'" if key == "state" else "'publish'"
                    raise ConfigError(f"{key}.{field}.topic", one.topic, f"one of those of {group}: {list(known)}")
        self.readings = [Reading(field, one, f"robot '{name}'") for field, one in readings.items()]
        self.spec = RobotSpec(
            name=name,
            period_s=period_s,
            state=tuple(one.field for one in self.readings),
            command=tuple(one.to_field(field) for field, one in self._command.items()),
        )
        self.ttl_s = FRESH_PERIODS * period_s if time_to_live_s is None else time_to_live_s
        if not 0 < self.ttl_s < math.inf:
            raise ConfigError("time_to_live_s", time_to_live_s, "a positive time in seconds")
        self.ages = {topic: one.max_age_s for topic, one in told.items()}
        self.paced_by = self._pacing(paced_by)
        self.fits = {topic: self._fitting(topic) for topic in told}
        self.paced_topics = [topic for topic, age_s in self.ages.items() if age_s > 0]
        self._slices = self._command_slices()
        self._messages = [self._message(topic, places) for topic, places in self._by_topic().items()]
        self._check_measured()
        low, high = self.spec.command_low, self.spec.command_high
        self.homes = {
            i: HomePath(step.home, self._command, low, high, f"reset.{i}.home")
            for i, step in enumerate(self.reset)
            if step.home is not None
        }

    @staticmethod
    def parse(data: Mapping[str, Any]) -> "Layout":
        """From plain values.

        Raises:
            ConfigError: as the class; a key too many or too few.
        """
        for key in data:
            if key not in (*_KEYS, *_OPTIONS):
                raise ConfigError(f"robot.driver.{key}", key, f"one of the keys {', '.join((*_KEYS, *_OPTIONS))}")
        for key in _KEYS:
            if key not in data:
                raise ConfigError(f"robot.driver.{key}", None, "given")
        return Layout(**data)

    def opening(self) -> list[dict[str, Any]]:
        """What to say first on a new connection. Queues of one: what is old must not wait in them."""
        advertise = [
            {
                "op": "advertise",
                "id": f"advertise:{topic}",
                "topic": topic,
                "type": kind,
                "latch": False,
                "queue_size": 1,
            }
            for topic, kind in self.told().items()
        ]
        switch = self.e_stop.settings.topic if self.e_stop is not None else None
        subscribe = [
            {
                "op": "subscribe",
                "id": f"subscribe:{topic}",
                "topic": topic,
                "type": kind,
                "compression": "none",
                "throttle_rate": self._subscribe[topic].throttle_ms if topic in self._subscribe else 0,
                "queue_length": _E_STOP_QUEUE if topic == switch else 1,
            }
            for topic, kind in self.heard().items()
        ]
        return [*advertise, *subscribe]

    def names_paths(self) -> dict[str, set[str]]:
        """Topic → ways to joint names, for every topic that is listened to and every service that is polled."""
        paths: dict[str, set[str]] = {topic: set() for topic in (*self.heard(), *self.poll)}
        for one in self.readings:
            paths[one.topic].add(one.names_path)
        return paths

    def kept_topics(self) -> set[str]:
        """Those of which more than the newest message counts."""
        kept = {one.echo.topic for one in self._publish.values() if one.echo is not None}
        return kept | ({self.e_stop.settings.topic} if self.e_stop is not None else set())

    def echoes(self) -> dict[tuple[int, int], EchoReader]:
        """By the slice of the command: where the robot tells what it follows."""
        found = {}
        for message, (start, stop) in zip(self._messages, self._slices.values(), strict=True):
            echo = message.settings.echo
            if echo is not None:
                found[start, stop] = EchoReader(echo, message.names, message.scale)
        return found

    def add_checks(self, checks: Checks) -> None:
        """Everything that a server would be silent about."""
        heard = {**self.heard()}
        for topic, kind in heard.items():
            if topic not in self._publish:  # an echo of the bridge's own
                checks.publishes(topic, kind)
        for topic, one in self._publish.items():
            checks.subscribes(topic, one.type)
        for service, poll in self.poll.items():
            checks.serves(service, poll.type)
        for step in (*self.reset, *self.stop):
            if step.call is not None:
                checks.serves(step.call.service, step.call.type)
            elif step.say is not None:
                checks.subscribes(step.say.topic, step.say.type)
            elif step.switch is not None:
                checks.serves(f"{step.switch.manager}/list_controllers", "")
                checks.serves(f"{step.switch.manager}/switch_controller", "")

    def encode(self, values: NDArray[np.float64], number: int, ros: int, robot_s: float | None) -> list[bytes]:
        """One command (C,) as messages; those with an element that is no number are left out."""
        texts = []
        for message, (start, stop) in zip(self._messages, self._slices.values(), strict=True):
            part = values[start:stop]
            if np.isfinite(part).all():
                texts.append(message.encode(part, number, ros, robot_s))
        return texts

    def measured(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """(C,) where the robot stands; NaN where no state field tells."""
        parts = [
            state[one.measured].ravel() if one.measured is not None else np.full(len(one.low), np.nan)
            for one in self._command.values()
        ]
        return np.concatenate(parts)

    def holding(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """(C,) what makes the robot stay: zero rates, measured positions, NaN where neither is known."""
        rate = np.concatenate([np.full(len(one.low), one.unit.endswith("/s")) for one in self._command.values()])
        return np.where(rate, 0.0, self.measured(state))

    @property
    def commands(self) -> Mapping[str, CommandField]:
        """Field → its settings, in order."""
        return self._command

    def told(self) -> dict[str, str]:
        """Topic → type of all that is published, words of reset and stop included."""
        said = {step.say.topic: step.say.type for step in (*self.reset, *self.stop) if step.say is not None}
        return {**{topic: one.type for topic, one in self._publish.items()}, **said}

    def services(self) -> dict[str, str]:
        """Service → type, "" where any will do, of all that is polled and that reset and stop call."""
        found = {service: poll.type for service, poll in self.poll.items()}
        for step in (*self.reset, *self.stop):
            if step.call is not None:
                found[step.call.service] = step.call.type
            elif step.switch is not None:
                found |= {
                    f"{step.switch.manager}/{name}_controller{s}": "" for name, s in (("list", "s"), ("switch", ""))
                }
        return found

    def heard(self) -> dict[str, str]:
        """Topic → type of all that is listened to."""
        echoes = {one.echo.topic: one.echo.type for one in self._publish.values() if one.echo is not None}
        signs = [one.settings for one in self.require]
        signs += [self.e_stop.settings] if self.e_stop is not None else []
        types = {topic: one.type for topic, one in self._subscribe.items()}
        for topic, kind in (*echoes.items(), *((one.topic, one.type) for one in signs)):
            if types.setdefault(topic, kind) != kind:
                raise ConfigError("robot.driver", f"{topic} as {kind}", f"the same type as elsewhere: {types[topic]}")
        return types

    def _pacing(self, topic: str | None) -> str:
        topic = topic if topic is not None else next(iter(self.ages), "")
        if topic not in {one.topic for one in self.readings}:
            raise ConfigError("paced_by", topic, f"a topic that a state field is read from: {list(self.ages)}")
        return topic

    def _fitting(self, topic: str) -> Callable[[tuple[str, ...]], bool]:
        """Whether a message with these joint names holds the first field that is read from a topic."""
        return next((one.fits for one in self.readings if one.topic == topic), lambda names: True)

    def _by_topic(self) -> dict[str, list[CommandField]]:
        grouped: dict[str, list[CommandField]] = {topic: [] for topic in self._publish}
        for one in self._command.values():
            grouped[one.topic].append(one)
        unused = [topic for topic, group in grouped.items() if not group]
        if unused:
            raise ConfigError("publish", unused, "topics that a command field goes to")
        return grouped

    def _command_slices(self) -> dict[str, tuple[int, int]]:
        """Topic → its part of the command; its fields must stand one after the other."""
        slices: dict[str, tuple[int, int]] = {}
        at, last = 0, ""
        for name, one in self._command.items():
            if one.topic in slices and last != one.topic:
                raise ConfigError(f"command.{name}", one.topic, "next to the other fields of its topic")
            start = slices.get(one.topic, (at, at))[0]
            at, last = at + len(one.low), one.topic
            slices[one.topic] = (start, at)
        return {topic: slices[topic] for topic in self._publish if topic in slices}

    def _message(self, topic: str, group: Sequence[CommandField]) -> CommandMessage:
        settings = self._publish[topic]
        names = [name for one in group for name in one.names]
        size = sum(len(one.low) for one in group)
        if settings.type != FLOAT_ARRAY and len(names) != size:
            raise ConfigError(f"command: topic {topic}", f"{len(names)} names", f"one name for each of {size} elements")
        if settings.type == TWIST and not set(names) <= set(TWIST_AXES):
            raise ConfigError(f"command: topic {topic}", names, f"names among {', '.join(TWIST_AXES)}")
        if len(set(names)) != len(names):
            raise ConfigError(f"command: topic {topic}", names, "each name once")
        scale = np.concatenate([np.full(len(one.low), one.scale) for one in group])
        return CommandMessage(topic, settings, names, scale, self.spec.period_s)

    def _check_measured(self) -> None:
        for name, one in self._command.items():
            if one.measured is None:
                continue
            state = self.spec.state_field(one.measured)
            if (state.size, state.unit) != (len(one.low), one.unit):
                there = f"{state.name} ({state.size} elements in {state.unit})"
                raise ConfigError(f"command.{name}.measured", there, f"one of {len(one.low)} elements in {one.unit}")


def websocket_url(key: str, address: str, insecure: bool) -> str:
    """The address as a WebSocket has it.

    Args:
        key: the setting that it came from.
        address: ws://, wss:// or tcp://, which means ws://.
        insecure: allow ws:// beyond this machine.

    Raises:
        ConfigError: it is none, or others could read and write on the way to it.
    """
    scheme, _, host = str(address).partition("://")
    port = host.rstrip("/").rpartition(":")[2]
    if scheme not in ("ws", "wss", "tcp") or not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ConfigError(key, address, "an address such as ws://127.0.0.1:9090")
    if scheme != "wss" and not insecure and not is_local(f"tcp://{host.partition('/')[0]}"):
        allowed = "of this machine or wss://, unless link.insecure=true: nothing on this link is encrypted"
        raise ConfigError(key, address, allowed)
    return address if scheme != "tcp" else f"ws://{host}"
