"""The WebSocket server of the stand-in, on an event loop in a thread of its own."""

import asyncio
import contextlib
import socket as sockets
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from rlpd_robot.errors import AddressError, ConfigError
from rlpd_robot.liveness import Pulse, beating
from rlpd_robot.wire.settings import is_local
from sim.faults.messages import FaultyLink
from sim.faults.plan import Plan
from sim.rosbridge.graph import Graph
from sim.rosbridge.protocol import Client

MAX_MESSAGE_BYTES = 10_000_000
"""Largest message of a client, as of the real server; a larger one ends its connection."""

_BACKLOG_BYTES = 32 << 20  # written to a client that does not read, after which it is cut off
_START_S = 10.0
_BEAT_S = 0.5


class RosbridgeServer:
    """Serves one graph to any number of clients.

    Args:
        graph: used in the server's thread only, from now on; see `do`.
        address: ws://HOST:PORT or tcp://HOST:PORT; port 0 chooses one.
        insecure: allow addresses that other machines can reach.
        plan: what goes wrong with messages; none: nothing.

    Attributes:
        url: where clients connect.
        clients: those connected now.

    Raises:
        ConfigError: no address.
        AddressError: it is taken, or others could reach it.
    """

    def __init__(self, graph: Graph, address: str, insecure: bool = False, plan: Plan | None = None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("ws", "tcp") or parts.hostname is None:
            raise ConfigError("link.robot", address, "an address such as tcp://127.0.0.1:9090")
        if not is_local(f"tcp://{parts.hostname}:0") and not insecure:
            remedy = "Use a loopback address, or set link.insecure=true on a network that you trust."
            raise AddressError("link.robot", address, "other machines could reach it, and nothing is encrypted", remedy)
        self.graph, self.clients, self._plan = graph, set[Client](), plan
        self._connections = set[ServerConnection]()
        self._loop = asyncio.new_event_loop()
        self._ended: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._error: BaseException | None = None
        self._host, self._port = parts.hostname, _port(parts.port)
        self._thread = threading.Thread(target=self._run, name="rosbridge", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_S):
            raise TimeoutError("the rosbridge server's thread did not start")
        if self._failure is not None:
            self._thread.join(_START_S)
            remedy = "Stop the program that uses it, or choose another address for 'link.robot'."
            raise AddressError("link.robot", address, str(self._failure.strerror), remedy) from self._failure
        self.check()
        self.url = f"ws://{self._host}:{self._port}"

    def check(self) -> None:
        """Make sure that its thread is well.

        Raises:
            Exception: what ended it.
        """
        if self._error is not None:
            raise self._error

    def do(self, work: Callable[..., None], *arguments: Any) -> None:
        """Have the server's thread do something with the graph."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work, *arguments)

    def publish(self, tell: Callable[[], Iterable[tuple[str, dict[str, Any], bool]]]) -> None:
        """Have the server's thread ask for what belongs to one moment, and publish it: topic, message, latched or not.

        Asked there, and not before: nothing that was measured waits for a thread to wake. What asking raises, `check`
        raises.
        """
        self.do(self._publish, tell)

    def _publish(self, tell: Callable[[], Iterable[tuple[str, dict[str, Any], bool]]]) -> None:
        try:
            messages = tell()
        except BaseException as error:
            self._error = error
            return
        with _corked(self._connections):
            for topic, message, latch in messages:
                self.graph.publish(topic, message, latch)

    def close(self) -> None:
        """End all connections and release the address."""
        if self._ended is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            with beating("rosbridge") as mine:
                self._loop.run_until_complete(self._serve(mine))
        except BaseException as error:
            self._error = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self, mine: Pulse) -> None:
        self._ended = asyncio.Event()
        try:
            server = await serve(
                self._talk,
                self._host,
                self._port,
                compression=None,
                ping_interval=None,  # the real one pings nobody unless told to
                max_size=MAX_MESSAGE_BYTES,
                close_timeout=1.0,
            )
        except OSError as error:
            self._failure = error
            return
        self._port = _port_of(server)
        self._started.set()
        while not self._ended.is_set():
            mine.beat("serving")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _BEAT_S)
        server.close()
        await server.wait_closed()

    async def _talk(self, socket: ServerConnection) -> None:
        """One client, from its first message to its last."""

        def send(text: str) -> None:
            if socket.transport.get_write_buffer_size() > _BACKLOG_BYTES:
                socket.transport.abort()
            broadcast((socket,), text)

        faulty = FaultyLink(self._plan, send) if self._plan is not None else None
        client = Client(self.graph, send if faulty is None else faulty.send)
        self.clients.add(client)
        self._connections.add(socket)
        try:
            if faulty is not None:
                await faulty.pass_on(socket, client.handle)
            else:
                async for text in socket:
                    await client.handle(text)
        except ConnectionClosed:
            pass  # as the real one, it makes nothing of a client that dies
        finally:
            self.clients.discard(client)
            self._connections.discard(socket)
            client.close()


@contextlib.contextmanager
def _corked(connections: Iterable[ServerConnection]) -> Iterator[None]:
    """What is written meanwhile leaves at once at the end: a client wakes once a period, not once a message."""
    if not hasattr(sockets, "TCP_CORK"):  # no Linux
        yield
        return
    handles = [c.transport.get_extra_info("socket") for c in connections if not c.transport.is_closing()]
    for handle in handles:
        handle.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CORK, 1)
    try:
        yield
    finally:
        for handle in handles:
            if handle.fileno() >= 0:
                handle.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_CORK, 0)


def _port(port: int | None) -> int:
    return 9090 if port is None else port


def _port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
