from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.edits import (
    HIDE,
    SHOW,
    UNDO,
    Edit,
    edit_store,
    edits_of,
    hidden_by,
    hide_episode,
    show_episode,
    undo_edit,
)
from rlpd_robot.data.opening import open_store
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import DataError, StoreError, StoreLockedError
from tests.data.episodes import make_episode, make_problem
from tests.data.test_demo_store import edit_attributes, overwrite

MakeStore = Callable[[int], Path]


def test_a_hidden_episode_is_skipped_and_stays(make_store: MakeStore) -> None:
    path = make_store(3)
    before = DemoStore.open(path)
    hide_episode(path, 1, "the door slipped")
    store = DemoStore.open(path)
    assert store.hidden == {1: "the door slipped"}
    assert store.visible == [0, 2]
    assert len(store) == 3
    assert [i for i, _ in store.numbered()] == [0, 2]
    assert [e.episode for e in store.episodes(hidden=True)] == [0, 1, 2]
    assert store.episode(1).same_as(make_episode(1))
    left = np.concatenate([make_episode(0).actions, make_episode(2).actions])
    np.testing.assert_array_equal(store.transitions().action, left)
    assert store.next_sequences() == before.next_sequences(), "its numbers stay taken"
    assert validate(path) == []


def test_the_figures_of_a_store_leave_hidden_episodes_out(make_store: MakeStore, tmp_path: Path) -> None:
    path = make_store(3)
    hide_episode(path, 1, "")
    with StoreWriter(tmp_path / "other.zarr", make_problem()) as writer:
        for i in (0, 2):
            writer.append(make_episode(i))
    ours, theirs = DemoStore.open(path).summary(), DemoStore.open(tmp_path / "other.zarr").summary()
    assert (ours.hidden, theirs.hidden) == (1, 0)
    for name in ("episodes", "transitions", "success_rate", "mean_normalized_return", "mean_length", "shortest"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("longest", "endings", "intervened_share", "filtered_share", "safety_shares"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_a_store_of_which_all_is_hidden(make_store: MakeStore) -> None:
    path = make_store(2)
    edit_store(path, HIDE, [0, 1], "both")
    store = DemoStore.open(path)
    assert (len(store.transitions().reward), store.summary().longest, store.summary().success_rate) == (0, 0, 0.0)


def test_undo_goes_back_one_change_after_another(make_store: MakeStore) -> None:
    path = make_store(3)
    hide_episode(path, 1, "a")
    hide_episode(path, 2, "b")
    show_episode(path, 1, "c")
    assert DemoStore.open(path).hidden == {2: "b"}
    undone = [(undo_edit(path, "oops").reason, dict(DemoStore.open(path).hidden)) for _ in range(3)]
    assert undone == [("c", {1: "a", 2: "b"}), ("b", {1: "a"}), ("a", {})]
    with pytest.raises(DataError, match="there is nothing to undo"):
        undo_edit(path, "")
    log = edits_of(open_store(path))
    assert [e.what for e in log] == [HIDE, HIDE, SHOW, UNDO, UNDO, UNDO], "nothing is struck from the log"


@pytest.mark.parametrize(
    ("what", "episodes", "words"),
    [
        (HIDE, [3], "there is no episode 3. Expected one of its 3, counted from 0"),
        (HIDE, [-1], "there is no episode -1"),
        (HIDE, [0, 1], r"episode 1 is hidden \(x\). Expected one that is not hidden"),
        (SHOW, [0], "episode 0 is not hidden. Expected one that is hidden"),
        (HIDE, [], "nothing to hide"),
    ],
)
def test_an_edit_that_makes_no_sense_changes_nothing(
    make_store: MakeStore, what: str, episodes: list[int], words: str
) -> None:
    path = make_store(3)
    hide_episode(path, 1, "x")
    before = (path / "zarr.json").read_bytes()
    with pytest.raises(DataError, match=words):
        edit_store(path, what, episodes, "")
    assert (path / "zarr.json").read_bytes() == before


def test_whoever_writes_a_store_hides_through_its_writer(make_store: MakeStore) -> None:
    path = make_store(2)
    with StoreWriter(path, make_problem()) as writer:
        with pytest.raises(StoreLockedError):
            hide_episode(path, 0, "")
        writer.append(make_episode(2))
        writer.hide(2, "undone")
        assert DemoStore.open(path).hidden == {2: "undone"}
        writer.append(make_episode(3))  # a commit writes the same file
        assert DemoStore.open(path).hidden == {2: "undone"}
        assert writer.undo_edit("after all").episodes == (2,)
    assert DemoStore.open(path).visible == [0, 1, 2, 3]
    with pytest.raises(StoreError, match="this writer is closed"):
        writer.hide(0, "")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (3, "'int' object is not iterable"),
        ([{"what": "hide"}], "KeyError"),
        ([{"what": "erase", "episodes": [0], "reason": "", "at": ""}], "an edit is 'erase'"),
        ([{"what": "hide", "episodes": [7], "reason": "", "at": ""}], "episode 7 is named, 2 are committed"),
    ],
)
def test_a_damaged_log_is_told(make_store: MakeStore, log: object, words: str) -> None:
    path = make_store(2)
    edit_attributes(path, edits=log)
    with pytest.raises(StoreError, match=f"its attribute 'edits' is damaged .*{words}"):
        DemoStore.open(path)


def test_damage_in_a_hidden_episode_still_shows(make_store: MakeStore) -> None:
    path = make_store(2)
    hide_episode(path, 0, "")
    overwrite(path, "data/rewards", 0, np.nan)
    assert [p.episode for p in validate(path)] == [0]
    assert len(DemoStore.open(path).transitions().reward) == len(make_episode(1)), "and harms nobody"


@given(st.lists(st.one_of(st.none(), st.tuples(st.booleans(), st.sets(st.integers(0, 4), min_size=1)))))
def test_hidden_is_what_a_history_kept_whole_says(changes: list[tuple[bool, set[int]] | None]) -> None:
    history: list[frozenset[int]] = [frozenset()]
    log = []
    for change in changes:
        if change is None:
            log.append(Edit.now(UNDO, [], ""))
            history = history[:-1] or history
        else:
            hide, episodes = change
            log.append(Edit.now(HIDE if hide else SHOW, sorted(episodes), ""))
            history.append(history[-1] | episodes if hide else history[-1] - episodes)
    assert set(hidden_by(log)) == history[-1]
