"""The WebSocket to a rosbridge server, on roslibpy's asyncio transport: its event loop, handshake and reconnection.

What is used of roslibpy ends there. Its `Topic.publish` keeps what is said without a connection and delivers all of it
at the next one, its decoder logs and drops what it cannot read, and its subscriptions come back a second late. So here
each message is bound to the connection and the time that it was meant for, and what comes is checked and counted.

Two threads: roslibpy's I/O thread, which only copies what comes into a listener's slots, and the one that owns the
driver.
"""

import itertools
import json
import logging
import struct
import threading
import time
from collections.abc import Callable, Mapping
from socket import SO_LINGER, SOL_SOCKET
from types import MappingProxyType
from typing import Any, Protocol

from rlpd_robot.errors import MissingPackageError, ProtocolError
from rlpd_robot.robot.rosbridge.polling import Link, Poller
from rlpd_robot.robot.rosbridge.settings import Poll
from rlpd_robot.wire.sockets import Complaints

try:
    import roslibpy
    from autobahn.exception import Disconnected
    from roslibpy.comm.comm_asyncio import AsyncioRosBridgeProtocol
except ModuleNotFoundError as error:
    raise MissingPackageError("roslibpy", "robots behind rosbridge", "ros") from error

PING_EVERY_S, SILENCE_S = 0.3, 1.2
"""A link on which nothing comes, not even the answer to a ping, for the second time [s] is cut within their sum.

The library has pings of its own, whose timers are cut down to whole seconds: a good link is lost to them now and then.
"""

FIRST_RETRY_S, LAST_RETRY_S = 0.2, 1.0
"""Between two attempts to connect; the second is what they grow to."""

_HANDSHAKE_S = 3.0
_CLOSE_S = 1.0
_log = logging.getLogger(__name__)
for _library in ("autobahn", "roslibpy"):
    logging.getLogger(_library).setLevel(logging.ERROR)  # what they warn of is counted here, and told by the driver


Answered = Callable[[str, Mapping[str, Any], float], None]


class Listener(Protocol):
    """Whom a connection tells, in the I/O thread: copy and return."""

    def opened(self) -> list[dict[str, Any]]:
        """A connection is open: what to say on it first."""

    def heard(self, topic: str, message: Mapping[str, Any]) -> None:
        """A message on a topic."""

    def ended(self) -> None:
        """The connection has ended."""


class Answer:
    """What a service will have answered."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._result, self._values, self.lost = False, None, False
        self.asked_s = time.monotonic()

    def give(self, result: bool, values: Any, lost: bool = False) -> None:
        """In the I/O thread."""
        self._result, self._values, self.lost = result, values, lost
        self._there.set()

    @property
    def there(self) -> bool:
        """Whether it has come."""
        return self._there.is_set()

    def wait(self, timeout_s: float) -> tuple[bool, Any] | None:
        """(whether the service succeeded, its values or its complaint); None: no answer."""
        if not self._there.wait(max(0.0, timeout_s)) or self.lost:
            return None
        return self._result, self._values


class _Socket(AsyncioRosBridgeProtocol):  # type: ignore[misc]  # untyped
    """One WebSocket; hands everything to its connection."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803 - autobahn's names
        self.factory.connection.take(payload, isBinary)

    def onPong(self, payload: bytes) -> None:  # noqa: N802
        self.factory.connection.alive()


class _Ros(roslibpy.Ros):  # type: ignore[misc]  # untyped
    """roslibpy's connection manager with our options, which must be set before its constructor dials."""

    def __init__(self, connection: "Connection", url: str, max_bytes: int) -> None:
        self._connection, self._max_bytes = connection, max_bytes
        super().__init__(url, transport="asyncio")

    def connect(self) -> None:
        """Called by the constructor."""
        factory = self.factory
        self._connection.loop = factory.manager.loop
        factory.connection, factory.protocol = self._connection, _Socket
        factory.initialDelay, factory.maxDelay = FIRST_RETRY_S, LAST_RETRY_S
        factory.setProtocolOptions(
            openHandshakeTimeout=_HANDSHAKE_S,
            closeHandshakeTimeout=_CLOSE_S,
            maxFramePayloadSize=self._max_bytes,
            maxMessagePayloadSize=self._max_bytes,
            perMessageCompressionOffers=[],
        )
        factory.on("ready", self._connection.ready)
        factory.on("close", self._connection.lost)
        super().connect()


