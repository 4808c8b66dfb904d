from pathlib import Path

import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.run.episode_count import EpisodeCount


def test_a_second_actor_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "episodes"
    first = EpisodeCount(path)
    assert [first.begin(), first.begin()] == [0, 1]
    assert first.begun == 2
    second = EpisodeCount(path)  # the first one was killed within its episode 1
    assert second.begun == 2
    assert second.begin() == 2


def test_an_actor_that_began_nothing_leaves_nothing(tmp_path: Path) -> None:
    assert EpisodeCount(tmp_path / "episodes").begun == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "three", "-1", "²"])
def test_a_file_without_a_count_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "episodes").write_text(text)
    with pytest.raises(DataError, match=r"^Episode count '.*/episodes': it is "):
        EpisodeCount(tmp_path / "episodes")


def test_the_count_is_on_disk_before_the_episode_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError("disk full")

    count = EpisodeCount(tmp_path / "episodes")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        count.begin()
    assert count.begun == 0
