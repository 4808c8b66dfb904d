import contextlib
import threading

import numpy as np
import pytest
import zmq

from rlpd_robot.errors import ConfigError, DataError, StoreError
from rlpd_robot.wire import messages as m
from rlpd_robot.wire import uplink as uplink_module
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.sockets import ANY_PORT
from rlpd_robot.wire.uplink import ActorUplink
from tests.wire.examples import problem, segment
from tests.wire.waiting import wait_until

BOOT = "boot-a"


class Learner:
    """An intake whose disk is a list."""

    def __init__(self, address=ANY_PORT, disk=None, accept=lambda found: None):
        self.disk = [] if disk is None else disk
        self.intake = LearnerIntake(address, "run-1", accept, self.committed)
        self.address = self.intake.address

    def committed(self, boot):
        return max((s.next_sequence for s in self.disk if s.boot == boot), default=0)

    def work(self, commit=True):
        for found in self.intake.poll(0.01):
            if commit:
                self.disk.append(found)
                self.intake.acknowledge(found.boot, found.next_sequence)

    def sequences(self, boot=BOOT):
        return [first for s in self.disk if s.boot == boot for first in range(s.first_sequence, s.next_sequence)]

    def close(self):
        self.intake.close()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def learn(stack):
    return lambda *args, **kwargs: stack.enter_context(contextlib.closing(Learner(*args, **kwargs)))


@pytest.fixture
def connect(stack, tmp_path):
    def make(address, journal=None, boot=BOOT, **kwargs):
        journal = journal or stack.enter_context(contextlib.closing(Journal(tmp_path / "own", 10)))
        return stack.enter_context(contextlib.closing(ActorUplink(address, boot, problem(), True, journal, **kwargs)))

    return make


@pytest.fixture
def journal(stack, tmp_path):
    return stack.enter_context(contextlib.closing(Journal(tmp_path, 10)))


def test_everything_offered_arrives_in_order(learn, connect, journal):
    learner = learn()
    uplink = connect(learner.address, journal)
    for i in range(100):
        uplink.offer(segment(first=i))
    wait_until(lambda: learner.work() or len(learner.disk) == 100)
    assert all(s.same_as(segment(first=i)) for i, s in enumerate(learner.disk))
    assert uplink.flush(10)
    assert uplink.committed == 100
    assert uplink.connected
    stats = uplink.stats()
    assert (stats["sent"], stats["sent_again"], stats["uncommitted"], stats["connected"]) == (100, 0, 0, 1)
    uplink.close()
    journal.close()
    assert list(journal.directory.glob("*.journal")) == []


def test_flush_says_when_something_is_not_committed(learn, connect):
    learner = learn()
    uplink = connect(learner.address)
    assert uplink.flush(0)
    uplink.offer(segment())
    wait_until(lambda: learner.work(commit=False) or learner.intake.stats()["received"])
    assert not uplink.flush(0.05)


def test_the_learner_may_come_later(learn, connect, journal):
    first = learn()
    address = first.address
    first.close()
    uplink = connect(address, journal)
    for i in range(30):
        uplink.offer(segment(first=i))
    assert not uplink.connected
    assert uplink.refusal is None
    assert not uplink.flush(0.05)
    learner = learn(address)
    wait_until(lambda: learner.work() or len(learner.disk) == 30)
    assert learner.sequences() == list(range(30))


def test_a_restarted_learner_gets_what_it_had_not_committed(learn, connect, journal):
    learner = learn()
    address, disk = learner.address, learner.disk
    uplink = connect(address, journal)
    for i in range(10):
        uplink.offer(segment(first=i))
    wait_until(lambda: learner.work() or len(disk) == 10)
    for i in range(10, 20):
        uplink.offer(segment(first=i))
    wait_until(lambda: learner.work(commit=False) or learner.intake.stats()["received"] == 20)
    learner.close()
    uplink.offer(segment(first=20, n=5))
    learner = learn(address, disk)
    wait_until(lambda: learner.work() or learner.committed(BOOT) == 25)
    assert learner.sequences() == list(range(25))
    # A greeting that was repeated, since the learner took its time, is answered twice, and all is sent again.
    duplicates = learner.intake.stats()["duplicates"]
    assert duplicates in (0, 15)
    assert uplink.stats()["sent_again"] - duplicates in (
        10,
        15,
    )  # the last may have left before the connection was known to be dead