class Connection:
    """Keeps one link up until closed.

    Args:
        url: ws:// or wss://.
        listener: told of what happens.
        max_bytes: largest message accepted; a larger one ends the connection.
        poll: services to ask again and again.
        answered: takes their answers, in the I/O thread: service, values, time of the question [s].

    Attributes:
        epoch: counts the connections made; 0: none yet.
        losses: connections that ended.
        frozen: those of them that were cut because nothing came any more.
        expired, unsent: messages that were dropped: their time was past, their connection had ended.
        status: what the server said last of itself.
        loop: of the I/O thread.
    """

    def __init__(
        self,
        url: str,
        listener: Listener,
        max_bytes: int,
        poll: Mapping[str, Poll] = MappingProxyType({}),
        answered: Answered = lambda service, values, asked_s: None,
    ) -> None:
        self.epoch = self.losses = self.frozen = 0
        self.expired = self.unsent = 0
        self._listener, self._peer = listener, f"rosbridge server at {url}"
        self._rubbish = Complaints(_log)
        self._socket: Any = None
        self._closed = False
        self._changed = threading.Condition()
        self._answers: dict[str, Callable[[bool, Any, bool], None]] = {}
        self._ids = itertools.count(1)
        self._poll, self._answered = dict(poll), answered
        self._heard_s = 0.0
        self.status = ""
        self.loop: Any = None
        self._ros = _Ros(self, url, max_bytes)

    @property
    def up(self) -> bool:
        """Whether it is connected now."""
        return self._socket is not None

    @property
    def rubbish(self) -> int:
        """Messages that were no messages."""
        return self._rubbish.count

    def wait_up(self, deadline_s: float) -> bool:
        """Whether it is connected, now or before the deadline."""
        with self._changed:
            return self._changed.wait_for(lambda: self.up, max(0.0, deadline_s - time.monotonic()))

    def publish(
        self, texts: list[bytes], epoch: int, expires_s: float, written: Callable[[float], None] | None = None
    ) -> bool:
        """Write messages on the connection of this epoch, unless that has ended or the time is past.

        Args:
            texts: as they go over the wire.
            epoch: the connection that they are meant for.
            expires_s: monotonic time after which they are dropped and counted [s].
            written: told in the I/O thread when they have left.

        Returns:
            Whether there is such a connection now.
        """
        socket = self._socket
        if socket is None or epoch != self.epoch:
            self.unsent += 1
            return False

        def write() -> None:
            now = time.monotonic()
            if socket is not self._socket:
                self.unsent += 1
            elif now > expires_s or socket.transport is None or socket.transport.get_write_buffer_size() > 0:
                self.expired += 1  # what waits behind something that does not leave would arrive late
            elif not all(_sent(socket, text) for text in texts):
                self.unsent += 1
            elif written is not None:
                written(now)

        self.loop.call_soon_threadsafe(write)
        return True

    def call(self, service: str, args: Mapping[str, Any]) -> Answer:
        """Ask a service on the present connection; lost with it. Without one, it is lost at once."""
        answer, socket = Answer(), self._socket
        name, text = self._request(service, args)

        def write() -> None:
            if socket is None or socket is not self._socket:
                answer.give(False, None, lost=True)
                return
            self._answers[name] = answer.give
            _sent(socket, text)

        self.loop.call_soon_threadsafe(write)
        return answer

    def close(self) -> None:
        """End it, and dial no more. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._ros.factory.maxRetries = 0
        socket = self._socket
        if socket is not None:
            socket.send_close()
            with self._changed:
                self._changed.wait_for(lambda: not self.up, 2 * _CLOSE_S)

    def ready(self, socket: object) -> None:
        """In the I/O thread: connected."""
        if not isinstance(socket, _Socket):
            return
        if self._closed:
            socket.sendClose()
            return
        for message in self._listener.opened():
            socket.sendMessage(json.dumps(message).encode(), isBinary=False)
        with self._changed:
            self.epoch += 1
            self._socket = socket
            self._changed.notify_all()
        self.alive()
        self._look(socket)
        for service, poll in self._poll.items():
            self._poller(socket, service, poll).turn()

    def lost(self, socket: object) -> None:
        """In the I/O thread: a connection ended, or an attempt at one."""
        if self._socket is None or socket is not self._socket:
            return
        with self._changed:
            self._socket = None
            self.losses += 1
            self._changed.notify_all()
        for give in self._answers.values():
            give(False, None, True)
        self._answers.clear()
        self._listener.ended()

    def alive(self) -> None:
        """In the I/O thread: something came."""
        self._heard_s = time.monotonic()

    def take(self, payload: bytes, binary: bool) -> None:
        """In the I/O thread: a message came."""
        self.alive()
        try:
            self._dispatch(payload, binary)
        except ProtocolError as error:
            self._rubbish.add(error)

    def _look(self, socket: Any) -> None:
        """In the I/O thread, again and again: ping, and cut what has fallen silent."""
        if socket is not self._socket:
            return
        if time.monotonic() - self._heard_s > SILENCE_S:
            self.frozen += 1
            _forget_unsent(socket)
            socket.dropConnection(abort=True)
            return
        socket.sendPing(b"")
        self.loop.call_later(PING_EVERY_S, self._look, socket)

    def _request(self, service: str, args: Mapping[str, Any]) -> tuple[str, bytes]:
        """A new id, and the question that bears it."""
        name = f"call:{next(self._ids)}"
        return name, json.dumps({"op": "call_service", "id": name, "service": service, "args": dict(args)}).encode()

    def _poller(self, socket: Any, service: str, poll: Poll) -> Poller:
        def ask(service: str, args: Mapping[str, Any], answered: Callable[[bool, Any], None]) -> Callable[[], None]:
            name, text = self._request(service, args)
            self._answers[name] = lambda result, values, lost: None if lost else answered(result, values)
            _sent(socket, text)
            return lambda: self._forget(name)

        link = Link(ask, self._answered, self._rubbish.add, self.loop.call_later, lambda: socket is self._socket)
        return Poller(service, poll, self._peer, link)

    def _forget(self, name: str) -> None:
        self._answers.pop(name, None)

    def _dispatch(self, payload: bytes, binary: bool) -> None:
        if binary:
            raise ProtocolError(self._peer, "a binary message", "JSON")
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(self._peer, f"no JSON ({error})", "JSON") from error
        if not isinstance(message, dict):
            raise ProtocolError(self._peer, f"a JSON {type(message).__name__}", "an object with an 'op'")
        op = message.get("op")
        if op == "publish":
            topic, content = message.get("topic"), message.get("msg")
            if not isinstance(topic, str) or not isinstance(content, dict):
                raise ProtocolError(self._peer, "a 'publish' without topic or message", "both")
            self._listener.heard(topic, content)
        elif op == "service_response":
            give = self._answers.pop(str(message.get("id")), None)
            if give is not None:
                give(message.get("result", True) is True, message.get("values"), False)
        elif op == "status":
            self.status = str(message.get("msg"))[:200]
        else:
            raise ProtocolError(self._peer, f"op {str(op)[:40]!r}", "publish, service_response or status")


def _sent(socket: Any, text: bytes) -> bool:
    """Whether this could be written; not on a connection whose end is not known yet."""
    try:
        socket.sendMessage(text, isBinary=False)
    except Disconnected:
        return False
    return True


def _forget_unsent(socket: Any) -> None:
    """What the system still holds of it must not arrive after all, when the network is back (SO_LINGER 0)."""
    handle = socket.transport.get_extra_info("socket") if socket.transport is not None else None
    if handle is not None:
        handle.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
