"""The books of `rlpd-robot bench record-chaos`, and a short storm over real recorders."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.run.bench.books import Stretch
from rlpd_robot.run.bench.record_chaos import Books, compare_books, look_as_reader
from rlpd_robot.types import Segment
from tests.integration.running import CONFIGS, make_demos


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr", episodes=3)


def as_executed(episodes: Sequence[Segment]) -> list[Stretch]:
    """What the robot's book holds when it executed just these."""
    return [
        Stretch("robot", f"c{i}", n := np.arange(len(e)), n, e.actions, np.ones_like(n), np.ones_like(n))
        for i, e in enumerate(episodes)
    ]


def test_books_that_agree(demos: Path) -> None:
    episodes, books = list(DemoStore.open(demos).episodes()), Books()
    assert compare_books(episodes, as_executed(episodes), {i: len(e) for i, e in enumerate(episodes)}, books) == 0
    assert (books.lost, books.torn) == ([], [])


def test_a_first_command_that_nobody_saw_act_is_no_episode(demos: Path) -> None:
    episodes, books = list(DemoStore.open(demos).episodes()), Books()
    one = np.array([0])
    unseen = Stretch("robot", "killed", one, one, episodes[0].actions[:1] / 2, np.array([0]), np.array([1]))
    assert compare_books(episodes, [*as_executed(episodes), unseen], {}, books) == 1
    assert (books.lost, books.torn) == ([], [])


def test_an_episode_that_was_told_and_is_not_there_is_lost(demos: Path) -> None:
    episodes, books = list(DemoStore.open(demos).episodes()), Books()
    told = {0: len(episodes[0]), 1: 7, 3: 20}
    compare_books(episodes, as_executed(episodes), told, books)
    assert books.lost == [
        f"episode 1 was told to be safe with 7 steps, the store holds {len(episodes[1])}",
        "episode 3 was told to be safe with 20 steps, the store holds 0",
    ]


def test_what_the_robot_executed_and_the_store_has_not_is_lost(demos: Path) -> None:
    episodes, books = list(DemoStore.open(demos).episodes()), Books()
    compare_books(episodes[:2], as_executed(episodes), {}, books)
    assert len(books.lost) == len(episodes[2])
    books = Books()
    compare_books(episodes, as_executed(episodes[:2]), {}, books)
    assert len(books.torn) == len(episodes[2])


def test_a_reader_sees_every_episode_it_has_seen_before(demos: Path, tmp_path: Path) -> None:
    books = Books()
    look_as_reader(tmp_path / "none.zarr", books, "before the first")
    look_as_reader(demos, books, "after kill 1")
    assert (len(books.seen), books.lost, books.torn) == (3, [], [])
    books.seen.append(("another recorder", 0))
    look_as_reader(demos, books, "after kill 2")
    assert books.lost == ["after kill 2: of the 4 episodes that were committed, not all are in their place"]
    broken = Path(shutil.copytree(demos, tmp_path / "broken.zarr"))
    next((broken / "data/actions").glob("c*")).write_bytes(b"torn")
    look_as_reader(broken, books, "after kill 3")
    assert len(books.torn) == 1
    assert "data/actions" in books.torn[0]


@pytest.mark.integration
def test_a_short_storm_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(CONFIGS))
    words = ["experiment=point", "record_chaos.kills=2", "record_chaos.seconds=0.3", "record_chaos.timed=false"]
    words.append(f"record_chaos.folder='{tmp_path / 'Läufe der 1'}'")  # a space, and a letter beyond ASCII
    status = cli.main(["bench", "record-chaos", "--json", *words])
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (status, report["findings"]) == (0, {"lost": [], "torn": []}), err
    assert (report["kills"], sum(report["struck"].values())) == (2, 2)
    assert report["committed"] >= 1
    assert err.splitlines()[-1] == (
        f"kills=2 recorded={report['recorded']} committed={report['committed']} lost=0 torn=0"
    )
