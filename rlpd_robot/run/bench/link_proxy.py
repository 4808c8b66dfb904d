"""A link that can be spoilt on command: stands between two processes and passes their messages on, or does not.

Neither side knows of it: a controller or an actor (DEALER) connects here instead of to its server (ROUTER), a
subscriber (SUB) instead of to its publisher (XPUB).
"""

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal

import zmq

from rlpd_robot.run.bench.lane import Lane, LinkFault
from rlpd_robot.wire.sockets import ANY_PORT, Waker

LinkKind = Literal["requests", "broadcast"]

_Socket = zmq.Socket[bytes]
_LOOK_S = 0.5
_CLOSE_S = 5.0
_TURN = 256  # messages
_REBIND_S = 5.0
_FORGET_S = 30.0  # a client that says nothing for so long is gone
_QUEUE = 1000


class LinkProxy:
    """Passes messages on in a thread of its own.

    Args:
        kind: "requests": DEALER clients of a ROUTER. "broadcast": SUB clients of an XPUB.
        server: address of the server; it need not be there yet.
        seed: of what the faults do to which message.
        listen: where clients connect; a free loopback port by default.

    Attributes:
        address: where clients connect.
    """

    def __init__(self, kind: LinkKind, server: str, seed: int, listen: str = ANY_PORT) -> None:
        rng = random.Random(seed)
        self._up: Lane[tuple[bytes, bytes]] = Lane(rng)  # towards the server: (client, message)
        self._down: Lane[tuple[bytes, bytes]] = Lane(rng)
        self._context: zmq.Context[_Socket] = zmq.Context()
        make = _Requests if kind == "requests" else _Broadcast
        self._ends = make(self._context, server)
        self.address = self._ends.open(listen)
        self._is_open = True
        self._asked: deque[LinkFault] = deque()
        self._until_s = 0.0
        self._waker = Waker()
        self._error: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"proxy of {server}", daemon=True)
        self._thread.start()

    def inflict(self, fault: LinkFault) -> None:
        """Spoil the link from now on for `fault.seconds`; a fault that is under way ends.

        Raises:
            Exception: whatever ended the thread.
        """
        if self._error is not None:
            raise self._error
        self._asked.append(fault)
        self._waker.wake()

    def stats(self) -> Mapping[str, int]:
        """Messages passed on, dropped, delayed, duplicated, reordered; both directions together."""
        return {name: self._up.counts[name] + self._down.counts[name] for name in self._up.counts}

    def close(self) -> None:
        """End the thread and release the address. A second call does nothing."""
        if not self._closing:
            self._closing = True
            self._waker.wake()
            self._thread.join(_CLOSE_S)
            self._waker.close()

    def _run(self) -> None:
        try:
            while not self._closing:
                sockets = self._ends.sockets() if self._is_open else []
                zmq.zmq_poll([(self._waker.fd, zmq.POLLIN), *((s, zmq.POLLIN) for s in sockets)], self._wait_ms())
                self._waker.clear()
                self._begin_or_end_fault(time.monotonic())
                if self._is_open:
                    self._pass_on()
        except BaseException as error:
            self._error = error  # raised by the next `inflict`
        finally:
            self._context.destroy(linger=0)

    def _wait_ms(self) -> int:
        dues = [self._up.due_s(), self._down.due_s(), self._until_s if self._up.fault is not None else None]
        left_s = min((due - time.monotonic() for due in dues if due is not None), default=_LOOK_S)
        return max(0, int(1e3 * min(left_s, _LOOK_S) + 0.999))

    def _begin_or_end_fault(self, now_s: float) -> None:
        fault = self._up.fault
        if fault is not None and (self._asked or now_s >= self._until_s):
            self._up.fault = self._down.fault = None
            if not self._is_open:
                self._ends.open(self.address)
                self._is_open = True
        if self._asked:
            fault = self._asked.popleft()
            self._up.fault = self._down.fault = fault
            self._until_s = now_s + fault.seconds
            if fault.kind in ("cut", "reopen"):
                self._up.drop_all()
                self._down.drop_all()
            if fault.kind == "reopen":
                self._ends.close()
                self._is_open = False

    def _pass_on(self) -> None:
        now_s = time.monotonic()
        for item in self._ends.from_clients():
            self._up.put(now_s, item)
        for item in self._ends.from_server():
            self._down.put(now_s, item)
        for client, data in self._up.take(now_s):
            self._ends.to_server(client, data)
        for client, data in self._down.take(now_s):
            self._ends.to_client(client, data)


