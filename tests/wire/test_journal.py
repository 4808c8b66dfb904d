import errno
import logging
import os
import re
import struct

import pytest

from rlpd_robot.errors import ConfigError, DataError, StoreError, StoreLockedError
from rlpd_robot.wire import journal as journal_module
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import EpisodeEnd
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


def test_a_torn_end_counts_for_nothing_at_every_length(tmp_path, caplog):
    written(tmp_path, n=3)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    with_two = whole.rfind(struct.pack("<QI", 4, 2)) - 8
    for length in range(with_two, len(whole)):
        path.write_bytes(whole[:length])
        journal = Journal(tmp_path, 10)
        assert journal.pending() == [("boot-a", 0, 4, False)]
        assert [r.first for r in journal.read_from(0, "boot-a")] == [0, 2]
        journal.close()
    path.write_bytes(whole[:with_two] + bytes(4096))  # what a power cut leaves on some file systems
    with caplog.at_level(logging.WARNING):
        journal = Journal(tmp_path, 10)
    assert journal.pending() == [("boot-a", 0, 4, False)]
    assert "its last 4096 bytes are torn and count for nothing" in caplog.text
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
    journal = Journal(tmp_path, 10)
    for i in range(8):
        journal.append(segment(first=2 * i, n=2, ending="truncated"))
    journal.close()
    first, *_, last = files(tmp_path)
    assert first != last
    size = first.stat().st_size
    os.truncate(first, size - 1)
    with pytest.raises(
        StoreError, match=rf"but '{first.name}' ends at \d+, which is damaged at byte \d+ of {size - 1}"
    ):
        Journal(tmp_path, 10)
    Journal(tmp_path / "other", 10).close()  # and nothing is left locked
    first.unlink()
    Journal(tmp_path, 10).close()


