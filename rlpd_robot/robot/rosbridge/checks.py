"""What a rosbridge server would never complain of, asked at the start through its /rosapi services.

A topic that is not there, another type, a controller that does not listen: to all of them a server answers with
silence.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.rosbridge.connection import Connection
from rlpd_robot.robot.rosbridge.settings import plain_type

ANSWER_S = 3.0
"""Longest wait for one answer of /rosapi [s]."""

_AGAIN_S = 0.2
_BRIDGE = "rosbridge"  # in the name of the server's own node, which listens to our echo
_START = "Start rosapi_node beside the server (its launch file does), or set rosapi: false and do without these checks."

Problem = str | None


class _NotThereError(Exception):
    """/rosapi itself does not answer, or not yet."""


class Checks:
    """Questions about one connection, asked one after the other; those that were answered well are not asked again.

    Args:
        connection: to ask through.
        peer, address: of the server, for errors.
    """

    def __init__(self, connection: Connection, peer: str, address: str) -> None:
        self._connection, self._peer, self._address = connection, peer, address
        self._open: deque[Callable[[float], Problem]] = deque()

    def publishes(self, topic: str, type_: str) -> None:
        """Somebody publishes this topic, of this type. (Our own subscription has made it known, of our type.)"""
        self._open.append(lambda until_s: self._told(topic, until_s))
        self._open.append(lambda until_s: self._type(topic, type_, until_s))

    def subscribes(self, topic: str, type_: str) -> None:
        """Somebody beside the server listens to this topic, of this type."""
        self._open.append(lambda until_s: self._listens(topic, until_s))
        self._open.append(lambda until_s: self._type(topic, type_, until_s))

    def serves(self, service: str, type_: str) -> None:
        """Somebody offers this service, of this type where one is given."""
        self._open.append(lambda until_s: self._service(service, type_, until_s))

    def run(self, deadline_s: float) -> None:
        """Ask until all is well; what is not yet there is asked again.

        Raises:
            PeerRefusedError: something is not as it should be, at the deadline.
            PeerTimeoutError: no answer.
        """
        while self._open:
            try:
                problem = self._open[0](min(deadline_s, time.monotonic() + ANSWER_S))
            except _NotThereError as missing:
                problem = str(missing)
            if problem is None:
                self._open.popleft()
                continue
            left_s = deadline_s - time.monotonic()
            if left_s <= _AGAIN_S or not self._connection.up:
                raise PeerRefusedError(f"The {self._peer}", problem)
            time.sleep(_AGAIN_S)

    def ask(self, service: str, args: dict[str, Any], until_s: float) -> tuple[bool, Any]:
        """(whether it succeeded, its values or its complaint).

        Raises:
            PeerTimeoutError: no answer.
        """
        started_s = time.monotonic()
        answer = self._connection.call(service, args).wait(until_s - started_s)
        if answer is None:
            waited_s = round(time.monotonic() - started_s, 1)
            raise PeerTimeoutError(f"'{service}' of the rosbridge server", self._address, waited_s, _START)
        return answer

    def _rosapi(self, question: str, args: dict[str, Any], key: str, until_s: float) -> Any:
        """One value of an answer; None: the service refused."""
        good, values = self.ask(f"/rosapi/{question}", args, until_s)
        if good and isinstance(values, dict) and key in values:
            return values[key]
        if not good and "does not exist" in str(values):
            raise _NotThereError(f"{str(values)[:120]}. {_START}")
        return None

    def _type(self, topic: str, wanted: str, until_s: float) -> Problem:
        found = self._rosapi("topic_type", {"topic": topic}, "type", until_s)
        if not found:
            return f"there is no topic '{topic}'"
        if plain_type(str(found)) != wanted:
            return f"its topic '{topic}' is of type {plain_type(str(found))}, not {wanted}"
        return None

    def _nodes(self, question: str, topic: str, until_s: float) -> Iterable[str]:
        found = self._rosapi(question, {"topic": topic}, question, until_s)
        return [str(name) for name in found] if isinstance(found, list) else []

    def _told(self, topic: str, until_s: float) -> Problem:
        return None if self._nodes("publishers", topic, until_s) else f"nobody publishes its topic '{topic}'"

    def _listens(self, topic: str, until_s: float) -> Problem:
        others = [name for name in self._nodes("subscribers", topic, until_s) if _BRIDGE not in name]
        return None if others else f"nobody listens to its topic '{topic}': is that controller running?"

    def _service(self, service: str, wanted: str, until_s: float) -> Problem:
        found = self._rosapi("service_type", {"service": service}, "type", until_s)
        if not found:
            return f"there is no service '{service}'"
        if wanted and plain_type(str(found)) != wanted:
            return f"its service '{service}' is of type {plain_type(str(found))}, not {wanted}"
        return None
