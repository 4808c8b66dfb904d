import logging
import os
import struct

import pytest

from rlpd_robot.errors import ConfigError, DataError, StoreError, StoreLockedError
from rlpd_robot.wire import journal as journal_module
from rlpd_robot.wire.journal import Journal
from tests.wire.examples import segment
from tests.wire.waiting import wait_until


def files(directory):
    return sorted(p for p in directory.iterdir() if p.suffix == ".journal")


def written(directory, boot="boot-a", n=5, fingerprint="", budget_mb=10):
    """What a killed actor leaves: n segments of two transitions, nothing closed in order."""
    journal = Journal(directory, budget_mb, fingerprint)
    for i in range(n):
        journal.append(segment(boot, first=2 * i, n=2))
    journal.close()


def test_what_was_appended_is_read(tmp_path):
    journal = Journal(tmp_path, 10)
    originals = [segment(first=i, ending="truncated" if i == 3 else "") for i in range(6)]
    for original in originals:
        journal.append(original)
    records = list(journal.read_from(2))
    assert [(r.first, r.next) for r in records] == [(i, i + 1) for i in range(2, 6)]
    assert all(r.message("here").segment.same_as(o) for r, o in zip(records, originals[2:], strict=True))
    assert journal.pending() == []
    journal.close()


def test_reading_starts_within_a_segment_with_that_segment(tmp_path):
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0, n=10))
    assert [r.first for r in journal.read_from(9)] == [0]
    assert list(journal.read_from(10)) == []
    journal.close()


def test_a_successor_finds_what_the_dead_left(tmp_path):
    written(tmp_path, "dead-1")
    written(tmp_path, "dead-2", n=3)
    journal = Journal(tmp_path, 10)
    assert journal.pending() == [("dead-1", 0, 10, False), ("dead-2", 0, 6, False)]
    journal.append(segment("alive"))
    assert journal.pending() == [("dead-1", 0, 10, False), ("dead-2", 0, 6, False)]
    assert [r.first for r in journal.read_from(4, "dead-1")] == [4, 6, 8]
    journal.trim(10, "dead-1")
    assert journal.pending() == [("dead-2", 0, 6, False)]
    journal.close()
    assert len(files(tmp_path)) == 2


def test_the_data_of_another_problem_stays_where_it_is(tmp_path):
    written(tmp_path, "dead", fingerprint="door")
    journal = Journal(tmp_path, 10, "pen")
    assert journal.pending() == []
    journal.fingerprint = "door"
    assert journal.pending() == [("dead", 0, 10, False)]
    journal.close()
    assert len(files(tmp_path)) == 1


def test_a_torn_end_is_cut_at_every_length(tmp_path, caplog):
    written(tmp_path, n=3)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    with_two = whole.rfind(struct.pack("<QI", 4, 2)) - 8
    for length in range(with_two, len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal(tmp_path, 10)
        assert journal.pending() == [("boot-a", 0, 4, False)]
        assert path.stat().st_size == with_two
        journal.close()
    path.write_bytes(whole[:with_two] + bytes(4096))  # what a power cut leaves on some file systems
    with caplog.at_level(logging.WARNING):
        journal = Journal(tmp_path, 10)
    assert journal.pending() == [("boot-a", 0, 4, False)]
    assert "cut a torn end of 4096 bytes" in caplog.text
    journal.close()


def test_a_flipped_bit_is_not_delivered(tmp_path):
    written(tmp_path, n=3)
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    journal = Journal(tmp_path, 10)
    assert journal.pending() == [("boot-a", 0, 4, False)]
    journal.close()


def test_damage_before_the_last_file_of_a_boot_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_FILE_BYTES", 1000)
    written(tmp_path, n=8)
    first, *_, last = files(tmp_path)
    assert first != last
    size = first.stat().st_size
    os.truncate(first, size - 1)
    with pytest.raises(StoreError, match=rf"it is damaged at byte \d+ of {size - 1}\. Move the file away to start"):
        Journal(tmp_path, 10)
    Journal(tmp_path / "other", 10).close()  # and nothing is left locked
    first.unlink()
    Journal(tmp_path, 10).close()


def test_files_are_deleted_as_they_are_acknowledged(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_FILE_BYTES", 2000)
    journal = Journal(tmp_path, 10)
    for i in range(60):
        journal.append(segment(first=i))
        journal.trim(i - 5)
        assert [r.first for r in journal.read_from(max(0, i - 5))] == list(range(max(0, i - 5), i + 1))
    assert len(files(tmp_path)) <= 5
    journal.trim(60)
    journal.close()
    assert files(tmp_path) == []


def test_an_unfinished_journal_is_kept_on_close(tmp_path):
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0, n=3))
    journal.trim(2)
    journal.close()
    journal = Journal(tmp_path, 10)
    assert journal.pending() == [("boot-a", 0, 3, False)]
    journal.close()


