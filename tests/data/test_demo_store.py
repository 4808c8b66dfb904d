"""Reading a store: what comes back, and the one sentence for each thing that can be wrong with it."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import DataError, SpecMismatchError, StoreError
from tests.data.episodes import ACTION, OBSERVATION, make_episode, make_problem

MakeStore = Callable[[int], Path]


def edit_attributes(path: Path, **changes: object) -> None:
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"].update(changes)
    file.write_text(json.dumps(content))


def overwrite(path: Path, key: str, index: object, value: object) -> None:
    zarr.open_group(path, mode="r+")[key].with_config({"write_empty_chunks": True})[index] = value


def test_every_field_comes_back(make_store: MakeStore) -> None:
    store = DemoStore.open(make_store(12))
    assert len(store) == 12
    assert len(list((store.path / "data/observations").iterdir())) > 3, "the test needs several chunks"
    for i, episode in enumerate(store.episodes()):
        assert episode.same_as(make_episode(i))
    assert store.episode(7).same_as(make_episode(7))
    assert store.problem == make_problem()
    assert store.next_sequences() == {"boot-a": make_episode(11).next_sequence}
    with pytest.raises(IndexError, match="holds 12 episodes. Received index 12"):
        store.episode(12)


def test_blocks_smaller_than_an_episode(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlpd_robot.data.rows._BLOCK_BYTES", 500)
    for i, episode in enumerate(DemoStore.open(make_store(12)).episodes()):
        assert episode.same_as(make_episode(i))


def test_path_with_spaces_and_other_letters(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "Türen öffnen 扉 [1].zarr"
    with StoreWriter(path, make_problem()) as writer:
        writer.append(make_episode(0))
    assert DemoStore.open(path).episode(0).same_as(make_episode(0))


def test_other_tools_see_plain_concatenated_arrays(make_store: MakeStore) -> None:
    group = zarr.open_group(make_store(3), mode="r")
    lengths = [len(make_episode(i)) for i in range(3)]
    assert group["meta/episode_ends"][:].tolist() == np.cumsum([n + 1 for n in lengths]).tolist()
    assert group["data/observations"].shape == (sum(lengths) + 3, OBSERVATION)
    assert np.flatnonzero(~group["data/valid"][:]).tolist() == (group["meta/episode_ends"][:] - 1).tolist()


def test_transitions_are_aligned_and_bootstrap_by_ending(make_store: MakeStore) -> None:
    batch = DemoStore.open(make_store(3)).transitions()
    episodes = [make_episode(i) for i in range(3)]
    n = sum(map(len, episodes))
    assert [c.shape for c in batch] == [(n, OBSERVATION), (n, ACTION), (n,), (n, OBSERVATION), (n,), (n,)]
    assert all(c.dtype == np.float32 and c.flags.c_contiguous for c in batch)
    assert np.array_equal(batch.next_observation, np.concatenate([e.observations[1:] for e in episodes]))
    assert np.array_equal(batch.reward, np.concatenate([e.rewards for e in episodes]))
    assert [e.ending for e in episodes] == ["terminated", "truncated", "unknown"]
    assert np.flatnonzero(batch.bootstrap == 0).tolist() == [len(episodes[0]) - 1]
    assert batch.is_demo.all()


def test_summary_counts_what_was_stored(tmp_path: Path) -> None:
    first, second = make_episode(1), make_episode(3)
    first = replace(first, success=np.zeros(len(first), np.bool_), intervened=np.ones(len(first), np.bool_))
    first = replace(first, safety=np.full(len(first), 6, np.uint16))
    second = replace(second, success=np.arange(len(second)) >= 12, intervened=np.zeros(len(second), np.bool_))
    second = replace(second, safety=np.where(np.arange(len(second)) < 7, 2, 0).astype(np.uint16))
    with StoreWriter(tmp_path / "s.zarr", make_problem()) as writer:
        writer.append(first)
        writer.append(second)
    summary = DemoStore.open(tmp_path / "s.zarr").summary()
    assert (len(first), len(second)) == (8, 22)
    assert (summary.episodes, summary.transitions, summary.shortest, summary.longest) == (2, 30, 8, 22)
    assert summary.success_rate == 0.5
    assert summary.mean_normalized_return == pytest.approx(100 * (10 / 40) / 2)
    assert summary.endings == {"terminated": 1, "truncated": 1}
    assert summary.intervened_share == pytest.approx(8 / 30)
    assert summary.filtered_share == pytest.approx(15 / 30)
    assert summary.safety_shares == {2: pytest.approx(15 / 30), 4: pytest.approx(8 / 30)}
    assert summary.uncommitted_rows == 0


def test_a_store_from_before_the_safety_mask_is_read_and_not_appended_to(tmp_path: Path) -> None:
    """It knows that the filter changed a command, not why: mask 1."""
    path, episode = tmp_path / "s.zarr", make_episode(2)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(episode)
    shutil.rmtree(path / "data" / "safety")
    store = DemoStore.open(path)
    changed = episode.safety != 0
    assert 0 < changed.sum() < len(episode)
    np.testing.assert_array_equal(store.episode(0).safety, changed.astype(np.uint16))
    assert store.summary().safety_shares == {1: pytest.approx(changed.mean())}
    assert validate(path) == []
    with pytest.raises(StoreError, match="it is from before 'data/safety' and is read only. Write to a new store"):
        StoreWriter(path, make_problem())


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    store = DemoStore.create(tmp_path / "s.zarr", make_problem(), {"licence": "CC0-1.0"})
    assert (len(store), list(store.episodes()), store.attributes["licence"]) == (0, [], "CC0-1.0")
    assert store.transitions().observation.shape == (0, OBSERVATION)
    assert store.summary().success_rate == 0
    with pytest.raises(StoreError, match="there is something at this path already"):
        DemoStore.create(tmp_path / "s.zarr", make_problem())


def test_own_attributes_cannot_be_overwritten(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\['committed_episodes'\] are the store's own"):
        DemoStore.create(tmp_path / "s.zarr", make_problem(), {"committed_episodes": 3})
    assert not (tmp_path / "s.zarr").exists()


def test_a_view_is_one_moment(make_store: MakeStore) -> None:
    path = make_store(2)
    before = DemoStore.open(path)
    with StoreWriter(path, make_problem()) as writer:
        writer.append(make_episode(2))
        assert [e.episode for e in before.episodes()] == [0, 1]
        assert [e.episode for e in DemoStore.open(path).episodes()] == [0, 1, 2]


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        DemoStore.open(tmp_path / "no such.zarr")
    assert str(caught.value) == (
        f"Store '{tmp_path}/no such.zarr': there is nothing at this path. "
        "Give the path of a demonstration store, such as demos/adroit_door/demos.zarr."
    )
    assert list(tmp_path.iterdir()) == []


def test_something_else_at_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("x")
    zarr.create_group(tmp_path / "group.zarr", zarr_format=3)
    for name, words in {
        "file": "this is a file, not a directory",
        "folder": "this directory is no demonstration store (it holds no zarr.json)",
        "group.zarr": "this zarr group is no demonstration store (attribute 'schema' is None",
    }.items():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match=re.escape(words)):
            DemoStore.open(tmp_path / name)
        with pytest.raises(StoreError, match=re.escape(words)):
            StoreWriter(tmp_path / name, make_problem())
        assert sorted(tmp_path.rglob("*")) == before


def test_another_schema_version(make_store: MakeStore) -> None:
    path = make_store(1)
    edit_attributes(path, schema_version=7)
    with pytest.raises(StoreError, match="its schema version is 7, this program reads 1. Use the rlpd-robot version"):
        DemoStore.open(path)


def test_another_robot_is_named_by_its_differences(make_store: MakeStore) -> None:
    path = make_store(1)
    other = make_problem(period_s=0.01)
    for attempt in (lambda: DemoStore.open(path).check(other), lambda: StoreWriter(path, other)):
        with pytest.raises(SpecMismatchError) as caught:
            attempt()
        assert str(caught.value) == (
            f"Store '{path}' does not match this robot and task: robot.period_s: 0.01 here, 0.02 there. "
            "Use a store recorded on this robot and task, or set them as the store has them."
        )
    DemoStore.open(path).check(make_problem())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"committed_episodes": -1}, "its attribute 'committed_episodes' is -1, not a count"),
        ({"committed_episodes": "2"}, "its attribute 'committed_episodes' is '2', not a count"),
        ({"committed_episodes": 10**9}, "its array 'meta/episode_ends' has 3 rows, 1000000000 are committed"),
        ({"problem": None}, "its attribute 'problem' is damaged"),
        ({"problem": {"robot": 3}}, "its attribute 'problem' is damaged"),
    ],
)
def test_damaged_attributes(make_store: MakeStore, changes: dict[str, object], words: str) -> None:
    path = make_store(3)
    edit_attributes(path, **changes)
    with pytest.raises(StoreError, match=re.escape(words)):
        DemoStore.open(path)


def test_damaged_metadata_files(make_store: MakeStore) -> None:
    path = make_store(3)
    (path / "data/rewards/zarr.json").write_text("{")
    with pytest.raises(StoreError, match="its array 'data/rewards' cannot be opened"):
        DemoStore.open(path)
    (path / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match=r"its zarr\.json cannot be read"):
        DemoStore.open(path)


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip"])
def test_a_damaged_chunk_is_named_with_its_episodes(make_store: MakeStore, damage: str) -> None:
    path = make_store(12)
    chunk = path / "data/actions/c.1.0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes({"truncate": content[: len(content) // 2], "empty": b"", "flip": bytes(content)}[damage])
    store = DemoStore.open(path)
    rows = 512 // (4 * ACTION)
    ends = np.cumsum([len(make_episode(i)) + 1 for i in range(12)])
    first, last = (int(np.searchsorted(ends, row, side="right")) for row in (rows, 2 * rows - 1))
    expected = f"rows {rows} to {2 * rows - 1} of its array 'data/actions' (episodes {first} to {last}) cannot be read"
    with pytest.raises(StoreError, match=re.escape(expected)):
        store.transitions()
    assert store.episode(first - 1).same_as(make_episode(first - 1)), "what lies before is still readable"


def test_a_missing_chunk_is_not_read_as_zeros(make_store: MakeStore) -> None:
    path = make_store(12)
    (path / "data/rewards/c.1").unlink()
    with pytest.raises(StoreError, match=re.escape("the chunk file 'data/rewards/c.1' is missing")):
        DemoStore.open(path).transitions()


def test_an_episode_without_transitions(make_store: MakeStore) -> None:
    path = make_store(3)
    ends = zarr.open_group(path, mode="r")["meta/episode_ends"][:]
    overwrite(path, "meta/episode_ends", 1, ends[0] + 1)
    with pytest.raises(StoreError, match=re.escape(f"'meta/episode_ends'[1] is {ends[0] + 1}, which leaves")):
        DemoStore.open(path)


def test_an_array_of_another_shape_or_with_huge_chunks(make_store: MakeStore) -> None:
    path = make_store(1)
    file = path / "data/actions/zarr.json"
    content = json.loads(file.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"] = [10**9, ACTION]
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="its array 'data/actions' has chunks of 12000 MB"):
        DemoStore.open(path)
    content["data_type"] = "float64"
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="its array 'data/actions' holds float64 rows"):
        DemoStore.open(path)


@pytest.mark.parametrize("part", ["zarr.json", "data", "data/actions", "data/actions/zarr.json", "data/actions/c.0.0"])
def test_a_link_that_leads_out_of_the_store(make_store: MakeStore, tmp_path: Path, part: str) -> None:
    path = make_store(3)
    outside = tmp_path / "outside"
    (path / part).rename(outside)
    (path / part).symlink_to(outside)
    with pytest.raises(StoreError, match=f"its part '{part}' is a link that leads out of the store"):
        DemoStore.open(path).transitions()
    with pytest.raises(StoreError, match="leads out of the store"):
        validate(path)


def test_links_that_stay_inside_or_lead_to_the_store(make_store: MakeStore, tmp_path: Path) -> None:
    path = make_store(3)
    (path / "data/actions").rename(path / "kept")
    (path / "data/actions").symlink_to(path / "kept")
    (tmp_path / "link.zarr").symlink_to(path)
    assert DemoStore.open(tmp_path / "link.zarr").episode(1).same_as(make_episode(1))


def test_nan_in_a_demonstration(make_store: MakeStore) -> None:
    path = make_store(3)
    start = len(make_episode(0)) + 1
    overwrite(path, "data/actions", (start + 4, 2), np.nan)
    overwrite(path, "data/actions", (start + 6, 0), np.nan)
    store = DemoStore.open(path)
    for read in (store.transitions, lambda: store.episode(1)):
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value) == (
            f"Store '{path}', episode 1, actions[4, 2]: nan (and 1 more). Expected a finite number."
        )
    assert store.episode(2).same_as(make_episode(2))
