"""The learner's end, spoken to by hand."""

import contextlib
import re

import msgpack
import numpy as np
import pytest
import zmq

from rlpd_robot.errors import AddressError
from rlpd_robot.wire import messages as m
from rlpd_robot.wire.codec import Message, encode_single
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.sockets import ANY_PORT
from tests.wire.examples import problem, segment
from tests.wire.waiting import wait_until


class Actor:
    """A DEALER that says whatever the test wants, with the intake's pump turned by hand."""

    def __init__(self, stack, intake):
        self.intake = intake
        self.socket = stack.enter_context(stack.enter_context(zmq.Context()).socket(zmq.DEALER))
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(intake.address)

    def say(self, *messages):
        for message in messages:
            self.socket.send(m.to_bytes(message))

    def hear(self):
        """The next message, pumping the intake meanwhile."""

        def received():
            self.intake.pump(0.01)
            return self.socket.poll(0)

        wait_until(received)
        return m.from_bytes(self.socket.recv(), "learner")

    def greet(self, boot="boot-a", next_sequence=0, end=-1, end_told=False):
        self.say(m.ActorHello(boot, problem(), True, next_sequence, end, end_told))
        return self.hear()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def intake(stack):
    return stack.enter_context(contextlib.closing(LearnerIntake(ANY_PORT, "run-1", refuse_pens, lambda boot: 0)))


def refuse_pens(found):
    return f"this run is about doors, not about {found.task}s" if found.task == "pen" else None


def spans(segments):
    return [(s.boot, s.first_sequence, s.next_sequence) for s in segments]


def receive(intake, n):
    got = []
    wait_until(lambda: got.extend(intake.poll(0.01)) or sum(len(s) for s in got) >= n)
    return got


def test_segments_come_in_order_without_gap_or_duplicate(stack, intake):
    actor = Actor(stack, intake)
    welcome = actor.greet()
    assert welcome == m.LearnerWelcome("run-1", problem().fingerprint, "boot-a", committed=0, received=0)
    parts = [(0, 2), (0, 2), (2, 1), (5, 2), (1, 4), (5, 1), (6, 3)]
    actor.say(*(m.SegmentMessage(segment(first=first, n=n)) for first, n in parts))
    got = receive(intake, 9)
    assert spans(got) == [("boot-a", a, b) for a, b in ((0, 2), (2, 3), (3, 5), (5, 6), (6, 9))]
    whole = segment(first=0, n=9)
    assert np.array_equal(np.concatenate([s.rewards for s in got]), whole.rewards)
    assert np.array_equal(got[2].observations, whole.observations[3:6])
    assert got[2].first_step == 2
    stats = intake.stats()
    assert (stats["received"], stats["duplicates"], stats["gaps"]) == (9, 4, 1)


