import contextlib
import itertools

import numpy as np
import pytest
import zmq

from rlpd_robot.errors import AddressError
from rlpd_robot.wire import messages as m
from rlpd_robot.wire.policy_channel import PolicyPublisher, PolicySubscriber
from rlpd_robot.wire.sockets import ANY_PORT
from tests.wire.examples import snapshot
from tests.wire.waiting import wait_until


@pytest.fixture
def publisher():
    with contextlib.closing(PolicyPublisher(ANY_PORT)) as publisher:
        yield publisher


@pytest.fixture
def subscribe():
    with contextlib.ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(contextlib.closing(PolicySubscriber(*args, **kwargs)))


def test_every_late_joiner_is_served_at_once(publisher, subscribe):
    publisher.publish(snapshot(4))
    for _ in range(3):
        got = subscribe(publisher.address).wait(0, 10)
        assert got.version == 4
        assert np.array_equal(got.arrays["dense_0/kernel"], snapshot(4).arrays["dense_0/kernel"])
    assert publisher.stats() == {"published": 1, "subscriptions": 3, "rubbish": 0, "unauthorized": 0}


def test_a_subscriber_may_come_before_the_publisher(subscribe):
    with contextlib.closing(PolicyPublisher(ANY_PORT)) as first:
        address = first.address
    early = subscribe(address)
    assert early.poll() is None
    assert early.wait(0, 0.01) is None
    with contextlib.closing(PolicyPublisher(address)) as publisher:
        publisher.publish(snapshot(1))
        assert early.wait(1, 10).version == 1


def test_the_newest_wins(publisher, subscribe):
    lazy, keen = subscribe(publisher.address), subscribe(publisher.address)
    publisher.publish(snapshot(0))
    assert lazy.wait(0, 10).version == keen.wait(0, 10).version == 0
    for version in range(1, 51):
        publisher.publish(snapshot(version))
        assert keen.wait(version, 10).version == version
    seen = [lazy.wait(50, 10).version]
    assert seen == [50]
    assert lazy.stats()["received"] <= 3  # 0, then 50, or one that was replaced on its way
    assert lazy.poll() is None


def test_lockstep_takes_exactly_the_version_it_was_told(publisher, subscribe):
    subscriber = subscribe(publisher.address, newest_only=False)
    publisher.publish(snapshot(1))
    assert subscriber.wait(1, 10).version == 1
    for version in range(2, 7):
        publisher.publish(snapshot(version))
    assert subscriber.wait(3, 10).version == 3
    assert subscriber.wait(2, 10).version == 3  # it has a later one already
    assert subscriber.wait(4, 10).version == 4
    assert wait_until(subscriber.poll).version == 5
    assert subscriber.wait(9, 0.01) is None


def test_a_snapshot_is_returned_once(publisher, subscribe):
    subscriber = subscribe(publisher.address, newest_only=False)
    publisher.publish(snapshot(1))
    assert subscriber.wait(0, 10).version == 1
    subscribe(publisher.address).wait(0, 10)  # makes the publisher send it again, to all
    wait_until(lambda: subscriber.poll() or subscriber.stats()["repeats"])
    assert subscriber.stats()["received"] == 1


def test_the_same_version_of_a_restarted_learner_is_another_one(subscribe):
    with contextlib.closing(PolicyPublisher(ANY_PORT)) as publisher:
        address = publisher.address
        publisher.publish(snapshot(1))
        subscriber = subscribe(address)
        assert subscriber.wait(1, 10).version == 1
    with contextlib.closing(PolicyPublisher(address)) as publisher:
        publisher.publish(snapshot(1))
        assert wait_until(subscriber.poll).version == 1


def test_rubbish_and_other_versions_are_counted_never_raised(subscribe):
    with zmq.Context() as context, context.socket(zmq.XPUB) as sock:
        port = sock.bind_to_random_port("tcp://127.0.0.1")
        subscriber = subscribe(f"tcp://127.0.0.1:{port}", newest_only=False, max_bytes=1_000_000)
        sock.recv()
        sock.send(b"rubbish")
        sock.send(m.to_bytes(m.SayHello()))
        sock.send(m.to_bytes(m.PolicyMessage("p", snapshot(1))).replace(b"\xa1v\x01", b"\xa1v\x02"))
        wait_until(lambda: subscriber.poll() or subscriber.stats()["rubbish"] == 3)
        assert "speaks protocol version 2, this side speaks 1" in subscriber.refusal
        sock.send(m.to_bytes(m.PolicyMessage("p", snapshot(2))))
        assert subscriber.wait(2, 10).version == 2
        assert subscriber.refusal is None


def test_a_port_in_use_is_refused(publisher):
    with pytest.raises(AddressError, match=r"\('link\.policy'\): the port is in use"):
        PolicyPublisher(publisher.address)


def test_closing_twice_does_no_harm(publisher):
    publisher.close()
    publisher.close()


def test_whoever_subscribes_to_rubbish_without_end_is_cut_off_and_ours_come_back(publisher, subscribe):
    subscriber = subscribe(publisher.address, newest_only=False)
    publisher.publish(snapshot(1))
    assert subscriber.wait(1, 10).version == 1
    with zmq.Context() as context, context.socket(zmq.XSUB) as rude:
        rude.linger = 0
        rude.connect(publisher.address)
        rude.send(b"\x01")
        assert rude.recv()  # a policy: it is connected
        topics = itertools.count()

        def ours_is_back():
            rude.send(b"\x01topic %d" % next(topics))
            return publisher.stats()["subscriptions"] >= 3

        wait_until(ours_is_back)
    publisher.publish(snapshot(2))
    assert subscriber.wait(2, 10).version == 2
    assert publisher.stats()["rubbish"] >= 1000
