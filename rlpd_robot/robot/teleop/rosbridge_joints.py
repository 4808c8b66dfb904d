"""Positions on a topic behind rosbridge: a leader arm, a glove or a tracker at a machine with ROS."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, ProtocolError
from rlpd_robot.robot.rosbridge.conditions import Requirement
from rlpd_robot.robot.rosbridge.latest import Heard
from rlpd_robot.robot.rosbridge.messages import Reading
from rlpd_robot.robot.rosbridge.settings import FLOAT_ARRAY, JOINT_STATE, Condition, parse
from rlpd_robot.robot.rosbridge.settings import Reading as ReadingSettings
from rlpd_robot.robot.teleop.absolute import COMMAND, AbsoluteMap, realign_of
from rlpd_robot.robot.teleop.clutch import Clutch
from rlpd_robot.robot.teleop.rosbridge_topics import Topics
from rlpd_robot.robot.teleop.source import Event, TeleopSample, positive_time
from rlpd_robot.spec import RobotSpec
from rlpd_robot.wire.sockets import Complaints

ALWAYS = "always"
WORDS_TYPE = "std_msgs/String"
_PATHS = {JOINT_STATE: "position", FLOAT_ARRAY: "data"}
_log = logging.getLogger(__name__)


class JointsTeleop:
    """The newest positions act, while they are young and the dead-man switch is held.

    Args:
        spec: of the robot.
        topic, type: `sensor_msgs/JointState`, whose joints go by name, or `std_msgs/Float64MultiArray`, by place.
        enabled: what a topic says while the switch is held: a mapping of `topic`, `type`, `path`, `value` and, where
            wanted, `max_age_s` (`stale_s` unless given); or "always": the clutch is engaged while positions come.
        words: a `std_msgs/String` topic on which a person's words come, such as "start"; none: the terminal's keys.
        joints, unit: see `AbsoluteMap`.
        realign: how fast device and robot come to agree after the clutch was taken [action/s]; 0: never.
        stale_s: positions count for so long; then it is as if the switch were let go [s].
        address, insecure, rosapi, connect_s: see `Topics`.

    Raises:
        ConfigError: a map, a topic or an address is wrong.
        PeerTimeoutError, PeerRefusedError: no server, or nobody publishes a topic.
    """

    name = "rosbridge joints"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        address: str,
        topic: str,
        enabled: object,
        type: str = JOINT_STATE,  # noqa: A002 - ROS's own word, and the driver's
        words: str | None = None,
        joints: object = None,
        unit: str = COMMAND,
        realign: float = 0.0,
        stale_s: float = 0.2,
        insecure: bool = False,
        rosapi: bool = True,
        connect_s: float = 10.0,
    ) -> None:
        if type not in _PATHS:
            raise ConfigError("teleop.type", type, f"one of {list(_PATHS)}")
        self._map = AbsoluteMap(spec, joints, unit, named=type == JOINT_STATE)
        self._clutch = Clutch(spec.command_size, realign_of(realign, self._map, spec))
        self._stale_s, self._topic, self._words = positive_time("teleop.stale_s", stale_s), topic, words
        self._reading = Reading("position", _reading(topic, type, self._map.sources), f"rosbridge server at {address}")
        self._switch = _switch(enabled, self._stale_s)
        topics = {topic: type, **({words: WORDS_TYPE} if words else {})}
        if self._switch is not None:
            topics[self._switch.settings.topic] = self._switch.settings.type
        self._position = np.zeros(spec.command_size)
        self._stamp_s, self._heard = time.monotonic(), False
        self._rubbish, self._count = Complaints(_log), 0
        self._topics = Topics(address, topics, {topic: ("name",)}, insecure, rosapi, connect_s)

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`."""
        self._clutch.begin(action)

    def rest(self, action: NDArray[np.float32]) -> None:
        """See `Resting`."""
        self._clutch.begin(action)

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        for heard in self._topics.new(self._topic):
            try:
                self._take(heard)
            except ProtocolError as error:
                self._rubbish.add(error)
        young = self._heard and time.monotonic() - self._stamp_s <= self._stale_s
        enabled = young and (self._switch is None or self._switch.broken(self._topics.latest) is None)
        return TeleopSample(self._clutch.move(self._position, enabled), enabled, self._said(), self._stamp_s)

    def help(self) -> Mapping[str, str]:
        """Where it listens."""
        return {"listening to": self._topic}

    def stats(self) -> Mapping[str, float]:
        """Messages that counted, and the link's."""
        counts = {"teleop_messages": float(self._count), "teleop_rubbish": float(self._rubbish.count)}
        return {**counts, **self._topics.stats()}

    def close(self) -> None:
        """End the connection."""
        self._topics.close()

    def _take(self, heard: Heard) -> None:
        if not self._reading.fits(heard.names):
            return  # of another publisher on the same topic, as JointStates are
        position = self._map.action(self._reading.read(heard.message, heard.names))
        if position is None:
            raise ProtocolError(self._topics.peer, f"topic {self._topic}: no position", "finite numbers in teleop.unit")
        self._position, self._stamp_s, self._heard = position, heard.received_s, True
        self._count += 1

    def _said(self) -> tuple[Event, ...]:
        if not self._words:
            return ()
        events = []
        for heard in self._topics.new(self._words):
            word = heard.message.get("data")
            if word in set(Event):
                events.append(Event(word))
            else:
                expected = f"one of {[str(e) for e in Event]}"
                self._rubbish.add(ProtocolError(self._topics.peer, f"topic {self._words} says {word!r:.80}", expected))
        return tuple(events)


def _reading(topic: str, kind: str, sources: tuple[int | str, ...]) -> ReadingSettings:
    chosen: dict[str, Any] = {"names" if kind == JOINT_STATE else "indices": list(sources)}
    made: ReadingSettings = parse(ReadingSettings, {"topic": topic, "path": _PATHS[kind], **chosen}, "teleop")
    return made


def _switch(enabled: object, stale_s: float) -> Requirement | None:
    if enabled == ALWAYS:
        return None
    if not isinstance(enabled, Mapping):
        expected = f"a mapping of topic, type, path and value, which hold while the switch is held, or '{ALWAYS}'"
        raise ConfigError("teleop.enabled", enabled, expected)
    condition: Condition = parse(Condition, enabled, "teleop.enabled")
    return Requirement(replace(condition, max_age_s=condition.max_age_s or stale_s))