def test_an_acknowledgement_is_sent_and_counted(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    actor.say(m.SegmentMessage(segment(n=3)))
    receive(intake, 3)
    intake.acknowledge("boot-a", 2)
    intake.acknowledge("boot-a", 1)  # older: not sent
    intake.acknowledge("unknown", 1)
    assert actor.hear() == m.Ack("boot-a", 2, received=3, episode_open=True)
    assert intake.stats()["committed"] == 2


def test_a_heartbeat_is_answered_with_what_arrived_and_the_grant(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    intake.grant("boot-a", 10, 3)
    assert actor.hear() == m.Grant("boot-a", 10, 3)
    actor.say(m.SegmentMessage(segment(n=3)), m.Heartbeat(7, {"lateness": 0.5}))
    assert actor.hear() == m.Ack("boot-a", 0, received=3, reply_to=7, episode_open=True)
    assert actor.hear() == m.Grant("boot-a", 10, 3)
    info = intake.actors()["boot-a"]
    assert (info.problem, info.lockstep, info.next_sequence, info.stats) == (problem(), True, 3, {"lateness": 0.5})


def test_pump_keeps_segments_for_the_next_poll(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    actor.say(m.SegmentMessage(segment(n=3)), m.Heartbeat(1))
    actor.hear()
    assert spans(intake.poll(0.0)) == [("boot-a", 0, 3)]
    assert intake.poll(0.0) == []


def test_a_stranger_is_asked_for_its_name(stack, intake):
    actor = Actor(stack, intake)
    actor.say(m.SegmentMessage(segment()))
    assert actor.hear() == m.SayHello()
    actor.say(m.Heartbeat(1))
    assert actor.hear() == m.SayHello()
    actor.greet()
    reconnected = Actor(stack, intake)
    reconnected.greet()
    actor.say(m.SegmentMessage(segment()))  # the old connection is nobody's any more
    assert actor.hear() == m.SayHello()
    assert intake.poll(0.0) == []


def test_another_problem_is_refused_with_the_reason(stack, intake):
    actor = Actor(stack, intake)
    actor.say(m.ActorHello("boot-a", problem("pen"), True, 0))
    assert actor.hear() == m.Refused("this run is about doors, not about pens")
    assert intake.actors() == {}


def test_a_restarted_learner_goes_on_from_its_disk(stack):
    intake = stack.enter_context(contextlib.closing(LearnerIntake(ANY_PORT, "r", refuse_pens, {"boot-a": 5}.get)))
    actor = Actor(stack, intake)
    assert actor.greet(next_sequence=2) == m.LearnerWelcome("r", problem().fingerprint, "boot-a", 5, 5)
    actor.say(m.SegmentMessage(segment(first=2, n=6)))
    assert spans(receive(intake, 3)) == [("boot-a", 5, 8)]


def test_an_actor_that_has_served_another_run_starts_where_it_is(stack, intake):
    actor = Actor(stack, intake)
    assert actor.greet(next_sequence=100).received == 100
    actor.say(m.SegmentMessage(segment(first=100)))
    assert spans(receive(intake, 1)) == [("boot-a", 100, 101)]
    assert intake.stats()["lost"] == 0
    assert intake.stats()["received"] == 1
    again = Actor(stack, intake)
    assert again.greet(next_sequence=105).received == 105
    assert intake.stats()["lost"] == 4


def test_the_boot_of_a_dead_actor_ends_when_all_of_it_is_here(stack, intake):
    actor = Actor(stack, intake)
    actor.greet("dead", end=3)
    actor.greet("alive")
    assert set(intake.actors()) == {"alive"}
    actor.say(m.SegmentMessage(segment("dead", n=2)))
    receive(intake, 2)
    assert intake.ended() == []
    actor.say(m.SegmentMessage(segment("dead", first=2)))
    receive(intake, 1)
    assert intake.ended() == ["dead"]


def end(sequence, episode=0, boot="boot-a"):
    return m.EpisodeEnd(boot, sequence, episode, "truncated", "a stop")


def test_the_end_of_an_episode_comes_once_and_in_its_place(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    actor.say(end(2), m.SegmentMessage(segment(n=2)), end(1), end(2, episode=7), end(2), end(2))
    actor.say(m.SegmentMessage(segment(first=2, n=2, episode=1, ending="truncated")), end(4, 1), end(2), m.Heartbeat(1))
    assert actor.hear() == m.Ack("boot-a", 0, received=4, reply_to=1)
    got = intake.poll(0.0)
    assert got[1] == end(2)
    assert spans([got[0], got[2]]) == [("boot-a", 0, 2), ("boot-a", 2, 4)]
    assert len(got) == 3
    assert intake.stats()["gaps"] == 1  # the very first


def test_an_episode_that_follows_without_the_end_of_the_one_before_waits_for_it(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    following = m.SegmentMessage(segment(first=2, episode=1))
    actor.say(m.SegmentMessage(segment(n=2)), following, m.Heartbeat(1))
    assert actor.hear() == m.Ack("boot-a", 0, received=2, reply_to=1, episode_open=True)
    assert intake.stats()["gaps"] == 1
    actor.say(end(2), following)
    got = []
    wait_until(lambda: got.extend(intake.poll(0.01)) or len(got) == 3)
    assert got[1] == end(2)
    again = actor.greet()
    assert (again.received, again.episode_open) == (3, True)


def test_the_end_that_a_dead_actor_left_is_waited_for(stack, intake):
    actor = Actor(stack, intake)
    actor.greet()
    actor.say(m.SegmentMessage(segment(n=3)))
    receive(intake, 3)
    successor = Actor(stack, intake)
    welcome = successor.greet(end=3, end_told=True)
    assert (welcome.received, welcome.episode_open) == (3, True)
    assert intake.ended() == []
    successor.say(end(3))
    wait_until(lambda: end(3) in intake.poll(0.01))
    assert intake.ended() == ["boot-a"]


def test_what_a_power_cut_took_from_a_dead_actor_is_not_waited_for(stack, intake):
    """The learner received more than the journal still holds."""
    actor = Actor(stack, intake)
    actor.greet()
    actor.say(m.SegmentMessage(segment(n=2, ending="truncated")), m.SegmentMessage(segment(first=2, episode=1)))
    receive(intake, 3)
    Actor(stack, intake).greet(end=2, end_told=True)
    assert intake.ended() == ["boot-a"]


def test_two_actors_at_once(stack, intake):
    one, two = Actor(stack, intake), Actor(stack, intake)
    one.greet("one")
    two.greet("two")
    for i in range(5):
        one.say(m.SegmentMessage(segment("one", first=i)))
        two.say(m.SegmentMessage(segment("two", first=i)))
    got = spans(receive(intake, 10))
    for boot in ("one", "two"):
        assert [first for b, first, _ in got if b == boot] == list(range(5))
    two.say(m.Event("the door is stuck", "warning"))
    wait_until(lambda: intake.pump(0.01) or intake._events)
    assert intake.events() == [("two", m.Event("the door is stuck", "warning"))]
    assert intake.events() == []


def test_rubbish_is_counted_and_another_version_told(stack, intake):
    actor = Actor(stack, intake)
    actor.socket.send(b"rubbish")
    actor.socket.send_multipart([b"two", b"frames"])
    actor.say(m.Stop("b"))
    bad = m.segment_to_message(segment())
    actor.socket.send(encode_single(Message(bad.kind, bad.fields, {**bad.arrays, "rewards": np.full(1, np.nan, "f4")})))
    assert isinstance(actor.greet(), m.LearnerWelcome)
    assert intake.stats()["rubbish"] == 4
    header = msgpack.packb({"v": 3, "kind": "actor_hello", "fields": {}, "arrays": b""})
    actor.socket.send(b"RLPD" + len(header).to_bytes(4, "little") + header + bytes(-len(header) % 8))
    pattern = r"actor \w+ on tcp://127\.0\.0\.1:\d+ speaks protocol version 3, this side speaks 1\. Install the same .*"
    assert re.fullmatch(pattern, actor.hear().reason)


def test_a_frame_that_is_too_large_ends_that_connection_only(stack):
    small = LearnerIntake(ANY_PORT, "r", refuse_pens, lambda boot: 0, max_bytes=100_000)
    stack.enter_context(contextlib.closing(small))
    large, other = Actor(stack, small), Actor(stack, small)
    large.socket.send(bytes(1_000_000))
    assert isinstance(other.greet(), m.LearnerWelcome)
    assert small.stats()["rubbish"] == 0


def test_a_port_in_use_and_an_open_address_are_refused(intake):
    with pytest.raises(AddressError, match=r"\('link\.data'\): the port is in use"):
        LearnerIntake(intake.address, "r", refuse_pens, lambda boot: 0)
    with pytest.raises(AddressError, match="other machines could reach it"):
        LearnerIntake("tcp://0.0.0.0:*", "r", refuse_pens, lambda boot: 0)
