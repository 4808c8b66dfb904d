"""The rosbridge v2 protocol of one client: JSON operations on the graph, and the real server's silences.

Whatever is wrong, be it no JSON, an unknown operation, a missing key, an unknown topic or a wrong type, is noted here,
and the client hears nothing of it; a service alone answers `result: false`. Operations of one client are carried out
one after the other, services included.
"""

import asyncio
import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sim.rosbridge.graph import Graph
from sim.rosbridge.message_types import MessageError, to_json

NODE = "/rosbridge_websocket"
"""The server's own node, on behalf of all its clients."""

_log = logging.getLogger(__name__)


class Subscription:
    """Messages of one topic on their way to one client.

    Args:
        send: to the client.
        throttle_s: least time between two [s].
        queue_length: messages that wait for it, the oldest dropped first; 0: none does, and what comes too early is
            dropped.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], throttle_s: float, queue_length: int) -> None:
        self._send, self._throttle_s = send, throttle_s
        self._waiting: deque[dict[str, Any]] | None = deque(maxlen=queue_length) if queue_length > 0 else None
        self._loop = asyncio.get_running_loop()
        self._free_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, message: dict[str, Any]) -> None:
        """A message was published."""
        if self._waiting:
            self._waiting.append(message)
        elif self._loop.time() >= self._free_s:
            self._pass(message)
        elif self._waiting is not None:
            self._waiting.append(message)
            self._timer = self._loop.call_at(self._free_s, self._next)

    def close(self) -> None:
        """No more."""
        if self._timer is not None:
            self._timer.cancel()

    def _pass(self, message: dict[str, Any]) -> None:
        self._free_s = self._loop.time() + self._throttle_s
        self._send(message)

    def _next(self) -> None:
        assert self._waiting is not None
        self._pass(self._waiting.popleft())
        self._timer = self._loop.call_at(self._free_s, self._next) if self._waiting else None


class Client:
    """One client of the server.

    Args:
        graph: that it takes part in.
        send: a text to the client, without waiting.

    Attributes:
        complaints: what was wrong with what it said, newest last.
    """

    _ids = itertools.count(1)

    def __init__(self, graph: Graph, send: Callable[[str], None]) -> None:
        self.complaints: deque[str] = deque(maxlen=100)
        self._graph, self._send = graph, send
        self._advertised: dict[str, set[str]] = {}
        self._subscribed: dict[str, dict[str, Subscription]] = {}
        self._services: dict[str, Any] = {}
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def handle(self, text: str | bytes) -> None:
        """One message of the client."""
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise MessageError("no JSON object")
            operation = _OPERATIONS.get(message.get("op"))  # type: ignore[arg-type]
            if operation is None:
                raise MessageError(f"unknown operation {message.get('op')!r:.40}")
            await operation(self, message)
        except (MessageError, ValueError, RecursionError, TypeError) as error:
            self.complaints.append(str(error)[:200])
            _log.debug("a client's message was ignored: %s", error)

    def close(self) -> None:
        """The client is gone; nobody is told."""
        for topic in self._advertised:
            self._graph.withdraw(topic, NODE)
        for topic, subscriptions in self._subscribed.items():
            for key, subscription in subscriptions.items():
                subscription.close()
                self._graph.ignore(topic, (self, key))
        for service, handler in self._services.items():
            if self._graph.services.get(service, ("", None))[1] is handler:
                del self._graph.services[service]
        for future in self._asked.values():
            if not future.done():
                future.set_exception(MessageError("the client that serves it is gone"))

    async def _advertise(self, message: Mapping[str, Any]) -> None:
        topic = _string(message, "topic")
        if topic not in self._advertised:
            self._graph.advertise(topic, _string(message, "type"), NODE)
        self._advertised.setdefault(topic, set()).add(_id(message))

    async def _unadvertise(self, message: Mapping[str, Any]) -> None:
        topic = _string(message, "topic")
        ids = self._advertised.get(topic, set())
        ids -= {_id(message)} if "id" in message else set(ids)
        if not ids and self._advertised.pop(topic, None) is not None:
            self._graph.withdraw(topic, NODE)

    async def _publish(self, message: Mapping[str, Any]) -> None:
        self._graph.publish_json(_string(message, "topic"), message.get("msg", {}), message.get("latch") is True)

    async def _subscribe(self, message: Mapping[str, Any]) -> None:
        topic, key = _string(message, "topic"), _id(message)
        throttle, length = _whole(message, "throttle_rate"), _whole(message, "queue_length")
        kind = _string(message, "type") if message.get("type") is not None else None

        def send(value: dict[str, Any]) -> None:
            self._send(_text({"op": "publish", "topic": topic, "msg": value}))

        subscription = Subscription(send, throttle / 1e3, length)
        self._graph.listen(topic, kind, NODE, (self, key), subscription.put)
        before = self._subscribed.setdefault(topic, {}).pop(key, None)
        if before is not None:
            before.close()
        self._subscribed[topic][key] = subscription

    async def _unsubscribe(self, message: Mapping[str, Any]) -> None:
        topic = _string(message, "topic")
        subscriptions = self._subscribed.get(topic, {})
        for key in [_id(message)] if "id" in message else list(subscriptions):
            subscription = subscriptions.pop(key, None)
            if subscription is not None:
                subscription.close()
                self._graph.ignore(topic, (self, key))

    async def _call_service(self, message: Mapping[str, Any]) -> None:
        service = _string(message, "service")
        answer: dict[str, Any] = {"op": "service_response", "service": service}
        try:
            answer |= {"values": await self._graph.call(service, message.get("args", {})), "result": True}
        except MessageError as error:
            answer |= {"values": str(error), "result": False}
        if "id" in message:
            answer["id"] = message["id"]
        self._send(_text(answer))

    async def _advertise_service(self, message: Mapping[str, Any]) -> None:
        service = _string(message, "service")

        async def ask(args: Mapping[str, Any]) -> dict[str, Any]:
            key = f"service_request:{service}:{next(self._ids)}"
            future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._asked[key] = future
            self._send(_text({"op": "call_service", "id": key, "service": service, "args": args}))
            try:
                return await future
            finally:
                del self._asked[key]

        self._services[service] = ask
        self._graph.serve(service, _string(message, "type"), ask)

    async def _unadvertise_service(self, message: Mapping[str, Any]) -> None:
        service = _string(message, "service")
        if self._services.pop(service, None) is not None:
            del self._graph.services[service]

    async def _service_response(self, message: Mapping[str, Any]) -> None:
        future = self._asked.get(_id(message))
        if future is None or future.done():
            return
        values = message.get("values")
        if message.get("result") is True and isinstance(values, dict):
            future.set_result(values)
        else:
            future.set_exception(MessageError(str(values)[:200]))

    async def _ignore(self, message: Mapping[str, Any]) -> None:
        """What asks for nothing here: `auth` without authentication, `set_level` without status messages."""


_OPERATIONS = {
    "advertise": Client._advertise,
    "unadvertise": Client._unadvertise,
    "publish": Client._publish,
    "subscribe": Client._subscribe,
    "unsubscribe": Client._unsubscribe,
    "call_service": Client._call_service,
    "advertise_service": Client._advertise_service,
    "unadvertise_service": Client._unadvertise_service,
    "service_response": Client._service_response,
    "set_level": Client._ignore,
    "auth": Client._ignore,
}


def _text(message: dict[str, Any]) -> str:
    try:
        return _PLAIN.encode(message)  # most of what a robot says, a hundred times a second
    except (ValueError, TypeError):  # something that JSON has no word for: NaN, bytes
        return _PLAIN.encode(to_json(message))


_PLAIN = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def _string(message: Mapping[str, Any], key: str) -> str:
    value = message.get(key)
    if not isinstance(value, str):
        raise MessageError(f"'{key}' must be a string")
    return value


def _whole(message: Mapping[str, Any], key: str) -> int:
    value = message.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MessageError(f"'{key}' must be a whole number")
    return value


def _id(message: Mapping[str, Any]) -> str:
    return str(message.get("id"))
