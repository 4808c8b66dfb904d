"""Looking around behind a rosbridge server: what it says on its topics, before anybody knows what robot it is."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.findings import Controller, Findings, JointTopic
from rlpd_robot.robot.rosbridge import diagnosis
from rlpd_robot.robot.rosbridge.connection import Connection
from rlpd_robot.robot.rosbridge.messages import names_of
from rlpd_robot.robot.rosbridge.settings import FLOAT_ARRAY, JOINT_STATE, TRAJECTORY, Poll, plain_type

MAX_BYTES = 16_000_000
_TAKES_JOINTS = (TRAJECTORY, FLOAT_ARRAY, JOINT_STATE)  # the likeliest first
_KEPT = 4096  # arrivals of one topic
_START = "Start rosbridge_server on the robot (ros2 launch rosbridge_server rosbridge_websocket_launch.xml)."


class Ear:
    """Implements `connection.Listener`: listens to topics and writes down what came when.

    Args:
        topics: topic → type.
        services: those that the connection polls.
    """

    def __init__(self, topics: Mapping[str, str], services: Sequence[str] = ()) -> None:
        self._topics = dict(topics)
        self._lock = threading.Lock()
        self._last: dict[str, Mapping[str, Any]] = {}
        self._arrivals: dict[str, list[float]] = {topic: [] for topic in (*topics, *services)}

    def opened(self) -> list[dict[str, Any]]:
        """In the I/O thread."""
        return [
            {"op": "subscribe", "id": f"ear:{topic}", "topic": topic, "type": kind, "queue_length": 1}
            for topic, kind in self._topics.items()
        ]

    def heard(self, topic: str, message: Mapping[str, Any]) -> None:
        """In the I/O thread."""
        with self._lock:
            arrivals = self._arrivals.get(topic)
            if arrivals is not None and len(arrivals) < _KEPT:
                arrivals.append(time.monotonic())
                self._last[topic] = message

    def ended(self) -> None:
        """In the I/O thread."""

    def last(self, topic: str) -> Mapping[str, Any] | None:
        """The last message of a topic; None: none came."""
        with self._lock:
            return self._last.get(topic)

    def rate(self, topic: str) -> float:
        """Messages a second; 0 where fewer than two came."""
        with self._lock:
            at = self._arrivals[topic]
            return (len(at) - 1) / (at[-1] - at[0]) if len(at) > 1 and at[-1] > at[0] else 0.0


@contextmanager
def listening(
    url: str, address: str, topics: Mapping[str, str], timeout_s: float, poll: Mapping[str, Poll] = MappingProxyType({})
) -> Iterator[tuple[Connection, Ear]]:
    """A connection of its own, with an ear on these topics and on the answers of these services.

    Raises:
        PeerTimeoutError: nobody takes it.
    """
    ear = Ear(topics, tuple(poll))
    connection = Connection(url, ear, MAX_BYTES, poll, lambda service, values, asked_s: ear.heard(service, values))
    try:
        if not connection.wait_up(time.monotonic() + timeout_s):
            raise PeerTimeoutError("a rosbridge server", address, timeout_s, _START)
        yield connection, ear
    finally:
        connection.close()


def asking(connection: Connection, address: str, timeout_s: float) -> diagnosis.Ask:
    """Questions to services, one after the other."""

    def ask(service: str, args: Mapping[str, Any]) -> tuple[bool, Any]:
        answer = connection.call(service, args).wait(timeout_s)
        if answer is None:
            raise diagnosis.no_answer(service, address, timeout_s)
        return answer

    return ask


def hear(
    url: str,
    address: str,
    topics: Mapping[str, str],
    seconds: float,
    timeout_s: float,
    poll: Mapping[str, Poll] = MappingProxyType({}),
) -> Ear:
    """Listen for so long [s].

    Raises:
        PeerTimeoutError: nobody is there.
    """
    with listening(url, address, topics, timeout_s, poll) as (_, ear):
        time.sleep(seconds)
    return ear


def explore(url: str, address: str, seconds: float, timeout_s: float) -> Findings:
    """Everything that a robot's file needs and that a running robot can tell. Moves nothing.

    Args:
        url: of the server.
        address: of it, for errors.
        seconds: of listening [s].
        timeout_s: longest wait for any one answer [s].

    Raises:
        PeerTimeoutError: nobody answers.
        PeerRefusedError: it has no joints to tell of.
    """
    with listening(url, address, {}, timeout_s) as (connection, _):
        ask = asking(connection, address, timeout_s)
        good, values = ask("/rosapi/topics", {})
        if not good or not isinstance(values, Mapping):
            raise PeerRefusedError(f"The rosbridge server at {address}", str(values)[:200])
        full = dict(zip(values.get("topics", []), map(str, values.get("types", [])), strict=False))
        types = {topic: plain_type(kind) for topic, kind in full.items()}
        commands = _command_topics(ask, types)
        controllers = _controllers(ask)
        parameter = diagnosis.description(ask, None)
    states = {topic: kind for topic, kind in types.items() if kind == JOINT_STATE}
    spoken = {diagnosis.DESCRIPTION: "std_msgs/String"} if diagnosis.DESCRIPTION in types else {}
    ear = hear(url, address, {**states, **spoken}, seconds, timeout_s)
    urdf = (ear.last(diagnosis.DESCRIPTION) or {}).get("data", "") if spoken else ""
    joints = tuple(found for topic in states if (found := _joint_topic(topic, ear)) is not None)
    if not joints:
        heard = ", ".join(states) or "there is no topic of that type"
        raise PeerRefusedError(
            f"The rosbridge server at {address}", f"nothing came on sensor_msgs/JointState ({heard})"
        )
    ros = 2 if any("/msg/" in kind for kind in full.values()) else 1
    return Findings(ros, joints, commands, controllers, str(urdf) or parameter)


def _command_topics(ask: diagnosis.Ask, types: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(topic, type) of what takes commands, the likeliest first: somebody beside the bridge listens."""
    found = []
    for topic, kind in types.items():
        if kind in _TAKES_JOINTS:
            _, values = ask("/rosapi/subscribers", {"topic": topic})
            names = values.get("subscribers", []) if isinstance(values, Mapping) else []
            if any(diagnosis.BRIDGE not in str(name) for name in names):
                found.append((topic, kind))
    words = ("command", "cmd", "trajectory", "target")  # a listener to joint_states is no controller
    likely = [one for one in found if one[1] != JOINT_STATE or any(word in one[0] for word in words)]
    return tuple(sorted(likely, key=lambda one: (_TAKES_JOINTS.index(one[1]), one[0])))


