"""Appending: order, durability, refusals, and errors of the disk in the midst of a commit."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data import durable
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.errors import DataError, StoreError, StoreLockedError
from tests.data.episodes import make_episode, make_problem

MakeStore = Callable[[int], Path]


def files(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ending": ""}, "it goes on (its ending is ''). Expected an episode with an ending"),
        ({"boot": "ü" * 33}, "its boot id does not fit. Expected at most 64 bytes of UTF-8"),
        ({"observations": np.zeros((30, 5))}, "observations have dtype float64. Expected float32"),
        ({"observations": np.zeros((30, 6), np.float32)}, "observations has shape (30, 6). Expected rows of 5"),
        ({"actions": np.zeros((29, 4), np.float32)}, "actions has shape (29, 4). Expected rows of 3"),
        ({"stamps_s": np.zeros((29, 2))}, "stamps_s has shape (29, 2). Expected rows of 4"),
        ({"first_sequence": 2}, "starts at sequence 2, which store"),
    ],
)
def test_what_must_not_enter_is_refused_and_leaves_no_trace(
    make_store: MakeStore, change: dict[str, object], words: str
) -> None:
    path = make_store(2)
    before = files(path)
    episode = make_episode(4)
    assert (len(episode), episode.ending) == (29, "truncated")
    with StoreWriter(path, make_problem()) as writer:
        with pytest.raises(DataError) as caught:
            writer.append(replace(episode, **change))
        assert words in str(caught.value)
        assert files(path) == before
        writer.append(episode)
    assert DemoStore.open(path).episode(2).same_as(episode)


def test_nan_that_came_in_after_the_episode_was_made(make_store: MakeStore) -> None:
    path, episode = make_store(1), make_episode(2)
    episode.rewards[3] = np.nan
    with (
        StoreWriter(path, make_problem()) as writer,
        pytest.raises(DataError, match=r"rewards holds a non-finite number at index \[3\]"),
    ):
        writer.append(episode)
    assert len(DemoStore.open(path)) == 1


def test_the_rest_of_an_episode_that_was_cut_short(make_store: MakeStore) -> None:
    path, rest = make_store(1), replace(make_episode(2), first_step=30)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(rest)
    assert DemoStore.open(path).episode(1).same_as(replace(rest, first_step=0))


def test_a_long_cause_is_cut_and_keeps_its_episode(make_store: MakeStore) -> None:
    path = make_store(0)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(replace(make_episode(0), cause="é" * 200))
    cause = DemoStore.open(path).episode(0).cause
    assert cause == "é" * 126 + "…"
    assert len(cause.encode()) <= 256


def test_several_boots(make_store: MakeStore) -> None:
    path = make_store(2)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(make_episode(0, boot="boot-b"))
        expected = {"boot-a": make_episode(1).next_sequence, "boot-b": make_episode(0).next_sequence}
        assert writer.next_sequences == expected
    with StoreWriter(path, make_problem()) as writer:
        assert writer.next_sequences == expected
        assert len(writer) == 3


def test_an_empty_directory_may_become_a_store(tmp_path: Path) -> None:
    (tmp_path / "s.zarr").mkdir()
    with StoreWriter(tmp_path / "s.zarr", make_problem(), attributes={"source": "tests"}) as writer:
        writer.append(make_episode(0))
    assert DemoStore.open(tmp_path / "s.zarr").attributes["source"] == "tests"


def test_one_writer_at_a_time_here_and_in_another_process(make_store: MakeStore) -> None:
    path = make_store(1)
    alias = path.with_name("alias.zarr")
    alias.symlink_to(path)
    with StoreWriter(path, make_problem()), pytest.raises(StoreLockedError):
        StoreWriter(alias, make_problem(), lock_timeout_s=0.0)
    command = [sys.executable, "-m", "tests.data.writer_process", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        with pytest.raises(StoreLockedError) as caught:
            StoreWriter(path, make_problem(), lock_timeout_s=0.1)
        assert str(caught.value) == (
            f"Store '{path}' is being written by another process (waited 0.1 s for its lock). "
            "Stop that process, or write to another path."
        )
        assert len(DemoStore.open(path)) >= 1, "readers do not wait for the lock"
        process.kill()
    StoreWriter(path, make_problem(), lock_timeout_s=5.0).close()


def test_closing_twice_and_writing_after_it(make_store: MakeStore) -> None:
    writer = StoreWriter(make_store(0), make_problem())
    writer.close()
    writer.close()
    with pytest.raises(StoreError, match="this writer is closed"):
        writer.append(make_episode(0))


def test_remains_of_a_killed_writer_are_seen_ignored_and_cut_off(make_store: MakeStore) -> None:
    path = make_store(3)
    group = zarr.open_group(path, mode="r+")
    rows = group["data/rewards"].shape[0]
    for key in ("data/valid", "data/rewards", "meta/boot"):
        array = group[key]
        array.resize((array.shape[0] + 700, *array.shape[1:]))
    group["data/rewards"][rows:] = np.nan
    for name in ("data/rewards/c.0.0123.partial", "zarr.json.0123.partial"):
        (path / name).write_bytes(b"half")
    remains = path.parent / f".{path.name}.0123.partial"
    (remains / "data").mkdir(parents=True)

    store = DemoStore.open(path)
    assert store.summary().uncommitted_rows == 700
    assert np.isfinite(store.transitions().reward).all()
    with StoreWriter(path, make_problem()) as writer:
        assert not list(path.rglob("*.partial"))
        assert zarr.open_group(path, mode="r")["data/rewards"].shape == (rows,)
        writer.append(make_episode(3))
    for i, episode in enumerate(DemoStore.open(path).episodes()):
        assert episode.same_as(make_episode(i))

    shutil.rmtree(path)
    StoreWriter(path, make_problem()).close()
    assert not remains.exists()


def test_nothing_is_committed_before_all_of_it_is_on_the_disk(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut may take is what was not fsynced: a file before its rename, a directory after it."""
    path = make_store(3)
    events: list[tuple[str, str]] = []
    fsync, rename = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        events.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def recorded_replace(source: Path, target: Path) -> Path:
        assert ("fsync", str(source)) in events, f"{target} was named before its bytes were on the disk"
        result = rename(source, target)
        events.append(("replace", str(target)))
        return result

    monkeypatch.setattr(durable.os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    with StoreWriter(path, make_problem()) as writer:
        before = files(path)
        events.clear()
        writer.append(make_episode(3))
        changed = {str(path / name) for name, content in files(path).items() if before.get(name) != content}

    assert len(changed) > 30
    commit = events.index(("replace", str(path / "zarr.json")))
    replaced = {name: i for i, (kind, name) in enumerate(events) if kind == "replace"}
    assert changed <= set(replaced), "a file was written around the durable store"
    for name, i in replaced.items():
        synced = [j for j, event in enumerate(events) if event == ("fsync", str(Path(name).parent))]
        if name == str(path / "zarr.json"):
            assert max(synced) > commit
        else:
            assert i < commit
            assert any(i < j < commit for j in synced), f"the name {name} was not made durable"
    ends = [i for name, i in replaced.items() if "episode_ends" in name]
    assert min(ends) > max(i for name, i in replaced.items() if "/data/" in name)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.8, 1.0])
