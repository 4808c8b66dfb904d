import json
import os
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.run.checkpoint import Checkpoint, load_newest, newest_policy, save_checkpoint
from rlpd_robot.run.checkpointer import Checkpointer
from rlpd_robot.run.consumed import ConsumedBook
from rlpd_robot.types import PolicySnapshot
from tests.run.point import policy
from tests.run.rows import rows

NOBODY = PolicySnapshot(version=1, fingerprint="f", env_steps=0, critic_updates=0, arrays={})


def checkpoint(received: int, fingerprint: str = "f", policy: PolicySnapshot = NOBODY) -> Checkpoint:
    arrays = {
        ".actor['dense_0']['kernel']": np.full((2, 3), received, np.float32),
        ".key": np.arange(2, dtype=np.uint32),
    }
    book = ConsumedBook()
    if received:
        book.add(rows("a", 0, received))
    counters = {"received": received, "critic_updates": 5 * received, "policy_version": 7}
    return Checkpoint(arrays, counters, (book.boots, book.runs), policy, fingerprint, "run:\n  name: über\n")


def received(directory: Path) -> int | None:
    loaded, _ = load_newest(directory, "f")
    return None if loaded is None else loaded.counters["received"]


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = checkpoint(10, policy=policy())
    path = save_checkpoint(tmp_path / "checkpoints", saved, kept=3)
    loaded, passed = load_newest(tmp_path / "checkpoints", "f")
    assert loaded is not None
    assert passed == []
    assert loaded.counters == saved.counters
    assert loaded.config_text == saved.config_text
    assert list(loaded.book) == [("a", 0, 10)]
    for mine, theirs in ((saved.arrays, loaded.arrays), (saved.policy.arrays, loaded.policy.arrays)):
        assert mine.keys() == theirs.keys()
        for name, array in mine.items():
            np.testing.assert_array_equal(theirs[name], array)
            assert theirs[name].dtype == array.dtype
    assert newest_policy(tmp_path / "checkpoints") == path / "policy.npz"
    assert load_snapshot(path / "policy.npz").version == 3


def test_while_actions_are_random_there_is_no_policy_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(1), kept=3)
    loaded, _ = load_newest(tmp_path, "f")
    assert loaded is not None
    assert loaded.policy == NOBODY or (loaded.policy.version, loaded.policy.arrays) == (1, {})
    assert newest_policy(tmp_path) is None


def test_the_newest_few_are_kept_whatever_they_hold(tmp_path: Path) -> None:
    for n in (200, 4, 10, 100, 3):  # a run that starts over counts from 0 again
        save_checkpoint(tmp_path, checkpoint(n), kept=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000004", "checkpoint-000005"]
    assert received(tmp_path) == 3


FILES = ("state.npz", "consumed.npz", "meta.json", "config.yaml", "manifest.json", "done", "policy.npz")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_one_is_passed_over_and_named(tmp_path: Path, name: str, damage: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1), kept=5)
    newest = save_checkpoint(tmp_path, checkpoint(2, policy=policy()), kept=5)
    data = (newest / name).read_bytes()
    if damage == "gone":
        (newest / name).unlink()
    else:
        middle = len(data) // 2
        (newest / name).write_bytes(
            data[:middle] + (bytes([data[middle] ^ 1]) + data[middle + 1 :]) * (damage != "cut")
        )
    loaded, passed = load_newest(tmp_path, "f")
    assert loaded is not None
    assert loaded.counters["received"] == 1
    assert len(passed) == 1
    assert passed[0].startswith("checkpoint-000002 is damaged (")
    assert newest_policy(tmp_path) is None  # the whole one is of random actions


def test_a_damaged_one_is_not_written_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(1), kept=5)
    (save_checkpoint(tmp_path, checkpoint(2), kept=5) / "done").unlink()
    assert received(tmp_path) == 1
    assert save_checkpoint(tmp_path, checkpoint(2), kept=5).name == "checkpoint-000003"
    assert received(tmp_path) == 2


def test_one_of_other_settings_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(3, "other"), kept=5)
    assert load_newest(tmp_path, "f") == (None, ["checkpoint-000001 is of other agent settings or another task"])


@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
@pytest.mark.parametrize("after", range(0, 12, 2))
def test_a_killed_writer_leaves_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    save_checkpoint(tmp_path, checkpoint(1), kept=5)
    module, left, real = (os, [after], getattr(os, call))

    def killed(*arguments: object, **keywords: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    finished = True
    with monkeypatch.context() as patch:
        patch.setattr(module, call, killed)
        try:
            save_checkpoint(tmp_path, checkpoint(2), kept=5)
        except KeyboardInterrupt:
            finished = False
    assert received(tmp_path) in ((2,) if finished else (1, 2))
    save_checkpoint(tmp_path, checkpoint(3), kept=5)  # the remains are no hindrance
    assert received(tmp_path) == 3
    assert not list(tmp_path.glob("*.partial"))


def test_no_directory_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", "f") == (None, [])
    assert newest_policy(tmp_path / "none") is None


def test_meta_is_plain_json(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint(1), kept=1)
    assert json.loads((path / "meta.json").read_text())["counters"]["critic_updates"] == 5


def test_one_is_written_beside_the_loop(tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path, kept=2)
    assert not writer.busy
    assert writer.wait(0.0)
    writer.write(checkpoint(4))
    assert writer.wait(20.0)
    assert (received(tmp_path), writer.written) == (4, 1)


def test_what_the_disk_says_is_raised_in_the_loop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = Checkpointer(tmp_path / "file" / "checkpoints", kept=2)
    writer.write(checkpoint(4))
    with pytest.raises(OSError, match=r"^Store .*: a checkpoint cannot be written \(.*Not a directory"):
        writer.wait(20.0)
    assert not writer.busy