def test_a_full_journal_says_so_once_and_goes_on(tmp_path, caplog):
    journal = Journal(tmp_path, 0.001)
    assert not journal.full
    with caplog.at_level(logging.WARNING):
        for i in range(10):
            journal.append(segment(first=i))
    assert journal.full
    assert journal.stats()["full"] == 1
    assert len(list(journal.read_from(0))) == 10
    assert caplog.messages == [f"The journal {tmp_path} has outgrown its 0.001 MB: no learner takes what it holds."]
    journal.close()


def test_it_is_synced_at_the_end_of_an_episode(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd)))
    monkeypatch.setattr(journal_module, "SYNC_S", 1e6)
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0))
    before = len(synced)
    journal.append(segment(first=1, ending="truncated"))
    wait_until(lambda: len(synced) > before)
    journal.close()


def test_it_is_synced_soon_without_one(tmp_path, monkeypatch):
    synced = []
    journal = Journal(tmp_path, 10)
    monkeypatch.setattr(journal, "sync", lambda: synced.append(True))
    journal.append(segment(first=0))
    wait_until(lambda: synced)
    monkeypatch.undo()
    journal.close()


def test_a_disk_that_fails_is_told_at_the_next_append(tmp_path, monkeypatch):
    journal = Journal(tmp_path, 10)

    def fail():
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal, "sync", fail)
    journal.append(segment(first=0, ending="truncated"))
    wait_until(lambda: not journal._thread.is_alive())
    with pytest.raises(OSError, match="Input/output error"):
        journal.append(segment(first=1))
    monkeypatch.undo()
    journal.close()


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(StoreError, match="the disk took only part of a record"):
        journal.append(segment(first=1))
    monkeypatch.undo()
    journal.append(segment(first=1))
    assert [r.first for r in journal.read_from(0)] == [0, 1]
    journal.close()


def test_only_one_process_at_a_time(tmp_path):
    journal = Journal(tmp_path, 10)
    with pytest.raises(StoreLockedError, match="is being written by another process"):
        Journal(tmp_path, 10)
    journal.close()
    Journal(tmp_path, 10).close()


def test_what_cannot_be_appended(tmp_path):
    written(tmp_path, "dead")
    journal = Journal(tmp_path, 10)
    with pytest.raises(DataError, match="boot dead has been journalled by a dead actor"):
        journal.append(segment("dead", first=10))
    journal.append(segment("alive"))
    with pytest.raises(DataError, match=r"a segment starts at sequence 5\. Expected 1"):
        journal.append(segment("alive", first=5))
    with pytest.raises(DataError, match="boot other appends after boot alive"):
        journal.append(segment("other", first=1))
    journal.close()
    journal.close()
    with pytest.raises(StoreError, match="the journal is closed"):
        journal.append(segment("alive", first=1))
    with pytest.raises(ConfigError, match="journal_mb"):
        Journal(tmp_path, 0)