class _Requests:
    """A ROUTER for the clients, and for each client a DEALER of the same identity towards the server."""

    def __init__(self, context: "zmq.Context[_Socket]", server: str) -> None:
        self._context, self._server = context, server

    def open(self, address: str) -> str:
        self._front = self._context.socket(zmq.ROUTER)
        self._front.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._backs: dict[bytes, _Socket] = {}
        self._heard_s: dict[bytes, float] = {}
        return _bind(self._front, address)

    def close(self) -> None:
        for sock in self.sockets():
            sock.close(linger=0)

    def sockets(self) -> list[_Socket]:
        return [self._front, *self._backs.values()]

    def from_clients(self) -> Iterable[tuple[bytes, bytes]]:
        for frames in _received(self._front):
            if len(frames) == 2:  # all that our links ever send
                self._heard_s[frames[0]] = time.monotonic()
                yield frames[0], frames[1]

    def from_server(self) -> Iterable[tuple[bytes, bytes]]:
        for client, back in list(self._backs.items()):
            if time.monotonic() - self._heard_s[client] > _FORGET_S:
                self._backs.pop(client).close(linger=0)
                continue
            for frames in _received(back):
                yield client, frames[-1]

    def to_server(self, client: bytes, data: bytes) -> None:
        if client not in self._backs:
            back = self._backs[client] = self._context.socket(zmq.DEALER)
            own = b"p" + client[1:] if client.startswith(b"\0") else client  # ids that ROUTER made may not be set
            for option, value in ((zmq.ROUTING_ID, own), (zmq.LINGER, 0), (zmq.RECONNECT_IVL, 20)):
                back.setsockopt(option, value)
            back.setsockopt(zmq.IMMEDIATE, 1)  # what a dead server cannot take is lost, not delivered to the next one
            back.connect(self._server)
        with contextlib.suppress(zmq.Again):
            self._backs[client].send(data, zmq.NOBLOCK)

    def to_client(self, client: bytes, data: bytes) -> None:
        with contextlib.suppress(zmq.Again):
            self._front.send_multipart((client, data), zmq.NOBLOCK)


class _Broadcast:
    """An XPUB for the subscribers, and a SUB towards the publisher that is made anew for each of them.

    So the publisher learns of every subscriber, and serves it at once, as it would without us.
    """

    def __init__(self, context: "zmq.Context[_Socket]", server: str) -> None:
        self._context, self._server = context, server

    def open(self, address: str) -> str:
        self._front = self._context.socket(zmq.XPUB)
        self._front.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._back = self._subscribe()
        return _bind(self._front, address)

    def close(self) -> None:
        for sock in self.sockets():
            sock.close(linger=0)

    def sockets(self) -> list[_Socket]:
        return [self._front, self._back]

    def from_clients(self) -> Iterable[tuple[bytes, bytes]]:
        return [(b"", frames[0]) for frames in _received(self._front) if frames[0].startswith(b"\x01")]

    def from_server(self) -> Iterable[tuple[bytes, bytes]]:
        return [(b"", frames[0]) for frames in _received(self._back)]

    def to_server(self, client: bytes, data: bytes) -> None:
        self._back.close(linger=0)
        self._back = self._subscribe()

    def to_client(self, client: bytes, data: bytes) -> None:
        with contextlib.suppress(zmq.Again):
            self._front.send(data, zmq.NOBLOCK)

    def _subscribe(self) -> _Socket:
        back = self._context.socket(zmq.SUB)
        back.setsockopt(zmq.RECONNECT_IVL, 20)
        back.setsockopt(zmq.SUBSCRIBE, b"")
        back.connect(self._server)
        return back


def _received(sock: _Socket) -> Iterable[list[bytes]]:
    with contextlib.suppress(zmq.Again):
        for _ in range(_TURN):
            yield sock.recv_multipart(zmq.NOBLOCK)


def _bind(sock: _Socket, address: str) -> str:
    for option, value in ((zmq.LINGER, 0), (zmq.SNDHWM, _QUEUE), (zmq.RCVHWM, _QUEUE)):
        sock.setsockopt(option, value)
    deadline = time.monotonic() + _REBIND_S
    while True:
        try:
            sock.bind(address)
            break
        except zmq.ZMQError as error:  # a socket that was closed keeps its port for a moment
            if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    return sock.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
