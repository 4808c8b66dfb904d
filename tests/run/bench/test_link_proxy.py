from collections.abc import Iterator
from contextlib import closing

import pytest
import zmq

from rlpd_robot.run.bench.lane import LinkFault
from rlpd_robot.run.bench.link_proxy import LinkProxy
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.policy_channel import PolicyPublisher, PolicySubscriber
from tests.wire.waiting import wait_until

DEADLINE_MS = 20_000


class Sockets:
    """Sockets of one test."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.made: list[zmq.Socket[bytes]] = []

    def make(self, kind: int) -> zmq.Socket[bytes]:
        self.made.append(self.context.socket(kind))
        self.made[-1].setsockopt(zmq.LINGER, 0)
        return self.made[-1]

    def client(self, address: str, identity: bytes | None = None) -> zmq.Socket[bytes]:
        sock = self.make(zmq.DEALER)
        if identity is not None:
            sock.setsockopt(zmq.ROUTING_ID, identity)
        sock.connect(address)
        return sock

    def server(self, address: str = "tcp://127.0.0.1:*") -> tuple[zmq.Socket[bytes], str]:
        sock = self.make(zmq.ROUTER)
        wait_until(lambda: bound(sock, address))
        return sock, sock.getsockopt_string(zmq.LAST_ENDPOINT)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    for sock in made.made:
        sock.close()
    made.context.destroy(linger=0)


def bound(sock: zmq.Socket[bytes], address: str) -> bool:
    """Whether it listens: a socket closed a moment ago may still hold the port."""
    try:
        sock.bind(address)
    except zmq.ZMQError as error:
        if error.errno != zmq.EADDRINUSE:
            raise
        return False
    return True


def received(sock: zmq.Socket[bytes]) -> list[bytes]:
    assert sock.poll(DEADLINE_MS), "nothing came"
    return sock.recv_multipart()


def heard(server: zmq.Socket[bytes], client: zmq.Socket[bytes], text: bytes) -> bytes:
    """Say it until the server hears it; the identity that it comes with."""
    for _ in range(200):
        client.send(text)
        while server.poll(100):
            identity, data = server.recv_multipart()
            if data == text:
                return identity
    raise AssertionError("it was never heard")


def test_each_client_talks_with_the_server_as_itself(sockets: Sockets) -> None:
    server, address = sockets.server()
    with closing(LinkProxy("requests", address, 0)) as proxy:
        named, nameless = sockets.client(proxy.address, b"named"), sockets.client(proxy.address)
        assert heard(server, named, b"hello") == b"named"
        other = heard(server, nameless, b"hi")
        assert other != b"named"
        server.send_multipart((other, b"to the nameless"))
        server.send_multipart((b"named", b"to the named"))
        assert received(nameless) == [b"to the nameless"]
        assert received(named) == [b"to the named"]


def test_a_server_that_comes_back_is_found_again(sockets: Sockets) -> None:
    server, address = sockets.server()
    with closing(LinkProxy("requests", address, 0)) as proxy:
        client = sockets.client(proxy.address, b"c")
        heard(server, client, b"before")
        server.close()
        for _ in range(20):
            client.send(b"to nobody")
        wait_until(lambda: proxy.stats()["passed"] >= 20)
        server, _ = sockets.server(address)
        assert heard(server, client, b"after") == b"c"


@pytest.mark.parametrize("kind", ["cut", "reopen"])
def test_nothing_passes_while_the_link_is_cut(sockets: Sockets, kind: str) -> None:
    server, address = sockets.server()
    with closing(LinkProxy("requests", address, 0)) as proxy:
        client = sockets.client(proxy.address, b"c")
        heard(server, client, b"before")
        proxy.inflict(LinkFault(kind, 0.5, 0.05))  # type: ignore[arg-type]
        if kind == "cut":
            client.send(b"into the cut")
            server.send_multipart((b"c", b"into the cut"))
            wait_until(lambda: proxy.stats()["dropped"] >= 2)
            assert client.poll(0) == 0
        heard(server, client, b"after")
        server.send_multipart((b"c", b"answer"))
        assert received(client) == [b"answer"]


def test_messages_come_twice_or_out_of_order(sockets: Sockets) -> None:
    server, address = sockets.server()
    with closing(LinkProxy("requests", address, 0)) as proxy:
        client = sockets.client(proxy.address, b"c")
        heard(server, client, b"before")
        for kind in ("duplicate", "reorder", "delay"):
            proxy.inflict(LinkFault(kind, 60.0, 0.02))  # type: ignore[arg-type]
            wait_until(lambda: not proxy._asked)
            texts = [b"%s %d" % (kind.encode(), i) for i in range(50)]
            for text in texts:
                client.send(text)
            out: list[bytes] = []
            while not set(texts) <= set(out):
                out.append(received(server)[1])
            first = list(dict.fromkeys(text for text in out if text in texts))
            assert (first == texts) is (kind != "reorder")
        stats = proxy.stats()
        assert stats["duplicated"] > 10
        assert stats["reordered"] > 10
        assert stats["delayed"] >= 50


def test_a_late_subscriber_is_served_at_once_also_through_it() -> None:
    publisher = PolicyPublisher("tcp://127.0.0.1:*")
    publisher.publish(PolicySnapshot(1, "f", 0, 0, {}))
    with closing(LinkProxy("broadcast", publisher.address, 0)) as proxy:
        for _ in range(2):
            subscriber = PolicySubscriber(proxy.address)
            snapshot = subscriber.wait(1, 4.0)  # sooner than it would be repeated
            assert snapshot is not None
            subscriber.close()
        subscriber = PolicySubscriber(proxy.address)
        proxy.inflict(LinkFault("reopen", 0.3, 0.05))
        publisher.publish(PolicySnapshot(2, "f", 0, 0, {}))
        assert subscriber.wait(2, 20.0) is not None
        subscriber.close()
    publisher.close()