def test_a_segment_lost_on_the_way_is_noticed_by_the_next_heartbeat(connect):
    """A learner that received less than was sent, on a connection that never broke."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        uplink = connect(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
        uplink.offer(segment(n=2))
        uplink.offer(segment(first=2))

        def hear():
            assert sock.poll(20_000)
            identity, data = sock.recv_multipart()
            return identity, m.from_bytes(data, "actor")

        def reply(message):
            sock.send_multipart([identity, m.to_bytes(message)])

        identity, hello = hear()
        assert hello == m.ActorHello(BOOT, problem(), True, next_sequence=0)
        reply(m.LearnerWelcome("r", problem().fingerprint, BOOT, 0, 0))
        assert [hear()[1].segment.first_sequence for _ in range(2)] == [0, 2]
        _, heartbeat = hear()
        assert isinstance(heartbeat, m.Heartbeat)
        reply(m.Ack(BOOT, 0, received=0))  # proves nothing: it may have crossed the segments
        reply(m.Ack(BOOT, 2, received=2, reply_to=heartbeat.number))
        again = hear()[1]
        while isinstance(again, m.Heartbeat):
            again = hear()[1]
        assert again.segment.same_as(segment(first=2))
        assert uplink.committed == 2


def test_an_end_that_was_lost_is_sent_again_although_nothing_follows(connect):
    """A robot that was stopped by a fault: no transition comes after the end."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        uplink = connect(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
        uplink.offer(segment(n=2))
        uplink.end_episode(0, "truncated", "the robot fell silent")
        end = m.EpisodeEnd(BOOT, 2, 0, "truncated", "the robot fell silent")

        def hear(*kinds):
            while sock.poll(20_000):
                identity, data = sock.recv_multipart()
                if isinstance(message := m.from_bytes(data, "actor"), kinds):
                    return identity, message
            raise AssertionError("no answer")

        identity, _ = hear(m.ActorHello)
        sock.send_multipart([identity, m.to_bytes(m.LearnerWelcome("r", problem().fingerprint, BOOT, 0, 0))])
        assert hear(m.SegmentMessage)[1].segment.next_sequence == 2
        assert hear(m.EpisodeEnd)[1] == end
        _, heartbeat = hear(m.Heartbeat)
        sock.send_multipart([identity, m.to_bytes(m.Ack(BOOT, 0, 2, heartbeat.number, episode_open=True))])
        assert hear(m.EpisodeEnd, m.SegmentMessage)[1] == end
        assert not uplink.flush(0)
        sock.send_multipart([identity, m.to_bytes(m.Ack(BOOT, 2, 2))])
        assert uplink.flush(20)


def test_a_dead_actor_s_last_end_is_delivered(learn, connect, stack, tmp_path):
    dead = Journal(tmp_path, 10, problem().fingerprint)
    dead.append(segment("dead", n=3))
    dead.append(m.EpisodeEnd("dead", 3, 0, "truncated", "the robot fell silent"))
    dead.close()
    learner, got = learn(), []
    uplink = connect(learner.address, stack.enter_context(contextlib.closing(Journal(tmp_path, 10))))
    wait_until(lambda: got.extend(learner.intake.poll(0.01)) or len(got) == 2)
    assert got[1] == m.EpisodeEnd("dead", 3, 0, "truncated", "the robot fell silent")
    assert learner.intake.ended() == ["dead"]
    learner.intake.acknowledge("dead", 3)
    assert uplink.flush(20)


