"""Whether the addresses that a run is about to listen on are free, and which are."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack, closing

import zmq

from rlpd_robot.errors import AddressError
from rlpd_robot.wire.security import Security
from rlpd_robot.wire.sockets import listen, make_socket


def check_free(addresses: Mapping[str, str], security: Security) -> None:
    """Listen on all of them for a moment.

    Args:
        addresses: by the setting that each came from.
        security: of the links.

    Raises:
        AddressError: one is in use, twice among these too, or may not be used.
        KeyFileError: a key is missing, damaged, or readable by others.
    """
    with ExitStack() as stack:
        for key, address in addresses.items():
            _check_unix(key, address)
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()  # one each: a gate has its context to itself
            stack.callback(context.term)
            sock = make_socket(context, zmq.ROUTER, 1, {})
            listen(sock, key, address, security)
            stack.callback(sock.close, 0)


def free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"tcp://127.0.0.1:{sock.getsockname()[1]}" for sock in sockets]


def _check_unix(key: str, address: str) -> None:
    """ZeroMQ takes a socket file over from whoever listens on it; so ask before."""
    path = address.removeprefix("ipc://")
    if path == address:
        return
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            probe.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
        except OSError:
            return
    remedy = f"Stop the program that uses it, or choose another address for '{key}'."
    raise AddressError(key, address, "it is in use", remedy)
