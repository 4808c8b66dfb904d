import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.wire import outbox as outbox_module
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.outbox import MemoryLog, Stream
from tests.wire.examples import segment


def send_all(stream):
    sent = []
    while (record := stream.head()) is not None:
        sent.append(record.first)
        stream.sent()
    return sent


def filled(log, n=10):
    stream = Stream("boot-a", 0, 0, log)
    for i in range(n):
        stream.append(segment(first=i))
    return stream


def test_segments_go_in_order_and_once():
    stream = filled(MemoryLog())
    assert send_all(stream) == list(range(10))
    assert stream.head() is None
    assert not stream.delivered
    stream.acknowledge(10)
    assert stream.delivered
    assert stream.again == 0


def test_after_a_loss_it_goes_on_from_what_was_received():
    stream = filled(MemoryLog())
    send_all(stream)
    stream.acknowledge(3)
    stream.rewind(6)
    assert send_all(stream) == [6, 7, 8, 9]
    assert stream.again == 4
    stream.rewind(0)  # a new learner cannot have what was acknowledged and forgotten
    assert send_all(stream) == [3, 4, 5, 6, 7, 8, 9]


def test_what_the_learner_has_already_is_not_sent():
    stream = filled(MemoryLog())
    stream.acknowledge(4)
    assert send_all(stream) == [4, 5, 6, 7, 8, 9]


def test_memory_is_bounded_by_the_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "READ_AHEAD_BYTES", 1000)
    journal = Journal(tmp_path, 10)
    stream = filled(journal, 50)
    assert stream._ahead_bytes < 2000
    assert send_all(stream) == list(range(50))
    stream.rewind(20)
    stream.append(segment(first=50))
    assert stream._ahead_bytes < 2000
    assert send_all(stream) == list(range(20, 51))
    journal.close()


@given(st.lists(st.tuples(st.sampled_from("asrk"), st.integers(0, 40)), max_size=60))
def test_whatever_happens_nothing_is_skipped(steps):
    """Any order of appending, sending, rewinding and acknowledging sends consecutive sequences."""
    stream = Stream("boot-a", 0, 0, MemoryLog())
    for step, number in steps:
        if step == "a":
            stream.append(segment(first=stream.end, n=1 + number % 3))
        elif step == "s" and (record := stream.head()) is not None:
            assert record.first <= stream.cursor < record.next
            stream.sent()
            assert stream.cursor == record.next
        elif step == "r":
            stream.rewind(number)
        elif step == "k":
            stream.acknowledge(min(number, stream.cursor))
        assert stream.committed <= stream.cursor <= stream.end
    send_all(stream)
    assert stream.cursor == stream.end


def test_a_segment_that_does_not_follow_is_refused():
    stream = filled(MemoryLog(), 3)
    with pytest.raises(DataError, match=r"boot boot-a starts at sequence 5\. Expected boot boot-a, sequence 3"):
        stream.append(segment(first=5))


def test_a_journal_with_a_hole_is_told(tmp_path):
    journal = Journal(tmp_path, 10)
    stream = filled(journal, 3)
    send_all(stream)
    for path in tmp_path.glob("*.journal"):
        path.write_bytes(b"")
    stream.rewind(1)
    with pytest.raises(StoreError, match="transition 1 of boot boot-a should be in it, and is not"):
        stream.head()
    journal.close()


def test_memory_that_is_full_is_told():
    log = MemoryLog(budget_mb=0.002)
    with pytest.raises(StoreError, match="MB of transitions wait for a learner. Start the learner, or give"):
        filled(log, 50)
