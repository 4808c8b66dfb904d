"""A power cut or a kill after every single system call of journal, store and checkpoint.

What each says is safe (`mark`) must be found again by the product's own code, whatever else the disk has kept.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.run.checkpoint import Checkpoint, load_newest, save_checkpoint
from rlpd_robot.run.consumed import ConsumedBook
from rlpd_robot.wire import journal as journal_module
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import EpisodeEnd, SegmentMessage
from tests.data.episodes import make_episode, make_problem
from tests.durability.disk import FATES, Disk, Fate, Left
from tests.durability.recording import Call, Recorder
from tests.run.point import policy
from tests.run.rows import rows
from tests.wire.examples import segment

SEED = 20241124
Check = Callable[[Path, Fate, list[tuple[Any, ...]]], None]
"""(what is left, how it came about, marks so far): raises when something promised is not there."""


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    root = tmp_path / "watched"
    root.mkdir()
    return Recorder(root)


def cut_everywhere(calls: Sequence[Call], left: Left, check: Check, reads_only: bool = False) -> int:
    """Check what may be left after each call, states that were seen left out; returns how many there were.

    With `reads_only`, names with ".partial" do not count, since readers do not look at them, and the dice are thrown
    less often.
    """
    rng, disk, marks = random.Random(SEED), Disk(), []
    seen: set[tuple[Any, ...]] = set()
    left.clear()
    for i, call in enumerate(calls):
        disk.apply(call)
        if call[0] == "mark":
            marks.append(call[1:])
        for fate in FATES if i % 6 == 0 or not reads_only else FATES[:-1]:
            found = disk.survivors(fate, rng)
            if reads_only:
                found = {name: data for name, data in found.items() if ".partial" not in name}
            key = (fate == "kill", len(marks), *found.items())
            if key in seen:
                continue
            seen.add(key)
            left.put(found)
            try:
                check(left.path, fate, marks)
            except Exception as error:
                raise LostError(f"after {len(marks)} promises, {fate}, {call[:2]}: {error}") from error
            if not reads_only:
                left.clear()
    return len(seen)


class LostError(AssertionError):
    """Something promised is gone, or what is left cannot be opened."""


def without_fsync(calls: Sequence[Call], of_files: bool) -> list[Call]:
    """The same calls on a product that forgets to force its files, or its directories, onto the disk."""
    files = {call[1] for call in calls if call[0] == "create"} | {call[2] for call in calls if call[0] == "rename"}
    directories = {call[1] for call in calls if call[0] == "mkdir"} | {"."}
    assert not files & directories
    return [call for call in calls if call[0] != "fsync" or call[1] not in (files if of_files else directories)]


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path / "left")


# The journal promises at once what a kill must not take, and after a sync what a power cut must not take.

PIECES = [
    piece
    for e in range(6)
    for piece in (
        segment(first=3 * e, episode=e, n=2),
        segment(first=3 * e + 2, episode=e, first_step=2, ending="truncated" if e % 2 else ""),
        None if e % 2 else EpisodeEnd("boot-a", 3 * e + 3, e, "truncated", "a stop"),
    )
    if piece is not None
]


def record_journal(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    monkeypatch.setattr(journal_module, "_FILE_BYTES", 1500)
    monkeypatch.setattr(journal_module, "SYNC_S", 1e6)  # its thread sleeps: the test syncs, where it marks
    with recorder.recording():
        journal = Journal(Path(recorder.root) / "actor" / "journal", 10)
        monkeypatch.setattr(journal._sync_now, "set", lambda: None)
        for i, piece in enumerate(PIECES):
            journal.append(piece)
            recorder.mark("appended", i + 1)
            if not journal._unsynced:  # a file was finished
                recorder.mark("synced", i + 1)
            if i % 4 == 3:
                journal.sync()
                recorder.mark("synced", i + 1)
        calls = list(recorder.calls)
    monkeypatch.undo()
    journal.close()
    return calls


def check_journal(left: Path, fate: Fate, marks: list[tuple[Any, ...]]) -> None:
    promised = max((n for what, n in marks if fate == "kill" or what == "synced"), default=0)
    journal = Journal(left / "actor" / "journal", 10)
    try:
        records = [message_of(record.message("journal")) for record in journal.read_from(0, "boot-a")]
        assert len(records) >= promised, f"{len(records)} records are left of {promised}"
        assert all(same(record, piece) for record, piece in zip(records, PIECES, strict=False))
        if promised:
            ((boot, first, end, _),) = journal.pending()
            assert (boot, first) == ("boot-a", 0)
            assert end == records[-1].next_sequence if hasattr(records[-1], "next_sequence") else records[-1].sequence
        journal.append(segment("boot-b"))
    finally:
        journal.close()


def message_of(message: SegmentMessage | EpisodeEnd) -> Any:
    return message.segment if isinstance(message, SegmentMessage) else message


def same(one: Any, other: Any) -> bool:
    return one == other if isinstance(other, EpisodeEnd) else one.same_as(other)


def test_the_journal(recorder: Recorder, left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_journal(recorder, monkeypatch)
    assert sum(call[0] == "create" for call in calls) > 3
    assert cut_everywhere(calls, left, check_journal) > 50
    for of_files in (True, False):
        with pytest.raises(LostError):
            cut_everywhere(without_fsync(calls, of_files), left, check_journal)


# The store promises an episode when `append` returns.


def record_store(recorder: Recorder, episodes: int = 2) -> list[Call]:
    with recorder.recording(), StoreWriter(Path(recorder.root) / "runs" / "live.zarr", make_problem()) as writer:
        recorder.mark("committed", 0)
        for i in range(episodes):
            writer.append(make_episode(i))
            recorder.mark("committed", i + 1)
        calls = list(recorder.calls)
    return calls


def check_store(left: Path, fate: Fate, marks: list[tuple[Any, ...]]) -> None:
    path = left / "runs" / "live.zarr"
    if not path.exists():
        assert not marks
        return
    store = DemoStore.open(path)
    promised = marks[-1][1] if marks else 0
    assert promised <= len(store) <= promised + 1, f"{len(store)} episodes are left of {promised}"
    for i, episode in enumerate(store.episodes()):
        assert episode.same_as(make_episode(i)), f"episode {i} is another"


def check_store_goes_on(left: Path, fate: Fate, marks: list[tuple[Any, ...]]) -> None:
    """The next writer cuts back to what is committed and adds to it."""
    check_store(left, fate, marks)
    with StoreWriter(left / "runs" / "live.zarr", make_problem()) as writer:
        n = len(writer)
        writer.append(make_episode(n))
    store = DemoStore.open(left / "runs" / "live.zarr")
    assert [e.same_as(make_episode(i)) for i, e in enumerate(store.episodes())] == [True] * (n + 1)
    assert not list(left.rglob("*.partial"))


@pytest.mark.integration
def test_the_store(recorder: Recorder, left: Left) -> None:
    calls = record_store(recorder)
    assert cut_everywhere(calls, left, check_store, reads_only=True) > 50
    for of_files in (True, False):
        with pytest.raises(LostError):
            cut_everywhere(without_fsync(calls, of_files), left, check_store, reads_only=True)


@pytest.mark.integration
def test_the_next_writer_of_the_store(recorder: Recorder, left: Left) -> None:
    """At a few of the cuts, since each takes a commit."""
    calls = record_store(recorder)
    for end in random.Random(SEED).sample(range(len(calls)), 8):
        disk, marks = Disk(), []
        for call in calls[:end]:
            disk.apply(call)
            marks += [call[1:]] if call[0] == "mark" else []
        for fate in FATES[::3]:
            left.put(disk.survivors(fate, random.Random(end)))
            if marks:
                check_store_goes_on(left.path, fate, marks)
            left.clear()


# A checkpoint is promised when `save_checkpoint` returns; until then it is the one before.


def checkpoint(received: int) -> Checkpoint:
    book = ConsumedBook()
    book.add(rows("a", 0, received))
    arrays = {"kernel": np.full((40, 30), received, np.float32), "key": np.arange(2, dtype=np.uint32)}
    counters = {"received": received, "critic_updates": 5 * received, "policy_version": received}
    return Checkpoint(
        arrays, counters, (book.boots, book.runs), replace(policy(), version=received), "f", "run:\n  name: über\n"
    )


def record_checkpoints(recorder: Recorder, number: int = 4) -> list[Call]:
    with recorder.recording():
        for received in range(1, number + 1):
            save_checkpoint(Path(recorder.root) / "checkpoints", checkpoint(received), kept=2)
            recorder.mark("saved", received)
        return list(recorder.calls)


def check_checkpoint(left: Path, fate: Fate, marks: list[tuple[Any, ...]]) -> None:
    promised = marks[-1][1] if marks else 0
    loaded, passed = load_newest(left / "checkpoints", "f")
    if loaded is None:
        assert not promised, passed
        return
    received = loaded.counters["received"]
    assert promised <= received <= promised + 1, passed
    assert passed == [], "a checkpoint that is there is whole"
    assert (loaded.arrays["kernel"] == received).all()
    assert loaded.policy.version == received


def test_checkpoints(recorder: Recorder, left: Left) -> None:
    calls = record_checkpoints(recorder)
    assert cut_everywhere(calls, left, check_checkpoint) > 50
    for of_files in (True, False):
        with pytest.raises(LostError):
            cut_everywhere(without_fsync(calls, of_files), left, check_checkpoint)


def test_saving_goes_on_after_any_cut(recorder: Recorder, left: Left) -> None:
    """What a torn attempt left stands in nobody's way."""

    def save_one_more(path: Path, fate: Fate, marks: list[tuple[Any, ...]]) -> None:
        save_checkpoint(path / "checkpoints", checkpoint(9), kept=2)
        loaded, _ = load_newest(path / "checkpoints", "f")
        assert loaded is not None
        assert loaded.counters["received"] == 9

    cut_everywhere(record_checkpoints(recorder, 2), left, save_one_more)
