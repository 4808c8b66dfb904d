import contextlib
import logging
import select

import pytest
import zmq

from rlpd_robot.errors import AddressError, ConfigError
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import ANY_PORT, Complaints, Waker, dial, listen, make_socket


@pytest.fixture
def new_socket():
    """Makes sockets and closes them."""
    with zmq.Context() as context, contextlib.ExitStack() as stack:

        def make(kind, max_bytes=1000, options=None):
            return stack.enter_context(make_socket(context, kind, max_bytes, options or {}))

        yield make


def test_options_are_set_before_connecting(new_socket):
    sock = new_socket(zmq.DEALER, 1234, {zmq.IMMEDIATE: 1, zmq.SNDHWM: 4})
    assert sock.getsockopt(zmq.LINGER) == 0
    assert sock.getsockopt(zmq.MAXMSGSIZE) == 1234
    assert sock.getsockopt(zmq.IMMEDIATE) == 1
    assert sock.getsockopt(zmq.SNDHWM) == 4
    assert sock.getsockopt(zmq.HEARTBEAT_IVL) == 1000


def test_nothing_is_queued_for_a_peer_that_is_not_there(new_socket):
    sock = new_socket(zmq.DEALER, 1000, {zmq.IMMEDIATE: 1})
    dial(sock, "link.data", "tcp://127.0.0.1:9", LOOPBACK_ONLY)
    with pytest.raises(zmq.Again):
        sock.send(b"x", zmq.NOBLOCK)


def test_a_port_in_use_is_named_with_its_key(new_socket):
    first = new_socket(zmq.ROUTER)
    address = listen(first, "link.data", ANY_PORT, LOOPBACK_ONLY)
    second = new_socket(zmq.ROUTER)
    with pytest.raises(AddressError, match=r"\('link\.data'\): the port is in use\. Stop the program that uses it"):
        listen(second, "link.data", address, LOOPBACK_ONLY)
    assert second.closed


@pytest.mark.parametrize("address", ["tcp://*:5561", "tcp://0.0.0.0:5561", "tcp://[::]:5561", "tcp://192.0.2.1:5561"])
def test_only_loopback_without_a_word(new_socket, address):
    sock = new_socket(zmq.ROUTER)
    with pytest.raises(AddressError, match=r"other machines could reach it.*link\.insecure=true"):
        listen(sock, "link.data", address, LOOPBACK_ONLY)
    sock = new_socket(zmq.DEALER)
    with pytest.raises(ConfigError, match=r"link\.insecure=true"):
        dial(sock, "link.data", address, LOOPBACK_ONLY)
    assert sock.closed


def test_an_address_of_another_machine_cannot_be_listened_on(new_socket):
    sock = new_socket(zmq.ROUTER)
    with pytest.raises(AddressError, match=r"Cannot listen on tcp://192\.0\.2\.1:0"):
        listen(sock, "link.data", "tcp://192.0.2.1:0", Security(insecure=True))


def test_localhost_is_an_address(new_socket):
    sock = new_socket(zmq.ROUTER)
    assert listen(sock, "link.data", "tcp://localhost:*", LOOPBACK_ONLY).startswith("tcp://127.0.0.1:")


def test_a_waker_wakes_once_however_often_it_is_called():
    waker = Waker()
    for _ in range(100_000):
        waker.wake()  # a full pipe must not block
    assert select.select([waker.fd], [], [], 0)[0]
    while select.select([waker.fd], [], [], 0)[0]:
        waker.clear()
    waker.clear()
    waker.close()


def test_complaints_are_counted_all_and_logged_rarely(caplog):
    complaints = Complaints(logging.getLogger("test"))
    for _ in range(1000):
        complaints.add("rubbish from somebody")
    assert complaints.count == 1000
    assert 1 <= len(caplog.records) < 100
    assert caplog.messages[0] == "rubbish from somebody (1 so far)"