def test_a_new_welcome_tells_where_to_go_on(connect):
    """A restarted learner, whose answers to heartbeats never come."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        uplink = connect(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
        for i in range(3):
            uplink.offer(segment(first=i))

        def hear(cls):
            while sock.poll(20_000):
                identity, data = sock.recv_multipart()
                if isinstance(message := m.from_bytes(data, "actor"), cls):
                    return identity, message
            raise AssertionError("no answer")

        for expected in ([0, 1, 2], [1, 2]):
            identity, _ = hear(m.ActorHello)
            welcome = m.LearnerWelcome("r", problem().fingerprint, BOOT, 0, expected[0])
            sock.send_multipart([identity, m.to_bytes(welcome)])
            assert [hear(m.SegmentMessage)[1].segment.first_sequence for _ in expected] == expected
            sock.send_multipart([identity, m.to_bytes(m.SayHello())])


def test_grants_and_heartbeats(learn, connect):
    learner = learn()
    uplink = connect(learner.address)
    uplink.set_heartbeat({"lateness": np.float32(0.5)})
    assert uplink.granted is None
    assert uplink.wait_grant(1, 0.01) is None
    wait_until(lambda: learner.work() or learner.intake.actors().get(BOOT))
    learner.intake.grant(BOOT, 10, 3)
    assert uplink.wait_grant(10, 10) == m.Grant(BOOT, 10, 3)
    assert uplink.granted == m.Grant(BOOT, 10, 3)
    assert uplink.wait_grant(11, 0.01) is None
    wait_until(lambda: learner.work() or learner.intake.actors()[BOOT].stats == {"lateness": 0.5})
    uplink.tell("hello", "info")
    wait_until(lambda: learner.work() or learner.intake.events())


def test_a_grant_outlives_the_learner_that_lost_it(learn, connect):
    learner = learn()
    uplink = connect(learner.address)
    wait_until(lambda: learner.work() or learner.intake.actors().get(BOOT))
    learner.intake._boots[BOOT].grant = m.Grant(BOOT, 10, 3)  # as if the message had been lost
    stop = threading.Event()

    def work():
        while not stop.is_set():
            learner.work()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert uplink.wait_grant(10, 10) is not None
    finally:
        stop.set()
        thread.join(10)


def test_a_refusal_is_passed_on_and_forgotten_when_another_learner_welcomes(learn, connect, journal):
    learner = learn(accept=lambda found: f"no {found.task} here")
    address = learner.address
    uplink = connect(address, journal)
    uplink.offer(segment())
    wait_until(lambda: learner.work() or uplink.refusal)
    assert uplink.refusal == "no reach here"
    assert not uplink.connected
    assert not uplink.flush(60)  # at once
    assert uplink.wait_grant(1, 60) is None
    assert learner.disk == []
    learner.close()
    learner = learn(address)
    wait_until(lambda: learner.work() or learner.disk)
    wait_until(lambda: uplink.refusal is None)


def test_another_version_is_a_refusal(connect):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as sock:
        uplink = connect(f"tcp://127.0.0.1:{sock.bind_to_random_port('tcp://127.0.0.1')}")
        identity, _ = sock.recv_multipart()
        sock.send_multipart([identity, b"rubbish"])
        sock.send_multipart([identity, m.to_bytes(m.SayHello()).replace(b"\xa1v\x01", b"\xa1v\x02")])
        refusal = wait_until(lambda: uplink.refusal)
        assert refusal.endswith(
            "speaks protocol version 2, this side speaks 1. Install the same rlpd-robot version on both machines."
        )
        assert uplink.stats()["rubbish"] == 1


def test_what_a_dead_actor_left_is_delivered_by_its_successor(learn, connect, stack, tmp_path):
    dead = Journal(tmp_path, 10, problem().fingerprint)
    for i in range(20):
        dead.append(segment("dead", first=i))
    dead.close()
    pen = Journal(tmp_path, 10, problem("pen").fingerprint)
    pen.append(segment("pen"))
    pen.close()
    learner = learn(disk=[segment("dead", n=5)])
    journal = stack.enter_context(contextlib.closing(Journal(tmp_path, 10)))
    uplink = connect(learner.address, journal)
    uplink.offer(segment())
    wait_until(lambda: learner.work() or (learner.committed(BOOT) == 1 and learner.committed("dead") == 20))
    assert learner.sequences("dead") == list(range(20))
    assert learner.intake.ended() == ["dead"]
    assert set(learner.intake.actors()) == {BOOT}
    assert uplink.flush(10)
    assert learner.committed("pen") == 0
    uplink.close()
    journal.close()
    assert [p.name.split("-")[1] for p in tmp_path.glob("*.journal")] == ["pen.journal"]


def test_an_error_in_the_thread_reaches_the_caller(learn, connect, journal, monkeypatch):
    learner = learn()
    uplink = connect(learner.address, journal)

    def fail(sequence, boot):
        raise StoreError(journal.directory, "the disk is gone", "Mount it.")

    monkeypatch.setattr(journal, "trim", fail)
    uplink.offer(segment())
    wait_until(lambda: learner.work() or not uplink._thread.is_alive())
    for call in (
        lambda: uplink.offer(segment(first=1)),
        lambda: uplink.end_episode(0, "truncated", "a stop"),
        lambda: uplink.flush(60),
        lambda: uplink.wait_grant(1, 60),
        lambda: uplink.set_heartbeat({}),
    ):
        with pytest.raises(StoreError, match="the disk is gone"):
            call()


def test_what_cannot_be_offered(learn, connect, stack, tmp_path):
    uplink = connect(learn().address, max_bytes=20_000)
    with pytest.raises(DataError, match="boot other"):
        uplink.offer(segment("other"))
    with pytest.raises(DataError, match="at most 20000 bytes"):
        uplink.offer(segment(n=1000))
    uplink.end_episode(0, "truncated", "nothing goes on: no end to be told")
    uplink.offer(segment())
    with pytest.raises(DataError, match=r"it is of episode 1\. Expected the end of episode 0 before it"):
        uplink.offer(segment(first=1, episode=1))
    with pytest.raises(DataError, match=r"it is of episode 1\. Expected one of episode 0"):
        uplink.end_episode(1, "truncated", "a stop")
    with pytest.raises(DataError, match="ending is 'terminated'"):
        uplink.end_episode(0, "terminated", "solved")
    with pytest.raises(ConfigError, match=r"link\.insecure=true"):
        connect("tcp://10.0.0.7:5561", stack.enter_context(contextlib.closing(Journal(tmp_path / "another", 10))))


def test_what_was_offered_is_journalled_when_offer_returns(learn, connect, journal, monkeypatch):
    """Also while the disk takes its time to make it durable."""
    uplink = connect(learn().address, journal)
    gate = threading.Event()
    monkeypatch.setattr("os.fsync", lambda descriptor: gate.wait(20))
    for i in range(50):
        uplink.offer(segment(first=i))
        assert [r.first for r in journal.read_from(i)] == [i]
    uplink.end_episode(0, "truncated", "a stop")
    assert [r.after for r in journal.read_from(50)] == [(50, True)]
    gate.set()


def test_closing_leaves_what_was_offered_in_the_journal(learn, connect, journal):
    learner = learn()
    address = learner.address
    learner.close()
    uplink = connect(address, journal)
    for i in range(50):
        uplink.offer(segment(first=i))
    uplink.close()
    uplink.close()
    assert [r.first for r in journal.read_from(0)] == list(range(50))


def test_unsent_data_is_not_kept_in_memory(learn, connect, journal, monkeypatch):
    monkeypatch.setattr("rlpd_robot.wire.outbox.READ_AHEAD_BYTES", 2000)
    learner = learn()
    address = learner.address
    learner.close()
    uplink = connect(address, journal)
    for i in range(200):
        uplink.offer(segment(first=i))
    wait_until(lambda: uplink.stats()["outbox"] == 0)
    assert uplink._own._ahead_bytes < 4000
    learner = learn(address)
    wait_until(lambda: learner.work() or len(learner.disk) == 200)
    assert learner.sequences() == list(range(200))


def test_a_learner_that_falls_silent_is_not_connected(learn, connect, monkeypatch):
    monkeypatch.setattr(uplink_module, "CONNECTED_S", 0.1)
    learner = learn()
    uplink = connect(learner.address)
    wait_until(lambda: learner.work() or uplink.connected)
    wait_until(lambda: not uplink.connected)
    wait_until(lambda: learner.work() or uplink.connected)
