import contextlib
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.wire import outbox as outbox_module
from rlpd_robot.wire.journal import Journal, Record
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.outbox import Stream
from tests.wire.examples import segment


def send_all(stream):
    sent = []
    while (record := stream.head()) is not None:
        sent.append(record.first)
        stream.sent()
    return sent


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(tmp_path, 10)) as journal:
        yield journal


def filled(journal, n=10):
    stream = Stream("boot-a", 0, (0, True), journal)
    for i in range(n):
        stream.append(journal.append(segment(first=i)))
    return stream


def test_segments_go_in_order_and_once(journal):
    stream = filled(journal)
    assert send_all(stream) == list(range(10))
    assert stream.head() is None
    assert not stream.delivered
    stream.acknowledge(10)
    assert stream.delivered
    assert stream.again == 0


def test_after_a_loss_it_goes_on_from_what_was_received(journal):
    stream = filled(journal)
    send_all(stream)
    stream.acknowledge(3)
    stream.rewind((6, False))
    assert send_all(stream) == [6, 7, 8, 9]
    assert stream.again == 4
    stream.rewind((0, True))  # a new learner cannot have what was acknowledged and forgotten
    assert send_all(stream) == [3, 4, 5, 6, 7, 8, 9]


def test_what_the_learner_has_already_is_not_sent(journal):
    stream = filled(journal)
    stream.acknowledge(4)
    assert send_all(stream) == [4, 5, 6, 7, 8, 9]


def test_memory_is_bounded_by_the_journal(journal, monkeypatch):
    monkeypatch.setattr(outbox_module, "READ_AHEAD_BYTES", 1000)
    stream = filled(journal, 50)
    assert stream._ahead_bytes < 2000
    assert send_all(stream) == list(range(50))
    stream.rewind((20, False))
    stream.append(journal.append(segment(first=50)))
    assert stream._ahead_bytes < 2000
    assert send_all(stream) == list(range(20, 51))


@given(st.lists(st.tuples(st.sampled_from("aeesrk"), st.integers(0, 40), st.booleans()), max_size=60))
def test_whatever_happens_nothing_is_skipped(steps):
    """Any order of appending, ending, sending, rewinding and acknowledging sends every sequence and every end."""
    with tempfile.TemporaryDirectory() as directory, contextlib.closing(Journal(directory, 10)) as journal:
        stream = Stream("boot-a", 0, (0, True), journal)
        ends, ended = {0}, {0}  # where episodes end, and where the receiver knows so
        received = 0
        for step, number, flag in steps:
            last = stream.end[0]
            if step == "a":
                stream.append(journal.append(segment(first=last, n=1 + number % 3, ending="truncated" if flag else "")))
                ends |= {stream.end[0]} if flag else set()
            elif step == "e" and last not in ends:
                stream.append(journal.append(EpisodeEnd("boot-a", last, 0, "truncated", "a stop")))
                ends |= {last}
            elif step == "s" and (record := stream.head()) is not None:
                assert record.first <= stream.position[0]
                stream.sent()
                if not flag:  # arrived
                    received, ended = take(record, received, ends, ended)
            elif step == "r":
                stream.rewind((received, received in ended))
            elif step == "k" and (done := [n for n in ended if n <= min(number, received)]):
                stream.acknowledge(max(done))
            assert (stream.committed, True) <= stream.position <= stream.end
        stream.rewind((received, received in ended))
        while (record := stream.head()) is not None:
            stream.sent()
            received, ended = take(record, received, ends, ended)
        assert received == stream.end[0]
        assert ended == {n for n in ends if n <= received}


def take(record, received, ends, ended):
    """What a learner makes of a record: (received, ended)."""
    if record.first > received or (record.next > received and received in ends - ended):
        return received, ended  # a gap
    if record.next >= received and record.ends:
        ended = ended | {record.next}
    return max(received, record.next), ended


def test_a_segment_that_does_not_follow_is_refused(journal):
    stream = filled(journal, 3)
    with pytest.raises(DataError, match=r"boot boot-a starts at sequence 5\. Expected boot boot-a, sequence 3"):
        stream.append(Record("boot-a", 5, 6, False, b""))


def test_a_journal_with_a_hole_is_told(journal, tmp_path):
    stream = filled(journal, 3)
    send_all(stream)
    for path in tmp_path.glob("*.journal"):
        path.write_bytes(b"")
    stream.rewind((1, False))
    with pytest.raises(StoreError, match="transition 1 of boot boot-a should be in it, and is not"):
        stream.head()
