"""Another process's messages, over real sockets."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
import zmq.auth
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.errors import AddressError, ConfigError, KeyFileError, ProtocolError
from rlpd_robot.robot.teleop.source import Event
from rlpd_robot.robot.teleop.zmq_source import LINK, ZmqTeleop, pack, unpack
from rlpd_robot.wire.keys import make_keys
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import dial
from tests.robot.teleop.arms import SPEC, START, at
from tests.wire.waiting import wait_until

ANY = "tcp://127.0.0.1:*"


def message(*position: float, enabled: bool = True, events: tuple[str, ...] = ()) -> bytes:
    return pack(np.array(position), enabled, tuple(map(Event, events)))


class Leader:
    """A leader arm: publishes, and waits until its message has been taken."""

    def __init__(self, security: Security = LOOPBACK_ONLY, **options: object) -> None:
        self.clock = at()
        self.source = ZmqTeleop(SPEC, ANY, security=security, clock=self.clock.now, **options)
        self.source.begin(START)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.PUB)
        dial(self.socket, LINK, self.source.address, security)
        wait_until(self._is_heard)
        self.socket.send(message(0, 0, enabled=False))
        wait_until(lambda: self.source.stats()["teleop_messages"] == 1)  # and every hello before it

    def _is_heard(self) -> bool:
        """A subscription takes a while to arrive."""
        self.socket.send(b"hello")
        return self.source.stats()["teleop_rubbish"] > 0

    def tell(self, *messages: bytes):
        """The next sample after all of these have come."""
        taken = sum(self.source.stats().values())
        for one in messages:
            self.socket.send(one)
        wait_until(lambda: sum(self.source.stats().values()) == taken + len(messages))
        return self.source.poll()

    def close(self) -> None:
        self.socket.close(linger=0)
        self._context.term()
        self.source.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Leader]:
    made = Leader(realign=0.0)
    yield made
    made.close()


@pytest.fixture
def leader(shared: Leader) -> Leader:
    shared.tell(message(0, 0, enabled=False))
    shared.source.begin(START)
    return shared


def test_the_robot_follows_from_where_it_stands(leader):
    assert leader.tell(message(0.9, -0.9)).action.tolist() == START.tolist()
    assert leader.tell(message(0.8, -0.8)).action.tolist() == pytest.approx([0.15, 0.1])
    sample = leader.tell(message(-0.5, 0.5, enabled=False))
    assert (sample.enabled, sample.action.tolist()) == (False, pytest.approx([0.15, 0.1]))
    assert leader.tell(message(-0.5, 0.5)).action.tolist() == pytest.approx([0.15, 0.1])  # taken again without a bump


def test_words_of_every_message_count_once(leader):
    sample = leader.tell(message(0, 0, events=("start",)), message(0, 0, events=("undo", "quit")))
    assert sample.events == (Event.START, Event.UNDO, Event.QUIT)
    assert leader.source.poll().events == ()


def test_old_messages_are_a_released_switch(leader):
    assert leader.tell(message(0.0, 0.0)).enabled
    leader.clock.s += 0.19
    assert leader.source.poll().enabled
    leader.clock.s += 0.1
    sample = leader.source.poll()
    assert (sample.enabled, sample.stamp) == (False, pytest.approx(leader.clock.s - 0.29))
    assert not leader.tell(b"rubbish").enabled  # that is no sign of life
    sample = leader.tell(message(0.7, 0.7))
    assert (sample.enabled, sample.action.tolist()) == (True, START.tolist())


def test_messages_that_came_while_nobody_looked_are_not_taken_for_new_ones(leader):
    """A reset takes its time; the first look after it must not find the messages of its beginning."""
    leader.tell(*(message(place, 0) for place in np.linspace(0, 1, 50)))
    leader.source.begin(START)
    assert leader.source.poll().action.tolist() == START.tolist()
    assert leader.tell(message(0.9, 0.0)).action[0] == pytest.approx(START[0] - 0.1)


def test_what_does_not_fit_the_robot_is_counted_and_moves_nothing(leader, caplog):
    for wrong in (message(0.5), message(0.5, 1e9)):
        assert not leader.tell(wrong).enabled
    assert leader.tell(message(0, 0, 99.0)).enabled  # more than are used


EXPECTED = {
    b"": "it is not msgpack",
    b"\xc1": "it is not msgpack",
    b"\xdd\xff\xff\xff\xff": "it is not msgpack",
    b"\x91" * 5000: "it is not msgpack",
    msgpack.packb(5): "it is no map with v=1",
    msgpack.packb({"position": [0.0], "enabled": True}): "it is no map with v=1",
    msgpack.packb({"v": 2, "position": [0.0], "enabled": True}): "it is no map with v=1",
    msgpack.packb({"v": True, "position": [0.0], "enabled": True}): "it is no map with v=1",
    msgpack.packb({"v": 1, "position": 0.0, "enabled": True}): "'position' is no list of finite numbers",
    msgpack.packb({"v": 1, "position": [math.nan], "enabled": True}): "'position' is no list",
    msgpack.packb({"v": 1, "position": [math.inf], "enabled": True}): "'position' is no list",
    msgpack.packb({"v": 1, "position": ["1"], "enabled": True}): "'position' is no list",
    msgpack.packb({"v": 1, "position": [True], "enabled": True}): "'position' is no list",
    msgpack.packb({"v": 1, "position": [0.0]}): "'enabled' is 'None'",
    msgpack.packb({"v": 1, "position": [0.0], "enabled": 1}): "'enabled' is '1'",
    msgpack.packb({"v": 1, "position": [0.0], "enabled": True, "events": "start"}): "'events' is 'start'",
    msgpack.packb({"v": 1, "position": [0.0], "enabled": True, "events": [3]}): "'events' is",
    msgpack.packb({"v": 1, "position": [0.0], "enabled": True, "events": ["start"] * 17}): "'events' is",
    msgpack.packb({"v": 1, "position": [0.0], "enabled": True, "events": ["explode"]}): "there is no event 'explode'",
}


@pytest.mark.parametrize("data", EXPECTED)
def test_rubbish_is_no_message(data):
    with pytest.raises(ProtocolError, match=EXPECTED[data]):
        unpack([data], "a device")


def test_two_frames_are_no_message():
    with pytest.raises(ProtocolError, match="2 frames"):
        unpack([message(0.0), b""], "a device")


@settings(max_examples=50)
@given(st.binary(max_size=8), st.integers(0, 40), st.integers(0, 40))
def test_whatever_the_bytes_are_only_our_own_error_comes_out(noise, start, end):
    whole = message(0.5, -0.25, events=("start",))
    with contextlib.suppress(ProtocolError):
        told = unpack([whole[:start] + noise + whole[end:]], "a device")
        assert np.isfinite(told.position).all()


@settings(max_examples=50)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    st.booleans(),
    st.lists(st.sampled_from(Event), max_size=9),
)
def test_a_message_comes_back(position, enabled, events):
    told = unpack([pack(np.array(position), enabled, tuple(events))], "a device")
    assert (told.position.tolist(), told.enabled, told.events) == (position, enabled, tuple(events))


def test_the_bytes_of_the_documentation():
    """docs/recording.md shows this message."""
    shown = """
        83 a1 76 01
        a8 70 6f 73 69 74 69 6f 6e 92 cb 3f e0 00 00 00 00 00 00 cb bf d0 00 00 00 00 00 00
        a7 65 6e 61 62 6c 65 64 c3
    """
    page = (Path(__file__).parents[3] / "docs/recording.md").read_text()
    assert " ".join(shown.split()) in " ".join(page.split())
    told = unpack([bytes.fromhex(shown)], "a device")
    assert (told.position.tolist(), told.enabled, told.events) == ([0.5, -0.25], True, ())


def test_the_offset_goes_away_where_asked_for_and_what_is_not_led_stays():
    leader = Leader(realign=1.0, joints={"target.0": 0}, unit="command")  # a tenth of an action unit in each poll
    leader.tell(message(0.0))
    places = np.array([leader.source.poll().action for _ in range(8)])
    assert np.allclose(places[:3, 0], [0.15, 0.05, 0.0])  # the first poll was one
    assert (places[:, 1] == START[1]).all()
    leader.close()


def test_a_link_with_keys_takes_the_operator_and_nobody_else(tmp_path):
    make_keys(tmp_path / "keys")
    keys = Security(str(tmp_path / "keys"))
    leader = Leader(security=keys)
    assert leader.tell(message(0.0, 0.0)).enabled
    before = leader.source.stats()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stranger = context.socket(zmq.PUB)
    stranger.setsockopt(zmq.LINGER, 0)
    dial(stranger, LINK, leader.source.address)
    for _ in range(20):
        stranger.send(message(1.0, 1.0))
        leader.tell(message(0.0, 0.0))  # comes through meanwhile
    assert leader.source.stats()["teleop_messages"] == before["teleop_messages"] + 20
    stranger.close()
    # and a device that knows nothing of this toolkit
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(tmp_path / "keys/operator.key_secret")
    socket.curve_serverkey, _ = zmq.auth.load_certificate(tmp_path / "keys/actor.key")
    socket.connect(leader.source.address)
    heard = leader.source.stats()["teleop_messages"]
    wait_until(lambda: socket.send(message(0.0, 0.0)) or leader.source.stats()["teleop_messages"] > heard)
    socket.close()
    context.term()
    leader.close()


def test_addresses_that_cannot_be_used(leader, tmp_path):
    with pytest.raises(AddressError, match="the port is in use"):
        ZmqTeleop(SPEC, leader.source.address)
    with pytest.raises(AddressError, match="other machines could reach it"):
        ZmqTeleop(SPEC, "tcp://0.0.0.0:*")
    with pytest.raises(KeyFileError):
        ZmqTeleop(SPEC, ANY, Security(str(tmp_path)))
    with pytest.raises(ConfigError, match=r"teleop.stale_s' must be a positive time"):
        ZmqTeleop(SPEC, ANY, stale_s=math.nan)
