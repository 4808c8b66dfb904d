"""A TCP link that can be cut at any byte: stands between a client and its server. Neither side knows of it."""

import asyncio
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal, cast

CutKind = Literal["reset", "freeze", "late"]
CUT_KINDS: tuple[CutKind, ...] = ("reset", "freeze", "late")

_START_S = 10.0
_RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: an end that discards what has not left, and tells the other side


@dataclass(frozen=True)
class Cut:
    """One cut.

    Attributes:
        kind: what becomes of what the client says after it. "reset": both ends are told at once. "freeze": nothing
            passes either way for `seconds`, then both ends are told; what was said meanwhile is lost. "late": nothing
            passes until the client gives up and connects anew; `seconds` after that, all that it had said on the old
            connection arrives, as when a network gives back what it held.
        after_bytes: how many more the client may send before; so a cut falls within a message.
        seconds: see `kind` [s].
    """

    kind: CutKind
    after_bytes: int
    seconds: float = 0.0


class TcpProxy:
    """Passes bytes on in a thread of its own.

    Args:
        server: tcp://HOST:PORT; it need not be there yet.

    Attributes:
        address: tcp:// where clients connect.
        made_s: monotonic times at which a client and the server were joined [s].
        cut_s: monotonic times of the cuts [s].
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.removeprefix("tcp://").rpartition(":")
        self.server = host, int(port)
        self.made_s: list[float] = []
        self.cut_s: list[float] = []
        self.address = ""
        self._armed: Cut | None = None
        self._left = 0
        self._links: list[_Link] = []
        self._loop = asyncio.new_event_loop()
        self._ended: asyncio.Event | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"proxy of {server}", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_S):
            raise TimeoutError("the proxy's thread did not start")
        self.check()

    def cut(self, cut: Cut) -> None:
        """Cut the newest link so; the one before must have happened (`cut_s`).

        Raises:
            Exception: whatever ended the thread.
        """
        self.check()
        self._loop.call_soon_threadsafe(self._arm, cut)

    @property
    def holds(self) -> bool:
        """Whether anything is yet to be given back."""
        return any(link.holds for link in tuple(self._links))

    def check(self) -> None:
        """Make sure that its thread is well.

        Raises:
            Exception: what ended it.
        """
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End all links and the thread. A second call does nothing."""
        if self._ended is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_START_S)

    # --- in the thread, for `_Link`

    def take(self, link: "_Link", data: bytes) -> tuple[bytes, Cut | None]:
        """What of this may still pass, and the cut that comes after it."""
        if self._armed is None or link is not self._links[-1]:
            return data, None
        if len(data) <= self._left:
            self._left -= len(data)
            return data, None
        cut, self._armed = self._armed, None
        self.cut_s.append(time.monotonic())
        return data[: self._left], cut

    def later(self, seconds: float, act: Any, *arguments: Any) -> None:
        """Do something in so many seconds."""
        self._loop.call_later(seconds, act, *arguments)

    def _arm(self, cut: Cut) -> None:
        self._armed, self._left = cut, cut.after_bytes

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._error = error  # raised by `check`
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        listener = await self._loop.create_server(lambda: _End(self._join), "127.0.0.1", 0)
        self.address = f"tcp://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._ended.wait()
        listener.close()
        for link in self._links:
            link.abort()
        await asyncio.sleep(0)  # so that the sockets are closed before the loop is

    def _join(self, client: "_End") -> None:
        link = _Link(self, client)
        task = self._loop.create_task(self._reach(link))
        link.task = task

    async def _reach(self, link: "_Link") -> None:
        end = _End(lambda server: None)
        try:
            await self._loop.create_connection(lambda: end, *self.server)
        except OSError:
            link.abort()
            return
        self.made_s.append(time.monotonic())
        for old in self._links:
            old.superseded()
        self._links.append(link)
        link.join(end)


class _End(asyncio.Protocol):
    """One side of a link."""

    def __init__(self, connected: Any) -> None:
        self._connected = connected
        self.receive: Any = None
        self.lost: Any = None
        self._early: list[bytes] = []
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connected(self)

    def data_received(self, data: bytes) -> None:
        if self.receive is None:
            self._early.append(data)
        else:
            self.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        if self.lost is not None:
            self.lost()

    def listen(self, receive: Any, lost: Any) -> None:
        """From now on, what comes goes there; first what has come already."""
        self.receive, self.lost = receive, lost
        for data in self._early:
            receive(data)
        if self._gone:
            lost()

    def abort(self) -> None:
        """End it so that the other side is told, and what has not left is lost."""
        handle = self.transport.get_extra_info("socket")
        if handle is not None and handle.fileno() >= 0:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        self.transport.abort()


class _Link:
    """A client, the server, and what becomes of what they say."""

    def __init__(self, proxy: TcpProxy, client: _End) -> None:
        self._proxy, self._client = proxy, client
        self._server: _End | None = None
        self._cut: Cut | None = None
        self._held: list[bytes] = []
        self.task: Any = None  # kept from being collected

    @property
    def holds(self) -> bool:
        """Whether it has yet to give back what was said on it."""
        return self._cut is not None and self._cut.kind == "late" and bool(self._held)

    def join(self, server: _End) -> None:
        """Both ends are there."""
        self._server = server
        server.listen(self._down, self._client.transport.close)
        self._client.listen(self._up, self._client_left)

    def superseded(self) -> None:
        """The client has connected anew."""
        if self._cut is not None and self._cut.kind == "late":
            self._proxy.later(self._cut.seconds, self._give_back)

    def abort(self) -> None:
        """End both sides at once."""
        self._client.abort()
        if self._server is not None:
            self._server.abort()

    def _up(self, data: bytes) -> None:
        if self._cut is not None:
            self._held.append(data)
            return
        passed, cut = self._proxy.take(self, data)
        self._send(passed)
        if cut is None:
            return
        self._cut, self._held = cut, [data[len(passed) :]]
        if cut.kind == "reset":
            self._end()
        elif cut.kind == "freeze":
            self._proxy.later(cut.seconds, self._end)

    def _down(self, data: bytes) -> None:
        if self._cut is None:
            self._client.transport.write(data)

    def _send(self, data: bytes) -> None:
        assert self._server is not None
        self._server.transport.write(data)

    def _client_left(self) -> None:
        assert self._server is not None
        if self._cut is None or self._cut.kind != "late":
            self._server.transport.close()

    def _end(self) -> None:
        """The client is told at once; the server has what passed before."""
        assert self._server is not None
        self._client.abort()
        self._server.transport.close()

    def _give_back(self) -> None:
        held, self._held = self._held, []
        self._send(b"".join(held))
        assert self._server is not None
        self._server.transport.close()
