from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data import rewrite as mend
from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.edits import hide_episode
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import DataError, SpecMismatchError, StoreError
from rlpd_robot.types import Segment
from tests.data.episodes import make_episode, make_problem

MakeStore = Callable[[int], Path]


@given(st.integers(0, 21), st.integers(1, 22))
def test_a_cut_is_those_steps_and_their_observations(first: int, stop: int) -> None:
    episode = make_episode(3)
    assert len(episode) == 22
    if first >= stop:
        with pytest.raises(DataError, match="at least one of its steps"):
            mend.cut(episode, first, stop)
        return
    part = mend.cut(episode, first, stop)
    np.testing.assert_array_equal(part.observations, episode.observations[first : stop + 1])
    for name in ("actions", "proposed_actions", "rewards", "success", "intervened", "safety", "stamps_s"):
        np.testing.assert_array_equal(getattr(part, name), getattr(episode, name)[first:stop])
    assert (part.first_sequence, part.next_sequence) == (300 + first, 300 + stop)
    assert part.ending == ("terminated" if stop == 22 else "truncated")
    assert part.bootstrap.tolist() == [1.0] * (stop - first - 1) + [0.0 if stop == 22 else 1.0]


@given(st.integers(1, 21))
def test_a_split_loses_nothing(at: int) -> None:
    episode = make_episode(3)
    a, b = mend.split(episode, at)
    assert (len(a), len(b)) == (at, 22 - at)
    again = Segment.join([replace(a, ending="", cause=""), replace(b, first_step=at)])
    assert again.same_as(episode)


@pytest.mark.parametrize("at", [0, 22, -1, 30])
def test_a_split_beyond_the_episode(at: int) -> None:
    with pytest.raises(DataError):
        mend.split(make_episode(3), at)


def test_labels() -> None:
    episode = make_episode(3)
    assert mend.with_success(episode, True, 5, 22).success[5:].all()
    np.testing.assert_array_equal(mend.with_success(episode, True, 5, 22).success[:5], episode.success[:5])
    assert mend.with_rewards(episode, np.ones(22, np.float32)).success is episode.success
    assert mend.with_ending(episode, "truncated").bootstrap[-1] == 1.0


def test_the_new_store_leaves_hidden_episodes_and_tells_its_history(make_store: MakeStore, tmp_path: Path) -> None:
    path = make_store(3)
    hide_episode(path, 1, "")
    told: list[tuple[int, int]] = []
    n = mend.rewrite(
        [DemoStore.open(path)], tmp_path / "a.zarr", mend.keep, {"edit": "x"},
        on_progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert (n, told) == (2, [(1, 2), (2, 2)])
    mend.rewrite([DemoStore.open(tmp_path / "a.zarr")], tmp_path / "b.zarr", mend.keep, {"edit": "y"})
    store = DemoStore.open(tmp_path / "b.zarr")
    assert [e.episode for e in store.episodes()] == [0, 2]
    assert (store.hidden, validate(store.path)) == ({}, [])
    (made,) = store.attributes["made_from"]
    assert (made["edit"], made["sources"][0]["history"][0]["edit"]) == ("y", "x")
    assert made["sources"][0]["history"][0]["sources"][0]["hidden_left_behind"] == 1


def other_store(path: Path, numbers: list[int], boot: str, **attributes: object) -> DemoStore:
    with BulkWriter(path, make_problem()) as writer:
        for i in numbers:
            writer.append(make_episode(i, boot))
        writer.finish(attributes)
    return DemoStore.open(path)


def test_merging_keeps_what_the_sources_say_alike(tmp_path: Path) -> None:
    a = other_store(tmp_path / "a.zarr", [0, 1], "boot-a", licence="CC0-1.0", by="Ann")
    b = other_store(tmp_path / "b.zarr", [1], "boot-b", licence="CC0-1.0", by="Bob")
    assert mend.rewrite([a, b], tmp_path / "c.zarr", mend.keep, {}) == 3
    store = DemoStore.open(tmp_path / "c.zarr")
    assert [(e.boot, e.episode) for e in store.episodes()] == [("boot-a", 0), ("boot-a", 1), ("boot-b", 1)]
    assert (store.attributes["licence"], "by" in store.attributes) == ("CC0-1.0", False)
    assert [s["attributes"] for s in store.attributes["made_from"][0]["sources"]] == [{"by": "Ann"}, {"by": "Bob"}]


def test_the_same_transitions_twice_are_refused(tmp_path: Path) -> None:
    a, b = (other_store(tmp_path / f"{n}.zarr", [0, 1], "boot-a") for n in "ab")
    with pytest.raises(DataError, match="hold the same transitions"):
        mend.rewrite([a, b], tmp_path / "c.zarr", mend.keep, {})
    assert not (tmp_path / "c.zarr").exists()


def test_what_cannot_be_merged_or_written(make_store: MakeStore, tmp_path: Path) -> None:
    ours = DemoStore.open(make_store(1))
    with BulkWriter(tmp_path / "other.zarr", make_problem(period_s=0.01)) as writer:
        writer.append(make_episode(5))
        writer.finish({})
    with pytest.raises(SpecMismatchError):
        mend.rewrite([ours, DemoStore.open(tmp_path / "other.zarr")], tmp_path / "c.zarr", mend.keep, {})
    with pytest.raises(StoreError, match="there is something at this path already"):
        mend.rewrite([ours], tmp_path / "other.zarr", mend.keep, {})
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".zarr") == ["demos.zarr", "other.zarr"]
