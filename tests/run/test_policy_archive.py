import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.run import policy_archive
from rlpd_robot.run.policy_archive import KEPT, PolicyArchive
from tests.run.point import policy, save_policy
from tests.wire.waiting import wait_until


@pytest.fixture
def open_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], PolicyArchive]]:
    """Archives that write without a pause."""
    monkeypatch.setattr(policy_archive, "_EVERY_S", 0.0)
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(PolicyArchive(tmp_path)))


def test_what_was_kept_comes_back(open_archive: Callable[[], PolicyArchive]) -> None:
    archive = open_archive()
    assert (archive.versions(), archive.newest()) == ([], None)
    for version in (3, 7):
        archive.keep(policy(gain=float(version), version=version))
        wait_until(lambda v=version: v in archive.versions())
    archive.close()
    later = open_archive()
    assert later.versions() == [3, 7]
    newest = later.newest()
    assert newest is not None
    assert newest.version == 7
    assert np.array_equal(later.load(3).arrays["mean/kernel"], policy(gain=3.0).arrays["mean/kernel"])


def test_the_last_one_is_written_when_the_actor_ends(tmp_path: Path) -> None:
    archive = PolicyArchive(tmp_path)
    for version in range(50):  # faster than a disk
        archive.keep(policy(version=version))
    assert archive.load(49).version == 49
    archive.close()
    archive.close()
    assert max(PolicyArchive(tmp_path).versions()) == 49


def test_it_keeps_the_last_twenty(open_archive: Callable[[], PolicyArchive]) -> None:
    archive = open_archive()
    for version in range(98, 98 + KEPT + 5):  # past a hundred: names must sort as numbers do
        archive.keep(policy(version=version))
        wait_until(lambda v=version: v in archive.versions())
    archive.close()
    assert archive.versions() == list(range(103, 103 + KEPT))


def test_checkpoints_and_the_final_policy_are_at_hand_too(
    open_archive: Callable[[], PolicyArchive], tmp_path: Path
) -> None:
    save_policy(tmp_path / "checkpoints" / "at-0000000100" / "policy.npz", version=4)
    save_policy(tmp_path / "policy.npz", version=9)
    (tmp_path / "checkpoints" / "at-0000000050").mkdir()
    archive = open_archive()
    assert archive.versions() == [4, 9]
    assert archive.load(4).version == 4


def test_an_unknown_version_is_refused_with_those_at_hand(
    open_archive: Callable[[], PolicyArchive], tmp_path: Path
) -> None:
    for version in (4, 9):
        save_policy(tmp_path / "checkpoints" / f"at-{version}" / "policy.npz", version=version)
    with pytest.raises(DataError) as caught:
        open_archive().load(5)
    assert str(caught.value) == f"Policy 5: it is not on this machine in {str(tmp_path)!r}. Expected one of 4, 9."


def test_a_damaged_file_is_passed_over(open_archive: Callable[[], PolicyArchive], tmp_path: Path) -> None:
    save_policy(tmp_path / "policy.npz", version=2)
    damaged = save_policy(tmp_path / "actor" / "policies" / "policy-0000000008.npz", version=8)
    damaged.write_bytes(damaged.read_bytes()[:300])
    newest = open_archive().newest()
    assert newest is not None
    assert newest.version == 2


def test_random_actions_need_no_file(open_archive: Callable[[], PolicyArchive], tmp_path: Path) -> None:
    archive = open_archive()
    archive.keep(replace(policy(version=1), arrays={}))
    archive.close()
    assert not (tmp_path / "actor").exists()


def test_a_disk_that_refuses_is_counted_and_told(open_archive: Callable[[], PolicyArchive], tmp_path: Path) -> None:
    (tmp_path / "actor").write_text("in the way")
    archive = open_archive()
    archive.keep(policy(version=1))
    wait_until(lambda: archive.errors)
    assert archive.problem is not None
    assert archive.problem.startswith("policy 1 could not be kept on disk (")
    (tmp_path / "actor").unlink()
    archive.keep(policy(version=2))
    wait_until(lambda: archive.problem is None)