def _controllers(ask: diagnosis.Ask) -> tuple[Controller, ...]:
    """Those of controller_manager, with the joints that they claim, where they say."""
    good, values = ask("/controller_manager/list_controllers", {})
    listed = values.get("controller", []) if good and isinstance(values, Mapping) else []
    found = []
    for one in listed:
        if isinstance(one, Mapping):
            wanted = one.get("required_command_interfaces") or one.get("claimed_interfaces") or []
            claimed = [str(name) for name in wanted]
            for group in one.get("claimed_resources", []):  # ROS 1
                claimed += [str(name) for name in group.get("resources", [])]
            joints = dict.fromkeys(name.rpartition("/")[0] or name for name in claimed)
            running = one.get("state") in ("running", "active")
            found.append(Controller(str(one.get("name")), running, tuple(joints)))
    return tuple(found)


def _joint_topic(topic: str, ear: Ear) -> JointTopic | None:
    message = ear.last(topic)
    names = names_of(message, "name") if message is not None else ()
    if message is None or not names:
        return None
    numbers = {key: message.get(key) for key in ("position", "velocity", "effort")}
    there = {key: isinstance(values, list) and len(values) == len(names) for key, values in numbers.items()}
    values = message["position"] if there["position"] else [None] * len(names)
    position = {name: float(v) for name, v in zip(names, values, strict=True) if isinstance(v, int | float)}
    return JointTopic(topic, names, position, there["velocity"], there["effort"], ear.rate(topic))
