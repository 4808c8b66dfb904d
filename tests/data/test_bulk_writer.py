"""A store that is there whole or not at all."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlpd_robot.data import bulk_writer
from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import StoreError
from tests.data.episodes import make_episode, make_problem


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("rows", [1, 50, 1 << 20])
def test_the_same_store_as_episode_by_episode(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_writer, "BLOCK_ROWS", rows)
    with BulkWriter(tmp_path / "bulk.zarr", make_problem()) as writer:
        for i in range(9):
            writer.append(make_episode(i))
        writer.finish({"licence": "none"})
    store = DemoStore.open(tmp_path / "bulk.zarr")
    assert validate(store.path) == []
    assert store.attributes["licence"] == "none"
    assert all(store.episode(i).same_as(make_episode(i)) for i in range(9))
    with StoreWriter(store.path, make_problem()) as more:
        more.append(make_episode(9))
    assert len(DemoStore.open(store.path)) == 10


def test_nothing_is_left_of_what_was_not_finished(tmp_path: Path) -> None:
    with BulkWriter(tmp_path / "s.zarr", make_problem()) as writer:
        writer.append(make_episode(1))
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr.lock"]


def test_what_is_there_already_is_not_touched(make_store: Callable[[int], Path]) -> None:
    path = make_store(2)
    with pytest.raises(StoreError, match="there is something at this path already"):
        BulkWriter(path, make_problem())
    assert len(DemoStore.open(path)) == 2


KILLED = """
import os, signal, sys
from rlpd_robot.data.bulk_writer import BulkWriter
from tests.data.episodes import make_episode, make_problem
writer = BulkWriter(sys.argv[1], make_problem())
writer.append(make_episode(1))
writer._flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_import_leaves_no_store_and_the_next_one_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, timeout=60, check=False)
    assert not path.exists()
    assert len(list(tmp_path.glob(".s.zarr.*.partial"))) == 1
    with BulkWriter(path, make_problem()) as writer:
        writer.append(make_episode(1))
        writer.finish({})
    assert not list(tmp_path.glob(".s.zarr.*"))
    assert len(DemoStore.open(path)) == 1