def test_a_full_disk_in_the_midst_of_a_commit(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    path = make_store(2)
    fsync, calls, limit = os.fsync, 0, 10**9

    def full_disk(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > limit:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(durable.os, "fsync", full_disk)
    rehearsal = shutil.copytree(path, path.with_name("rehearsal.zarr"))
    with StoreWriter(rehearsal, make_problem()) as writer:
        calls = 0
        writer.append(make_episode(2))
    with StoreWriter(path, make_problem()) as writer:
        calls, limit = 0, round(share * (calls - 1))
        with pytest.raises(StoreError, match="an episode cannot be written"):
            writer.append(make_episode(2))
        limit = 10**9
        kept = len(DemoStore.open(path))
        assert kept == (3 if share == 1.0 else 2)
        if (
            kept == 3
        ):  # the last fsync comes after the rename that commits: the caller's second try must not store twice
            with pytest.raises(DataError, match="already holds"):
                writer.append(make_episode(2))
        else:
            writer.append(make_episode(2))
        writer.append(make_episode(3))
    assert [e.same_as(make_episode(i)) for i, e in enumerate(DemoStore.open(path).episodes())] == [True] * 4


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="Choose a directory that you may write to"):
        StoreWriter(tmp_path / "file" / "s.zarr", make_problem())
