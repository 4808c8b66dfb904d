"""The topics and services of a small ROS, in one thread: who publishes, listens and serves, and what is known of it.

Everything here belongs to the thread of the server's event loop.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.rosbridge.message_types import MessageError, known, plain, to_json, to_message

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Arguments → values of the answer; raises MessageError to refuse."""

Listener = Callable[[dict[str, Any]], None]


class RosClock:
    """The robot's clock: wall-clock time at the start, and from then on what the monotonic clock adds.

    Args:
        ros: version, for the way stamps are written.
    """

    def __init__(self, ros: int) -> None:
        self._ros, self._origin_s = ros, time.time() - time.monotonic()

    def stamp(self, monotonic_s: float | None = None) -> dict[str, int]:
        """The present time, or that of a moment of the monotonic clock [s]."""
        at_s = self._origin_s + (time.monotonic() if monotonic_s is None else monotonic_s)
        seconds, nanoseconds = divmod(round(at_s * 1e9), 1_000_000_000)
        return {"sec": seconds, "nanosec": nanoseconds} if self._ros == 2 else {"secs": seconds, "nsecs": nanoseconds}

    def age_s(self, stamp: Mapping[str, int]) -> float | None:
        """How long ago a stamp was [s]; None for a zero stamp."""
        seconds, nanoseconds = stamp.values()
        at_s = seconds + 1e-9 * nanoseconds
        return self._origin_s + time.monotonic() - at_s if at_s > 0 else None


@dataclass
class Topic:
    """One topic.

    Attributes:
        type: plain name.
        publishers, listeners: nodes; listeners by an object of their own.
        last: for those who come later, where it is latched.
    """

    type: str
    publishers: list[str] = field(default_factory=list)
    listeners: dict[object, tuple[str, Listener]] = field(default_factory=dict)
    last: dict[str, Any] | None = None


class Graph:
    """All topics and services.

    Args:
        ros: version that it pretends to be.

    Attributes:
        clock: of the robot.
    """

    def __init__(self, ros: int) -> None:
        self.ros, self.clock = ros, RosClock(ros)
        self.topics: dict[str, Topic] = {}
        self.services: dict[str, tuple[str, Handler]] = {}
        self.parameters: dict[str, Any] = {}

    def advertise(self, topic: str, kind: str, node: str) -> None:
        """This node publishes the topic.

        Raises:
            MessageError: no such type, or the topic has another.
        """
        self._topic(topic, kind).publishers.append(node)

    def withdraw(self, topic: str, node: str) -> None:
        """It no longer does."""
        if topic in self.topics and node in self.topics[topic].publishers:
            self.topics[topic].publishers.remove(node)
            self._forget(topic)

    def listen(self, topic: str, kind: str | None, node: str, key: object, listener: Listener) -> None:
        """This node listens; `key` is for `ignore`.

        Raises:
            MessageError: no such type, the topic has another, or it is not there and no type was given.
        """
        found = self._topic(topic, kind)
        found.listeners[key] = node, listener
        if found.last is not None:
            listener(found.last)

    def ignore(self, topic: str, key: object) -> None:
        """It no longer listens."""
        if topic in self.topics and self.topics[topic].listeners.pop(key, None) is not None:
            self._forget(topic)

    def publish(self, topic: str, message: dict[str, Any], latch: bool = False) -> None:
        """Hand a message to all listeners. It must be one of the topic's type."""
        found = self.topics.get(topic)
        if found is None:
            return
        found.last = message if latch else None
        for _, listener in list(found.listeners.values()):
            listener(message)

    def publish_json(self, topic: str, value: object, latch: bool = False) -> None:
        """As `publish`, from JSON.

        Raises:
            MessageError: there is no such topic, or the message is not of its type.
        """
        if topic not in self.topics:
            raise MessageError(f"topic {topic} is not established")
        self.publish(topic, to_message(value, self.topics[topic].type, self.clock.stamp), latch)

    def serve(self, service: str, kind: str, handler: Handler) -> None:
        """Offer a service; one of this name that is there already is replaced."""
        self.services[service] = plain(kind), handler

    async def call(self, service: str, args: object) -> dict[str, Any]:
        """The answer.

        Raises:
            MessageError: there is no such service, or it refuses.
        """
        if service not in self.services:
            raise MessageError(f"Service {service} does not exist")
        if not isinstance(args, Mapping):
            args = {}
        answer: dict[str, Any] = to_json(await self.services[service][1](args))
        return answer

    def full_type(self, kind: str, group: str) -> str:
        """A plain type as this version of ROS writes it; `group` is msg or srv."""
        package, _, name = kind.partition("/")
        return f"{package}/{group}/{name}" if self.ros == 2 else kind

    def _topic(self, topic: str, kind: str | None) -> Topic:
        found = self.topics.get(topic)
        if kind is None:
            if found is None:
                raise MessageError(f"topic {topic} is not established, and no type was given")
            return found
        name = known(kind)
        if found is None:
            found = self.topics[topic] = Topic(name)
        elif found.type != name:
            raise MessageError(f"topic {topic} is of type {found.type}, not {name}")
        return found

    def _forget(self, topic: str) -> None:
        if not self.topics[topic].publishers and not self.topics[topic].listeners:
            del self.topics[topic]
