"""The door of a listening socket with keys: ZeroMQ asks it about each peer (ZAP, RFC 27), and it counts the refused.

It fails closed: while its own socket is open and does not answer, ZeroMQ lets nobody in.
"""

import logging
import threading
import weakref
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message
from zmq.utils.z85 import decode

_ZAP = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_ENVELOPE, _REQUEST = 2, 7  # frames: the way back; version, id, domain, address, identity, mechanism, key
_FAILED = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_LOOK_MS = 1000

_log = logging.getLogger(__name__)
_gates: "weakref.WeakKeyDictionary[zmq.Context[zmq.Socket[bytes]], Gate]" = weakref.WeakKeyDictionary()


def refused_peers(context: "zmq.Context[zmq.Socket[bytes]]") -> int:
    """Handshakes that failed at the listening socket of this context: unknown keys, no keys, no ZeroMQ at all."""
    gate = _gates.get(context)
    return 0 if gate is None else gate.refused


class Gate:
    """Lets one key in at one socket. Its small thread ends when the context, which has no other gate, is terminated.

    Args:
        sock: about to listen.
        link: its name, for logs.
        allowed: public key, Z85.
        role: of the key's holder, for logs.
        complain: told of each peer that was refused.

    Attributes:
        refused: handshakes that failed.
    """

    def __init__(
        self, sock: "zmq.Socket[bytes]", link: str, allowed: bytes, role: str, complain: Callable[[str], None]
    ) -> None:
        self.refused = 0
        self._link, self._allowed, self._role, self._complain = link, decode(allowed), role, complain
        context = sock.context
        self._sockets: tuple[zmq.Socket[bytes], ...] = (context.socket(zmq.ROUTER), context.socket(zmq.PAIR))
        zap, monitor = self._sockets
        zap.bind(_ZAP)
        address = f"inproc://gate-{id(self)}"
        sock.monitor(address, _FAILED)
        monitor.set_hwm(0)  # ZeroMQ's own thread waits when it cannot tell an event
        monitor.connect(address)
        _gates[context] = self
        threading.Thread(target=self._run, name=f"gate of {link}", daemon=True).start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for sock in self._sockets:
            poller.register(sock, zmq.POLLIN)
        while True:
            try:
                self._turn(dict(poller.poll(_LOOK_MS)))
            except zmq.ContextTerminated:
                break
            except Exception as error:  # a closed door would be an open one: whoever is not answered stays outside
                self._complain(f"{self._link}: a peer was left waiting: {error!r}")
        for sock in self._sockets:
            sock.close(linger=0)
        self._sockets = ()

    def _turn(self, ready: "dict[zmq.Socket[bytes], int]") -> None:
        zap, monitor = self._sockets
        if zap in ready:
            self._answer(zap)
        if monitor in ready:
            self._count(monitor)

    def _answer(self, zap: "zmq.Socket[bytes]") -> None:
        frames = zap.recv_multipart()
        envelope, request = frames[:_ENVELOPE], frames[_ENVELOPE:]
        if len(request) != _REQUEST or request[0] != _VERSION:
            status, text = b"400", b"CURVE only"
        elif request[5] == b"CURVE" and request[6] == self._allowed:
            status, text = b"200", b"OK"
        else:
            status, text = b"400", b"unknown key"
            self._complain(
                f"{self._link}: refused a peer at {request[3].decode(errors='replace')}: not the {self._role}'s key"
            )
        number = request[1] if len(request) > 1 else b""
        zap.send_multipart([*envelope, _VERSION, number, status, text, self._role.encode(), b""], zmq.NOBLOCK)

    def _count(self, monitor: "zmq.Socket[bytes]") -> None:
        event = parse_monitor_message(monitor.recv_multipart())
        if event["event"] & _FAILED:
            self.refused += 1
            self._complain(f"{self._link}: a peer without the {self._role}'s key was turned away")
