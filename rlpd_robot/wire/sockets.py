"""ZeroMQ sockets with every option set before they connect or bind: afterwards many are silently ignored."""

import contextlib
import logging
import socket
import time
from collections.abc import Mapping

import zmq
from zmq.utils.monitor import recv_monitor_message

from rlpd_robot.errors import AddressError, ConfigError
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 5000
"""ZMTP's own heartbeats find a dead link. Whether the program behind it lives, only an application's message tells."""

_HANDSHAKE_MS = 3000
"""A peer that does not finish its handshake by then is dropped."""

_log = logging.getLogger(__name__)

ANY_PORT = "tcp://127.0.0.1:*"

Options = Mapping[int, int | bytes]


def make_socket(
    context: "zmq.Context[zmq.Socket[bytes]]", kind: int, max_bytes: int, options: Options
) -> "zmq.Socket[bytes]":
    """A socket that drops what it holds on close, bounds what it receives, and has `options` set."""
    sock = context.socket(kind)
    common: Options = {
        zmq.LINGER: 0,
        zmq.MAXMSGSIZE: max_bytes,
        zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
        zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
        zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
        zmq.HANDSHAKE_IVL: _HANDSHAKE_MS,
        zmq.RECONNECT_IVL: 50,
        zmq.RECONNECT_IVL_MAX: 1000,
    }
    for option, value in {**common, **options}.items():
        sock.setsockopt(option, value)
    return sock


def listen(sock: "zmq.Socket[bytes]", key: str, address: str, security: Security = LOOPBACK_ONLY) -> str:
    """Bind and return the address for peers (a port given as * or 0 is chosen). Closes the socket on failure.

    Args:
        key: the setting that `address` came from, one of `security.ENDS`: names the link and the roles at its ends.
        security: who may connect. With keys, this is the only listening socket of its context.

    Raises:
        ConfigError: it is no address.
        AddressError: the port is in use, or the address is not of this machine or reachable by others unasked.
        KeyFileError: a key is missing, damaged, or readable by others.
    """
    try:
        security.prepare_listener(sock, key, address, Complaints(_log).add)
        _ipv6(sock, address)
        try:
            sock.bind(address.replace("//localhost:", "//127.0.0.1:"))
        except zmq.ZMQError as error:
            problem = "the port is in use" if error.errno == zmq.EADDRINUSE else str(error)
            remedy = f"Stop the program that uses it, or choose another address for '{key}'."
            raise AddressError(key, address, problem, remedy) from error
    except BaseException:
        sock.close(linger=0)
        raise
    return sock.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")


def dial(sock: "zmq.Socket[bytes]", key: str, address: str, security: Security = LOOPBACK_ONLY) -> None:
    """Connect, now or whenever the peer appears. Closes the socket on failure. Arguments as `listen`.

    Raises:
        ConfigError: it is no address, or one of another machine without keys.
        KeyFileError: a key is missing, damaged, or readable by others.
    """
    try:
        security.prepare_dialler(sock, key, address)
        _ipv6(sock, address)
        try:
            sock.connect(address)
        except zmq.ZMQError as error:
            raise ConfigError(key, address, f"an address that can be connected to ({error})") from error
    except BaseException:
        sock.close(linger=0)
        raise


def _ipv6(sock: "zmq.Socket[bytes]", address: str) -> None:
    if "[" in address:
        sock.setsockopt(zmq.IPV6, 1)


class Waker:
    """Wakes a thread that polls sockets; from any thread, without waiting. Register `fd` for POLLIN."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    @property
    def fd(self) -> int:
        """What the woken thread polls."""
        return self._far.fileno()

    def wake(self) -> None:
        """Make the next or current poll return."""
        with contextlib.suppress(BlockingIOError):  # full: it is awake already
            self._near.send(b"\0")

    def clear(self) -> None:
        """Called by the woken thread."""
        with contextlib.suppress(BlockingIOError):
            self._far.recv(4096)

    def close(self) -> None:
        """Release both ends."""
        self._near.close()
        self._far.close()


class Lifeline:
    """Whether a dialled socket has a connection now; asked by the thread that owns the socket.

    ZMTP tells the end of a connection at once when the other process dies, which no message ever would.
    """

    def __init__(self, sock: "zmq.Socket[bytes]") -> None:
        self._owner = sock
        self._events = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._cut_s: float | None = None

    def cut_for(self) -> float:
        """How long ago the connection ended [s]; 0 while there is one, or before the first."""
        while self._events.poll(0):
            event = recv_monitor_message(self._events, zmq.NOBLOCK)["event"]
            self._cut_s = time.monotonic() if event == zmq.EVENT_DISCONNECTED else None
        return 0.0 if self._cut_s is None else time.monotonic() - self._cut_s

    def close(self) -> None:
        """Let go of it; before the socket is closed."""
        self._owner.disable_monitor()
        self._events.close(linger=0)


class Complaints:
    """Counts what peers did wrong and logs it at most once a second."""

    def __init__(self, logger: logging.Logger) -> None:
        self.count = 0
        self._logger = logger
        self._next_s = 0.0

    def add(self, sentence: object) -> None:
        """One more."""
        self.count += 1
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + 1.0
            self._logger.warning("%s (%d so far)", sentence, self.count)
