"""Links with keys: who is let in, who is refused and counted. Real sockets on loopback."""

import contextlib
import threading

import pytest
import zmq

from rlpd_robot.errors import KeyFileError
from rlpd_robot.wire import security as module
from rlpd_robot.wire.gate import Gate, refused_peers
from rlpd_robot.wire.keys import make_keys, public_path, read_pair, read_public, secret_path
from rlpd_robot.wire.policy_channel import PolicyPublisher, PolicySubscriber
from rlpd_robot.wire.security import ENDS, LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import ANY_PORT, dial, listen, make_socket
from tests.wire.examples import snapshot
from tests.wire.waiting import wait_until


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    directory = tmp_path_factory.mktemp("keys")
    make_keys(directory / "keys")
    return directory / "keys"


@pytest.fixture
def open_socket():
    """Makes sockets, each with a context of its own, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(kind, options=None):
            context = zmq.Context()
            stack.callback(context.term)
            return stack.enter_context(make_socket(context, kind, 1000, {zmq.IMMEDIATE: 1, **(options or {})}))

        yield make


@pytest.fixture
def serve_echo(keys):
    """(address, context) of a listener that echoes, as the table's first role, until the end of the test."""
    with contextlib.ExitStack() as stack:

        def serve(link="link.robot"):
            context = zmq.Context()
            stack.callback(context.term)  # ends the echo and the gate; `with` would close their sockets under them
            router = make_socket(context, zmq.ROUTER, 1000, {})
            address = listen(router, link, ANY_PORT, Security(str(keys)))

            def echo():
                with router, contextlib.suppress(zmq.ContextTerminated):
                    while True:
                        router.send_multipart(router.recv_multipart())

            threading.Thread(target=echo, daemon=True).start()
            return address, context

        yield serve


def answered(sock, timeout_ms=10_000):
    """Whether an echo comes back."""
    sock.sndtimeo = sock.rcvtimeo = timeout_ms
    try:
        sock.send(b"hello")
        return sock.recv() == b"hello"
    except zmq.Again:
        return False


@pytest.mark.parametrize("link", ENDS)
def test_the_role_at_the_other_end_is_let_in(serve_echo, open_socket, keys, link):
    address, context = serve_echo(link)
    client = open_socket(zmq.DEALER)
    dial(client, link, address, Security(str(keys)))
    assert answered(client)
    assert refused_peers(context) == 0


def as_role(sock, keys, role, server="robot"):
    pair = read_pair(keys, role)
    sock.curve_publickey, sock.curve_secretkey = pair.public, pair.secret
    sock.curve_serverkey = read_public(keys, server)


def plain(sock, keys):
    pass


def as_learner(sock, keys):
    as_role(sock, keys, "learner")


def as_stranger(sock, keys):
    sock.curve_serverkey = read_public(keys, "robot")
    sock.curve_publickey, sock.curve_secretkey = zmq.curve_keypair()


def as_actor_of_another_robot(sock, keys):
    as_role(sock, keys, "actor", server="learner")


def with_a_password(sock, keys):
    sock.plain_username, sock.plain_password = b"actor", b"let me in"


@pytest.mark.parametrize("disguise", [plain, as_learner, as_stranger, as_actor_of_another_robot, with_a_password])
def test_everybody_else_is_refused_and_counted(serve_echo, open_socket, keys, disguise):
    address, context = serve_echo()
    stranger = open_socket(zmq.DEALER)
    disguise(stranger, keys)
    stranger.connect(address)
    stranger.sndtimeo = 200
    wait_until(lambda: refused_peers(context) > 0)
    assert not answered(stranger, 100)
    friend = open_socket(zmq.DEALER)
    dial(friend, "link.robot", address, Security(str(keys)))
    assert answered(friend)


def test_a_dialler_with_keys_talks_to_nobody_without(open_socket, keys):
    router = open_socket(zmq.ROUTER)
    address = listen(router, "link.robot", ANY_PORT, LOOPBACK_ONLY)
    client = open_socket(zmq.DEALER)
    dial(client, "link.robot", address, Security(str(keys)))
    assert not answered(client, 300)


def test_policies_travel_encrypted(keys):
    security = Security(str(keys))
    with (
        contextlib.closing(PolicyPublisher(ANY_PORT, security)) as publisher,
        contextlib.closing(PolicySubscriber(publisher.address, security=security)) as subscriber,
        contextlib.closing(PolicySubscriber(publisher.address)) as stranger,
    ):
        publisher.publish(snapshot(7))
        assert subscriber.wait(7, 10).version == 7
        wait_until(lambda: publisher.stats()["unauthorized"] > 0)
        assert stranger.poll() is None


def test_with_keys_a_link_may_leave_the_machine(open_socket, keys):
    sock = open_socket(zmq.ROUTER)
    assert listen(sock, "link.data", "tcp://0.0.0.0:*", Security(str(keys))).startswith("tcp://0.0.0.0:")


def test_a_listener_needs_its_own_secret_and_the_public_key_of_its_peer_only(open_socket, keys, tmp_path):
    copied = [secret_path(keys, "robot"), public_path(keys, "actor")]
    for path in copied:
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / path.name).chmod(0o600)
    security = Security(str(tmp_path))
    address = listen(open_socket(zmq.ROUTER), "link.robot", ANY_PORT, security)
    with pytest.raises(KeyFileError, match=r"actor\.key_secret': it is not there"):
        dial(open_socket(zmq.DEALER), "link.robot", address, security)
    with pytest.raises(KeyFileError, match=r"learner\.key_secret': it is not there"):
        listen(open_socket(zmq.ROUTER), "link.data", ANY_PORT, security)


def test_an_insecure_link_says_so_once(open_socket, capsys, monkeypatch):
    monkeypatch.setattr(module, "_warned", threading.Event())
    insecure = Security(insecure=True)
    listen(open_socket(zmq.ROUTER), "link.robot", ANY_PORT, insecure)
    assert capsys.readouterr().err == ""  # nobody else can reach it
    listen(open_socket(zmq.ROUTER), "link.robot", "tcp://0.0.0.0:*", insecure)
    dial(open_socket(zmq.DEALER), "link.data", "tcp://192.0.2.1:5561", insecure)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("WARNING: link.insecure=true and 'link.robot' is tcp://0.0.0.0:*: whoever reaches")


def test_a_gate_ends_with_its_context(keys):
    context = zmq.Context()
    with make_socket(context, zmq.ROUTER, 1000, {}) as sock:
        listen(sock, "link.robot", ANY_PORT, Security(str(keys)))
        assert any(t.name == "gate of link.robot" for t in threading.enumerate())
    context.term()
    wait_until(lambda: not any(t.name.startswith("gate of") for t in threading.enumerate()))


def test_a_gate_that_cannot_answer_lets_nobody_in(serve_echo, open_socket, keys, monkeypatch):
    def broken(self, zap):
        zap.recv_multipart()
        raise ZeroDivisionError

    address, context = serve_echo()
    with monkeypatch.context() as patch:
        patch.setattr(Gate, "_answer", broken)
        early = open_socket(zmq.DEALER)
        dial(early, "link.robot", address, Security(str(keys)))
        assert not answered(early, 300)
    late = open_socket(zmq.DEALER)
    dial(late, "link.robot", address, Security(str(keys)))
    assert answered(late)
