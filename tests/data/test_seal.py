import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data import rows
from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.data.edits import hide_episode
from rlpd_robot.data.seal import seal_store
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import StoreError, StoreLockedError
from tests.data.episodes import make_episode, make_problem
from tests.data.test_demo_store import edit_attributes, overwrite

MakeStore = Callable[[int], Path]


def test_a_sealed_store_validates_and_nothing_of_ours_writes_it(make_store: MakeStore) -> None:
    path = make_store(3)
    digest = seal_store(path)
    assert len(digest) == 64
    assert validate(path) == []
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    for attempt in (
        lambda: StoreWriter(path, make_problem()),
        lambda: hide_episode(path, 0, ""),
        lambda: seal_store(path),
    ):
        with pytest.raises(StoreError, match="it is sealed, and stays as it is"):
            attempt()
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


@pytest.mark.parametrize(
    ("key", "index", "value"),
    [
        ("data/observations", (0, 0), 0.5),
        ("data/rewards", 20, 0.5),
        ("data/success", 1, None),
        ("data/stamps_s", (2, 3), 1.0),
        ("meta/cause", (2, 0), 65),
    ],
)
def test_any_change_of_content_shows(make_store: MakeStore, key: str, index: object, value: float | None) -> None:
    path = make_store(3)
    seal_store(path)
    if value is None:
        value = not zarr.open_group(path, mode="r")[key][index]
    overwrite(path, key, index, value)
    (problem,) = validate(path)
    assert problem.expected.endswith("as when it was sealed")
    assert str(problem).startswith("seal: the content's SHA-256 is ")


def test_so_does_a_change_of_what_the_store_says_of_itself(make_store: MakeStore) -> None:
    path = make_store(3)
    seal_store(path)
    edit_attributes(path, licence="none")
    assert [p.key for p in validate(path)] == ["seal"]
    edit_attributes(path, seal=3)
    assert [p.expected for p in validate(path)] == ["a seal that holds a digest"]


def test_the_remains_of_a_killed_writer_are_no_content(make_store: MakeStore) -> None:
    path = make_store(3)
    seal_store(path)
    array = zarr.open_group(path, mode="r+")["data/rewards"]
    array.resize((array.shape[0] + 5,))
    array[-5:] = 7.0
    assert validate(path) == []


def test_the_digest_is_of_content_not_of_files(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_store(12)  # in chunks of 512 bytes, each episode written by itself
    with BulkWriter(tmp_path / "bulk.zarr", make_problem()) as writer:
        for i in range(12):
            writer.append(make_episode(i))
        writer.finish({})
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 4000)
    one = seal_store(path)
    monkeypatch.undo()
    assert seal_store(tmp_path / "bulk.zarr") == one


def test_it_tells_how_far_it_is(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 4000)
    path, told = make_store(12), list[tuple[int, int]]()
    seal_store(path, lambda done, total: told.append((done, total)))
    assert told == sorted(set(told))
    assert len(told) > 2
    assert told[-1] == (12, 12)


def test_what_cannot_be_sealed(make_store: MakeStore) -> None:
    path = make_store(0)
    with pytest.raises(StoreError, match="it holds no episode"):
        seal_store(path)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(make_episode(0))
        with pytest.raises(StoreLockedError):
            seal_store(path)
    assert "seal" not in json.loads((path / "zarr.json").read_text())["attributes"]


def test_a_seal_does_not_hide_other_problems(make_store: MakeStore) -> None:
    path = make_store(3)
    overwrite(path, "data/rewards", 3, np.nan)
    seal_store(path)
    assert [p.key for p in validate(path)] == ["rewards"]
