from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.run.live_store import LiveStore
from rlpd_robot.types import Segment
from rlpd_robot.wire.messages import EpisodeEnd
from tests.wire.examples import problem, segment


@pytest.fixture
def told() -> list[Segment]:
    return []


@pytest.fixture
def open_live(tmp_path: Path, told: list[Segment]) -> Iterator[Callable[[], LiveStore]]:
    """Opens the live store at one path, once more after the one before it was dropped."""
    writers: list[StoreWriter] = []

    def open_it() -> LiveStore:
        while writers:
            writers.pop().close()
        writers.append(StoreWriter(tmp_path / "live.zarr", problem()))
        return LiveStore(writers[0], writers[0].next_sequences, told.append)

    yield open_it
    for writer in writers:
        writer.close()


def on_disk(tmp_path: Path) -> list[tuple[str, int, int, str, str]]:
    """(boot, first, next, ending, cause) of every committed episode."""
    episodes = DemoStore.open(tmp_path / "live.zarr").episodes()
    return [(e.boot, e.first_sequence, e.next_sequence, e.ending, e.cause) for e in episodes]


def test_an_episode_is_on_disk_before_it_counts_as_committed(
    tmp_path: Path, open_live: Callable[[], LiveStore], told: list[Segment]
) -> None:
    live = open_live()
    live.take(segment(first=0, n=3))
    assert (live.committed("boot-a"), live.transitions, on_disk(tmp_path)) == (0, 0, [])
    live.take(segment(first=3, n=2, first_step=3, ending="truncated"))
    assert (live.committed("boot-a"), live.transitions) == (5, 5)
    assert on_disk(tmp_path) == [("boot-a", 0, 5, "truncated", "time limit")]
    assert [len(episode) for episode in told] == [5]


def test_an_end_that_comes_later_closes_its_episode_once(tmp_path: Path, open_live: Callable[[], LiveStore]) -> None:
    live = open_live()
    end = EpisodeEnd("boot-a", 3, 0, "truncated", "the robot fell silent")
    live.end(end)  # nothing is open
    live.take(segment(first=0, n=3))
    live.end(EpisodeEnd("boot-a", 2, 0, "truncated", "of what came before"))
    live.end(EpisodeEnd("boot-a", 3, 1, "truncated", "of another episode"))
    live.end(EpisodeEnd("boot-b", 3, 0, "truncated", "of another actor"))
    assert on_disk(tmp_path) == []
    live.end(end)
    live.end(end)
    assert live.committed("boot-a") == 3
    assert on_disk(tmp_path) == [("boot-a", 0, 3, "truncated", "the robot fell silent")]
    open_live().end(end)  # a restarted learner
    assert len(on_disk(tmp_path)) == 1


def test_a_new_episode_closes_the_one_that_its_actor_left(tmp_path: Path, open_live: Callable[[], LiveStore]) -> None:
    live = open_live()
    live.take(segment(first=0, n=3))
    live.take(segment(first=3, n=2, episode=1, ending="terminated"))
    assert on_disk(tmp_path) == [
        ("boot-a", 0, 3, "truncated", "cut short"),
        ("boot-a", 3, 5, "terminated", "time limit"),
    ]


def test_a_gap_closes_the_episode_before_it(tmp_path: Path, open_live: Callable[[], LiveStore]) -> None:
    """An actor whose journal lost a file says so in its next hello; what it still has must not stop the learner."""
    live = open_live()
    live.take(segment(first=0, n=3))
    live.take(segment(first=5, n=2, first_step=5, ending="truncated"))
    assert [(first, last) for _, first, last, _, _ in on_disk(tmp_path)] == [(0, 3), (5, 7)]


def test_actors_do_not_close_each_others_episodes(tmp_path: Path, open_live: Callable[[], LiveStore]) -> None:
    live = open_live()
    live.take(segment("boot-a", first=0, n=1))
    live.take(segment("boot-b", first=0, n=1))
    live.take(segment("boot-a", first=1, n=1, first_step=1, ending="truncated"))
    assert on_disk(tmp_path) == [("boot-a", 0, 2, "truncated", "time limit")]
    live.close_boot("boot-b")
    live.close_boot("boot-b")
    assert on_disk(tmp_path)[1:] == [("boot-b", 0, 1, "truncated", "cut short")]


def test_closing_commits_what_is_open(tmp_path: Path, open_live: Callable[[], LiveStore]) -> None:
    live = open_live()
    live.take(segment("boot-a", first=0, n=2))
    live.take(segment("boot-b", first=0, n=1))
    live.close("run ended")
    assert [(boot, last, cause) for boot, _, last, _, cause in on_disk(tmp_path)] == [
        ("boot-a", 2, "run ended"),
        ("boot-b", 1, "run ended"),
    ]
    live.close("run ended")
    assert len(on_disk(tmp_path)) == 2


def test_a_second_learner_knows_what_the_first_one_committed(
    tmp_path: Path, open_live: Callable[[], LiveStore]
) -> None:
    first = open_live()
    first.take(segment(first=0, n=4, ending="truncated"))
    first.take(segment(first=4, n=2, episode=1))
    first.close("run ended")
    second = open_live()
    assert second.committed("boot-a") == 6
    assert second.committed("boot-b") == 0
    second.take(segment(first=6, n=1, episode=1, first_step=2, ending="truncated"))
    assert [(first, last) for _, first, last, _, _ in on_disk(tmp_path)] == [(0, 4), (4, 6), (6, 7)]