def test_files_are_deleted_as_they_are_acknowledged(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_FILE_BYTES", 2000)
    journal = Journal(tmp_path, 10)
    for i in range(60):
        journal.append(segment(first=i, episode=i, ending="truncated"))
        journal.trim(i - 5)
        assert [r.first for r in journal.read_from(max(0, i - 5))] == list(range(max(0, i - 5), i + 1))
    wait_until(lambda: len(files(tmp_path)) <= 5)
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


def test_a_full_journal_takes_more_and_tells_how_full_it_is(tmp_path):
    journal = Journal(tmp_path, 0.01)
    assert journal.fill < 0.02
    for i in range(30):
        journal.append(segment(first=i))
    assert journal.fill > 1
    assert journal.stats()["journal_fill"] == journal.fill == journal.size / 10_000
    assert len(list(journal.read_from(0))) == 30
    journal.close()


def test_no_clock_decides_what_is_the_oldest(tmp_path):
    """Boot ids are random and a wall clock jumps: the files count up."""
    for boot in ("z", "a", "m"):
        written(tmp_path, boot)
    for hours, path in zip((5, -700_000, 100_000), files(tmp_path), strict=True):
        os.utime(path, (1.6e9 + 3600 * hours, 1.6e9 + 3600 * hours))
    journal = Journal(tmp_path, 10)
    assert [left.boot for left in journal.pending()] == ["z", "a", "m"]
    journal.append(segment("new"))
    assert [path.name.rpartition("-")[2] for path in files(tmp_path)] == [
        f"{b}.journal" for b in ("z", "a", "m", "new")
    ]
    journal.close()


def test_a_path_with_spaces_and_foreign_letters(tmp_path):
    directory = tmp_path / "Hörsaal 3 – Übung" / "機械 手"
    written(directory)
    journal = Journal(directory, 10)
    assert journal.pending() == [("boot-a", 0, 10, False)]
    assert len(list(journal.read_from(0, "boot-a"))) == 5
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
    wait_until(lambda: journal.stats()["journal_unsynced"] == 0)
    journal.close()


def test_it_is_synced_soon_without_one(tmp_path, monkeypatch):
    synced = []
    journal = Journal(tmp_path, 10)
    monkeypatch.setattr(journal, "sync", lambda: synced.append(True))
    journal.append(segment(first=0))
    wait_until(lambda: synced)
    monkeypatch.undo()
    journal.close()


@pytest.fixture
def disk(monkeypatch):
    """The disk under the journal: set `error`, or how many bytes of a write it takes."""

    class Disk:
        error = None
        takes = None
        writes = 0

    disk, write, fsync, opened = Disk(), os.write, os.fsync, os.open

    def checked(call):
        def do(*arguments):
            if disk.error is not None:
                raise OSError(disk.error, os.strerror(disk.error))
            return call(*arguments)

        return do

    def part(descriptor, data):
        disk.writes += 1
        return write(descriptor, data if disk.takes is None else data[: disk.takes])

    monkeypatch.setattr(os, "write", checked(part))
    monkeypatch.setattr(os, "fsync", checked(fsync))
    monkeypatch.setattr(os, "open", checked(opened))
    monkeypatch.setattr(journal_module, "SYNC_S", 0.01)
    return disk


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EIO, errno.EROFS, "short"])
def test_a_disk_that_refuses_loses_nothing(tmp_path, disk, failure, caplog):
    journal = Journal(tmp_path, 10)
    for i in range(3):
        journal.append(segment(first=i))
    assert journal.trouble is None
    if failure == "short":
        disk.takes = 10
    else:
        disk.error = failure
    for i in range(3, 6):
        journal.append(segment(first=i))
    journal.append(EpisodeEnd("boot-a", 6, 0, "truncated", "the disk"))
    assert [r.after for r in journal.read_from(0)][:-1] == [(i + 1, False) for i in range(6)]
    assert [r.after for r in journal.read_from(6)] == [(6, True)]
    sentence = str(wait_until(lambda: journal.trouble))
    assert re.search(r"the disk refuses \(.+\)\. Its last \d+ records are kept in memory and tried again", sentence)
    assert "the disk refuses" in caplog.text
    assert journal.stats()["journal_refused"] == 1
    tried = disk.writes
    if failure == "short":
        wait_until(lambda: disk.writes > tried)  # it tries again, in vain
    disk.error = disk.takes = None
    wait_until(lambda: journal.trouble is None and journal.stats()["journal_unsynced"] == 0)
    journal.append(segment(first=6, episode=1))
    assert [r.after for r in journal.read_from(0)] == [*((i + 1, False) for i in range(6)), (6, True), (7, False)]
    journal.close()
    again = Journal(tmp_path, 10)
    assert again.pending() == [("boot-a", 0, 7, False)]
    assert [r.first for r in again.read_from(0, "boot-a")] == [0, 1, 2, 3, 4, 5, 6, 6]
    again.close()


def test_what_a_failed_fsync_was_to_hold_is_written_to_another_file(tmp_path, disk):
    """After a failed fsync the next one succeeds on Linux, although the pages were dropped."""
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0))
    journal.sync()
    (before,) = files(tmp_path)
    kept = before.read_bytes()
    disk.error = errno.EIO
    journal.append(segment(first=1))
    wait_until(lambda: journal.trouble)
    disk.error = None
    wait_until(lambda: journal.trouble is None)
    journal.close()
    before.write_bytes(kept)  # the dropped pages
    again = Journal(tmp_path, 10)
    assert again.pending() == [("boot-a", 0, 2, False)]
    again.close()


def test_what_never_reached_a_disk_is_named_at_the_end(tmp_path, disk, caplog):
    journal = Journal(tmp_path, 10)
    journal.append(segment(first=0, n=3))
    journal.sync()
    disk.error = errno.ENOSPC
    journal.append(segment(first=3, n=2))
    journal.close()
    assert "transitions 3 to 4 of boot boot-a are lost unless a learner has them" in caplog.text


def test_a_directory_that_cannot_be_written_is_refused_at_the_start(tmp_path, disk):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"the disk refuses \(Not a directory|File exists"):
        Journal(tmp_path / "file", 10)
    journal = Journal(tmp_path / "journal", 10)
    disk.error = errno.EROFS
    with pytest.raises(StoreError, match=r"the disk refuses \(Read-only file system\)\. Make room, or choose"):
        journal.begin("boot-a", 0, "")
    with pytest.raises(StoreError, match="Read-only file system"):
        Journal(tmp_path / "other", 10)
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
