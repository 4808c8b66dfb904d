import json
import os
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.run.checkpoint import Checkpoint, load_newest, save_checkpoint
from rlpd_robot.types import PolicySnapshot

NOBODY = PolicySnapshot(version=1, fingerprint="f", env_steps=0, critic_updates=0, arrays={})


def checkpoint(received: int, fingerprint: str = "f") -> Checkpoint:
    arrays = {
        ".actor['dense_0']['kernel']": np.full((2, 3), received, np.float32),
        ".key": np.arange(2, dtype=np.uint32),
    }
    return Checkpoint(arrays, {"received": received, "critic_updates": 5 * received, "policy_version": 7}, fingerprint)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = checkpoint(10)
    save_checkpoint(tmp_path, saved, NOBODY, kept=3)
    loaded, passed = load_newest(tmp_path, "f")
    assert loaded is not None
    assert passed == []
    assert loaded.counters == saved.counters
    assert loaded.arrays.keys() == saved.arrays.keys()
    for name, array in saved.arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].dtype == array.dtype


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    for received in (2, 4, 10, 100):
        save_checkpoint(tmp_path, checkpoint(received), NOBODY, kept=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["at-0000000010", "at-0000000100"]


@pytest.mark.parametrize("damage", ["cut", "flip", "no meta", "half meta"])
def test_a_damaged_one_is_passed_over_and_named(tmp_path: Path, damage: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1), NOBODY, kept=5)
    newest = save_checkpoint(tmp_path, checkpoint(2), NOBODY, kept=5)
    state, meta = newest / "state.npz", newest / "meta.json"
    data = state.read_bytes()
    if damage == "cut":
        state.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        state.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    elif damage == "no meta":
        meta.unlink()
    else:
        meta.write_text(meta.read_text()[:20])
    loaded, passed = load_newest(tmp_path, "f")
    assert loaded is not None
    assert loaded.counters["received"] == 1
    assert len(passed) == 1
    assert passed[0].startswith("checkpoint at-0000000002 is damaged")


def test_one_of_other_settings_is_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(3, "other"), NOBODY, kept=5)
    assert load_newest(tmp_path, "f") == (None, ["checkpoint at-0000000003 is of other agent settings or another task"])


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(1), NOBODY, kept=5)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, checkpoint(2), NOBODY, kept=5)
    loaded, passed = load_newest(tmp_path, "f")
    assert loaded is not None
    assert (loaded.counters["received"], passed) == (1, [])
    save_checkpoint(tmp_path, checkpoint(2), NOBODY, kept=5)  # the remains are no hindrance
    again, _ = load_newest(tmp_path, "f")
    assert again is not None
    assert again.counters["received"] == 2


def test_no_directory_is_no_checkpoint(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "none", "f") == (None, [])


def test_meta_is_plain_json(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint(1), NOBODY, kept=1)
    assert json.loads((path / "meta.json").read_text())["counters"]["critic_updates"] == 5
