import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from rlpd_robot.run.bench.tcp_proxy import Cut, TcpProxy
from tests.robot.rosbridge.point_node import until

DEADLINE_S = 20.0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        yield listener


@pytest.fixture
def proxy(server: socket.socket) -> Iterator[TcpProxy]:
    one = TcpProxy(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    yield one
    one.close()
    one.check()


Join = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def join(proxy: TcpProxy, server: socket.socket) -> Iterator[Join]:
    """Makes (client's end, server's end) of a new link that passes bytes both ways."""
    with contextlib.ExitStack() as stack:

        def make() -> tuple[socket.socket, socket.socket]:
            client = stack.enter_context(dial(proxy))
            there = stack.enter_context(server.accept()[0])
            there.settimeout(DEADLINE_S)
            client.sendall(b"up")
            assert there.recv(100) == b"up"
            there.sendall(b"down")
            assert client.recv(100) == b"down"
            return client, there

        yield make


def dial(proxy: TcpProxy) -> socket.socket:
    host, _, port = proxy.address.removeprefix("tcp://").rpartition(":")
    return socket.create_connection((host, int(port)), DEADLINE_S)


def rest_of(sock: socket.socket) -> bytes:
    """All that comes until the link's end."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(100):
            found += data
    return found


def cut(proxy: TcpProxy, how: Cut) -> None:
    proxy.cut(how)
    until(lambda: proxy._armed is how)


def test_a_reset_falls_within_a_message_and_tells_both_sides(proxy: TcpProxy, join: Join) -> None:
    client, there = join()
    cut(proxy, Cut("reset", 3))
    client.sendall(b"ab")
    client.sendall(b"cdef")
    assert rest_of(there) == b"abc"
    assert rest_of(client) == b""
    assert len(proxy.cut_s) == len(proxy.made_s) == 1
    join()
    assert len(proxy.made_s) == 2


def test_what_is_said_to_a_frozen_link_is_lost(proxy: TcpProxy, join: Join) -> None:
    client, there = join()
    cut(proxy, Cut("freeze", 1, 0.05))
    client.sendall(b"abc")
    until(lambda: proxy.cut_s)
    client.sendall(b"def")
    there.sendall(b"never")
    assert rest_of(there) == b"a"
    assert rest_of(client) == b""


def test_a_late_link_gives_back_what_it_held_after_the_next_connection(proxy: TcpProxy, join: Join) -> None:
    client, there = join()
    cut(proxy, Cut("late", 1))
    client.sendall(b"abc")
    until(lambda: proxy.cut_s)
    client.sendall(b"def")
    client.close()
    assert there.recv(100) == b"a"
    assert proxy.holds
    join()
    assert rest_of(there) == b"bcdef"
    until(lambda: not proxy.holds)


def test_a_server_that_is_not_there_ends_the_connection(server: socket.socket, proxy: TcpProxy) -> None:
    server.close()
    with contextlib.suppress(ConnectionResetError), dial(proxy) as client:
        assert rest_of(client) == b""
    assert proxy.made_s == []
