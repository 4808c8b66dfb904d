import contextlib
import threading

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.errors import ConfigError, DataError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.wire import control
from rlpd_robot.wire.codec import Message, decode_single, encode_single
from rlpd_robot.wire.control import MAX_MESSAGE_BYTES, ControlServer, ask
from rlpd_robot.wire.sockets import ANY_PORT
from tests.wire.waiting import wait_until


class Actor:
    """Notes what it is told."""

    def __init__(self):
        self.heard = []

    def __call__(self, word, arguments):
        if word == "jump":
            raise DataError("Word", "there is no 'jump'", "arm")
        if word == "break":
            raise ZeroDivisionError("a bug")
        self.heard.append((word, dict(arguments)))
        return f"did {word}"


@pytest.fixture
def actor():
    return Actor()


@pytest.fixture
def server(actor):
    with contextlib.closing(ControlServer(ANY_PORT, actor)) as server:
        yield server


@pytest.fixture
def stranger(server):
    """Sends bytes and receives messages, by hand."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.connect(server.address)

        def talk(data, answered=True):
            sock.send(data)
            if not answered:
                return None
            assert sock.poll(10_000)
            return decode_single(sock.recv(), "server")

        yield talk


def ticket(talk):
    return talk(encode_single(Message("control_hello", {"nonce": "n"}))).fields["ticket"]


def word(ticket, word="arm", arguments=None):
    return encode_single(
        Message("control_word", {"ticket": ticket, "word": word, "arguments": {} if arguments is None else arguments})
    )


def test_a_word_is_carried_out_and_answered(server, actor):
    assert ask(server.address, "pin", {"version": "7"}) == "did pin"
    assert ask(server.address, "arm") == "did arm"
    assert actor.heard == [("pin", {"version": "7"}), ("arm", {})]
    assert server.stats() == {"done": 2, "refused": 0, "rubbish": 0, "unauthorized": 0}


def test_a_refusal_comes_in_the_actors_own_words(server):
    with pytest.raises(PeerRefusedError, match=r"^The actor refused: Word: there is no 'jump'\. Expected arm\.$"):
        ask(server.address, "jump")
    assert server.stats()["refused"] == 1
    assert ask(server.address, "arm") == "did arm"


def test_nobody_there_is_one_sentence():
    with contextlib.closing(ControlServer(ANY_PORT, lambda *_: "")) as server:
        address = server.address
    with pytest.raises(PeerTimeoutError) as caught:
        ask(address, "arm", timeout_s=0.1)
    assert str(caught.value) == (
        f"No answer from the actor at {address} within 0.1 s. "
        "See whether it runs on this machine, with the same 'link.control'."
    )


def test_a_word_that_comes_late_is_not_carried_out(stranger, actor, monkeypatch):
    late = ticket(stranger)
    monkeypatch.setattr(control, "TICKET_S", -1.0)  # it is older than that by now
    answer = stranger(word(late)).fields
    assert answer["done"] is False
    assert answer["text"] == "'arm' came too late or twice, so it was not done. Ask again."
    assert actor.heard == []


def test_a_word_that_comes_twice_is_carried_out_once(stranger, actor):
    once = ticket(stranger)
    assert stranger(word(once)).fields["done"] is True
    assert stranger(word(once)).fields["done"] is False
    assert actor.heard == [("arm", {})]


def test_a_word_without_a_ticket_is_not_carried_out(stranger, actor):
    assert stranger(word("invented")).fields["done"] is False
    assert actor.heard == []


def test_tickets_do_not_fill_the_memory(server, stranger):
    for _ in range(1000):
        last = stranger(encode_single(Message("control_hello", {"nonce": "n"}))).fields
    assert len(server._tickets) == 64
    assert last["text"] == "too many ask at once. Ask again."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RLPD",
        b"\xff" * 100,
        encode_single(Message("control_hello")),
        encode_single(Message("control_hello", {"nonce": 5})),
        encode_single(Message("hello", {"nonce": "n"})),
        word("t", arguments=[]),
        word("t", arguments={"a": 1}),
        word(7),
    ],
)
def test_rubbish_is_counted(server, stranger, actor, data):
    stranger(data, answered=False)
    wait_until(lambda: server.stats()["rubbish"] == 1)
    assert ask(server.address, "arm") == "did arm"


def test_what_is_too_large_never_arrives(server, stranger, actor):
    stranger(b"x" * (MAX_MESSAGE_BYTES + 1), answered=False)
    assert ask(server.address, "arm") == "did arm"
    assert server.stats()["rubbish"] == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_make_it_do_something(noise, at, byte):
    heard = []
    server = object.__new__(ControlServer)
    server._handle = lambda *words: heard.append(words) or "done"
    server._tickets, server._done, server._refused = {}, 0, 0
    mutated = bytearray(word("t"))
    mutated[at % len(mutated)] = byte
    for data in (noise, bytes(mutated)):
        with contextlib.suppress(control.ProtocolError, control.PeerVersionError):
            server._answer(decode_single(data, "stranger", MAX_MESSAGE_BYTES), "stranger")
    assert heard == []


def test_a_bug_in_a_word_shows(server):
    with pytest.raises(PeerTimeoutError):
        ask(server.address, "break", timeout_s=0.5)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        server.check()


def test_many_may_ask_at_the_same_time(server, actor):
    threads = [threading.Thread(target=ask, args=(server.address, "arm")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(actor.heard) == 8


def test_only_loopback_without_a_word():
    with pytest.raises(ConfigError, match="link.insecure=true"):
        ask("tcp://192.0.2.1:5563", "arm")


def test_closing_twice_is_harmless(actor):
    server = ControlServer(ANY_PORT, actor)
    server.close()
    server.close()
