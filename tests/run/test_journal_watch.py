"""When an actor warns, when it takes no new episode, and when it goes on."""

import pytest

from rlpd_robot.errors import StoreError
from rlpd_robot.run.journal_watch import JournalWatch


class FakeJournal:
    directory = "journal"
    fill = 0.0
    size = 2_000_000_000
    trouble = None


@pytest.fixture
def watched():
    """(journal, watch, what it told, the clock's hand)."""
    told, time = [], [100.0]
    journal = FakeJournal()
    return journal, JournalWatch(journal, lambda text, severity: told.append(text), lambda: time[0]), told, time


def test_it_warns_twice_on_the_way_and_again_after_it_was_empty(watched):
    journal, watch, told, _ = watched
    for fill in (0.1, 0.49, 0.5, 0.51, 0.7, 0.8, 0.9, 0.99, 0.6, 0.85, 0.1, 0.55):
        journal.fill = fill
        watch.look()
    assert [text[:32] for text in told] == [f"The actor's journal is {p} % full" for p in ("50", "80", "55")]


def test_a_full_journal_takes_no_new_episode_until_the_learner_has_taken_enough(watched):
    journal, watch, told, time = watched
    journal.fill = 0.99
    assert watch.has_room()
    journal.fill = 1.0
    assert not watch.has_room()
    assert told == [
        "No new episode begins: the actor's journal 'journal' is full (2000 MB). Start the learner, or raise "
        "actor.journal_mb."
    ]
    journal.fill = 0.9
    time[0] += 4.9
    assert not watch.has_room()
    assert len(told) == 1
    time[0] += 0.2
    assert not watch.has_room()
    assert len(told) == 2
    journal.fill = 0.79
    assert watch.has_room()
    assert told[2:] == ["The actor's journal is down to 79 %: episodes go on."]


def test_a_disk_that_refuses_ends_the_episode_and_lets_none_begin(watched):
    journal, watch, told, _ = watched
    journal.trouble = StoreError("journal", "the disk refuses (No space left on device)", "Make room.")
    with pytest.raises(StoreError, match="No space left on device"):
        watch.look()
    assert not watch.has_room()
    assert "No new episode begins: Store 'journal': the disk refuses" in told[0]
    journal.trouble = None
    assert watch.has_room()
