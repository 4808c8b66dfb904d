"""What befalls the link: it freezes, the server goes and comes, says nothing or rubbish. Through real sockets."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.server import Server, ServerConnection, serve
from websockets.utils import accept_key

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.robot.rosbridge import connection
from rlpd_robot.robot.rosbridge.connection import FIRST_RETRY_S, LAST_RETRY_S, PING_EVERY_S, SILENCE_S
from rlpd_robot.run.bench.tcp_proxy import Cut, TcpProxy
from tests.robot.rosbridge.point_node import PointNode, driving, point, until
from tests.robot.rosbridge.test_driver import safe

T = 20.0


def values(node: PointNode) -> list[float]:
    """First elements of the commands that arrived."""
    return [message["data"][0] for _, message in node.heard]


def test_what_is_promised_of_time() -> None:
    assert PING_EVERY_S + SILENCE_S <= 1.5
    assert 0 < FIRST_RETRY_S <= LAST_RETRY_S <= 1.0


def test_a_frozen_link_is_cut_and_what_was_said_to_it_never_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 0.4)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.1)
    with point() as node:
        proxy = TcpProxy(node.server.url.replace("ws://", "tcp://"))
        try:
            with driving(proxy.address) as driver:
                driver.connect(T)
                driver.reset(None, T)
                driver.send(safe(driver, [0.1, 0.0]))
                until(lambda: values(node) == [0.1])
                proxy.cut(Cut("freeze", 0, 60.0))  # nothing is told to anybody: the driver must see it by itself
                until(lambda: driver.send(safe(driver, [0.2, 0.0])) == -1)
                with pytest.raises(PeerTimeoutError, match="The connection has ended"):
                    until(lambda: driver.read(T) and False)
                assert driver.stats()["frozen"] >= 1
                until(lambda: driver.stats()["connected"])
                assert driver.send(safe(driver, [0.3, 0.0])) == -1  # a new connection is no leave to move
                driver.reset(None, T)
                assert driver.send(safe(driver, [0.4, 0.0])) > 0  # subscribed and advertised anew
                until(lambda: 0.4 in values(node))
                assert set(values(node)) == {0.1, 0.4}
                assert driver.connection._ros.factory.maxDelay == LAST_RETRY_S
        finally:
            proxy.close()


def test_a_server_that_restarts_in_the_middle_of_an_episode() -> None:
    node = PointNode()
    port = int(node.server.url.rpartition(":")[2])
    with driving(node) as driver:
        driver.connect(T)
        driver.reset(None, T)
        driver.send(safe(driver, [0.1, 0.0]))
        until(lambda: node.heard)
        node.close()
        with pytest.raises(PeerTimeoutError, match="The connection has ended: see whether the server still runs"):
            until(lambda: driver.read(T) and False)
        assert driver.send(safe(driver, [0.2, 0.0])) == -1
        driver.stop()  # has nobody to tell, and says so to nobody
        node = PointNode(port=port)
        try:
            driver.connect(T)
            assert driver.send(safe(driver, [0.3, 0.0])) == -1
            driver.reset(None, T)
            driver.send(safe(driver, [0.4, 0.0]))
            until(lambda: node.heard)
            assert values(node) == [0.4]
            assert driver.stats()["losses"] >= 1
        finally:
            node.close()


def test_somebody_who_listens_and_says_nothing() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        driving(f"tcp://127.0.0.1:{server.getsockname()[1]}") as driver,
        pytest.raises(PeerTimeoutError, match="No answer from a rosbridge server at .* within 0.3 s"),
    ):
        driver.connect(0.3)


def test_a_connection_that_is_given_up_takes_back_what_the_system_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is down for a while would deliver it when it is back: so the end must be a reset."""
    monkeypatch.setattr(connection, "SILENCE_S", 0.2)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        driving(f"tcp://127.0.0.1:{server.getsockname()[1]}", rosapi=False) as driver,
    ):

        def dial() -> None:
            with contextlib.suppress(PeerTimeoutError):
                driver.connect(T)

        thread = threading.Thread(target=dial)
        thread.start()
        server.settimeout(T)
        with server.accept()[0] as there:
            there.settimeout(T)
            request = there.recv(10_000).decode()
            key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            there.sendall(f"{answer}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
            until(lambda: driver.stats().get("frozen"))  # all that it says stays unread until then
            with pytest.raises(ConnectionResetError):
                until(lambda: not there.recv(100))
        thread.join(T)


Talk = Callable[[ServerConnection], None]


@contextlib.contextmanager
def playing_server(talk: Talk) -> Iterator[str]:
    """A WebSocket server that does so with each client; its address."""
    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        assert isinstance(server, Server)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(T)


def test_a_websocket_server_that_says_nothing() -> None:
    def listen(client: ServerConnection) -> None:
        for _ in client:
            continue

    with playing_server(listen) as address:
        with (
            driving(address) as driver,
            pytest.raises(PeerTimeoutError, match="No answer from '/rosapi/publishers' .*Start rosapi_node"),
        ):
            driver.connect(0.3)
        with (
            driving(address, rosapi=False) as driver,
            pytest.raises(PeerTimeoutError, match="topic '/joint_states'.*Nothing has come on it"),
        ):
            driver.connect(0.3)


STATE = {
    "op": "publish",
    "topic": "/joint_states",
    "msg": {"name": ["b", "a"], "position": [0, 0], "velocity": [0, 0]},
}
RUBBISH: list[str | bytes] = [
    '{"op": "publish"',
    "[1, 2]",
    "17",
    "[" * 100_000,
    '{"op": "publish", "topic": "/joint_states"}',
    '{"op": "publish", "topic": 3, "msg": {}}',
    '{"op": "publish", "topic": "/joint_states", "msg": [1]}',
    '{"op": "fly", "to": "the moon"}',
    '{"topic": "/joint_states"}',
    b"\x00\x01\x02",
    '{"op": "publish", "topic": "/joint_states", "msg": {"position": NaN, "name": {"a": 1}}}',
    '{"op": "service_response", "id": "nobody asked"}',
]
COUNTED = 10  # the last two are messages, if strange ones


def test_rubbish_is_counted_and_harms_nothing() -> None:
    def talk(client: ServerConnection) -> None:
        for one in RUBBISH:
            client.send(one)
        while True:
            client.send(json.dumps(STATE))
            with contextlib.suppress(TimeoutError):
                while client.recv(0.02):
                    continue

    with playing_server(talk) as address, driving(address, rosapi=False) as driver:
        driver.connect(T)
        driver.read(T)
        assert driver.stats()["rubbish"] == COUNTED
        assert driver.stats()["losses"] == 0


def test_a_huge_frame_ends_the_connection_and_the_next_one_is_as_good_as_any() -> None:
    huge = threading.Event()
    huge.set()

    def talk(client: ServerConnection) -> None:
        client.send(json.dumps(STATE))
        if huge.is_set():
            huge.clear()
            client.send("x" * 200_000)
        while True:
            client.send(json.dumps(STATE))
            with contextlib.suppress(TimeoutError):
                while client.recv(0.02):
                    continue

    with playing_server(talk) as address, driving(address, rosapi=False, max_message_mb=0.1) as driver:
        with contextlib.suppress(PeerTimeoutError):
            driver.connect(T)
        until(lambda: driver.stats()["losses"] == 1)
        driver.connect(T)
        driver.read(T)
        assert driver.stats()["losses"] == 1


@pytest.mark.parametrize(
    "wrong",
    [{"name": ["a", 2], "position": [1.0, 2.0]}, {"position": "AAA=A", "header": {"stamp": 5}}],
)
def test_messages_of_the_wrong_kind_make_no_state(wrong: dict[str, Any]) -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        node.spoilt["/joint_states"] = lambda message: wrong
        with pytest.raises((PeerTimeoutError, ValueError), match="/joint_states"):
            until(lambda: driver.read(0.1) and False)
        del node.spoilt["/joint_states"]

        def again() -> Any:
            try:
                return driver.read(T)
            except (PeerTimeoutError, ValueError):
                return None

        until(again)
