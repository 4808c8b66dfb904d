"""Each stage at which a recorder may be killed, and what the next one makes of what lies there."""

from dataclasses import replace
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.partial_episode import recording_path
from rlpd_robot.errors import SpecMismatchError, StoreError, StoreLockedError
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.episode_recorder import CUT_SHORT, DISCARDED, UNDONE, EpisodeRecorder
from tests.data.episodes import make_episode, make_problem
from tests.data.test_partial_episode import transitions

PROBLEM = make_problem()


def begin(recorder: EpisodeRecorder, index: int, end: bool = True) -> None:
    """An episode, up to its end."""
    episode = make_episode(index)
    recorder.begin(episode.first_sequence)
    for transition in transitions(episode):
        recorder.on_transition(transition)
    if end:
        recorder.on_episode(EpisodeSummary(0, len(episode), 0.0, False, 0.0, episode.ending, episode.cause, -1))


def killed(recorder: EpisodeRecorder) -> None:
    """As after a kill: the kernel frees the lock, and nothing else is done."""
    recorder._writer.close()


def make(path: Path, person: bool = True) -> EpisodeRecorder:
    return EpisodeRecorder(path, PROBLEM, "boot-a", person, {"recorded_with": "a test"})


def test_an_episode_is_in_the_store_when_save_returns(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    begin(recorder, 1)
    saved = recorder.save()
    assert saved is not None
    assert (saved.index, saved.steps, saved.hidden) == (0, 8, "")
    store = DemoStore.open(path)
    expected = replace(make_episode(1), episode=0, intervened=make_episode(1).intervened | True)
    assert store.episode(0).same_as(replace(expected, episode=1))
    assert store.attributes["recorded_with"] == "a test"
    assert not recording_path(path).exists()
    recorder.close()


def test_it_goes_on_with_a_store(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    for index in (1, 2):
        recorder = make(path, person=False)
        assert recorder.episodes == index - 1
        begin(recorder, index)
        recorder.save()
        recorder.close()
    store = DemoStore.open(path)
    assert len(store) == 2
    assert not any(e.intervened.any() for e in store.episodes())


def test_a_store_of_another_problem_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    make(path).close()
    before = sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*"))
    with pytest.raises(SpecMismatchError, match="period_s"):
        EpisodeRecorder(path, make_problem(period_s=0.5), "boot-b", True)
    assert sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*")) == before


def test_one_recorder_a_store(tmp_path: Path) -> None:
    recorder = make(tmp_path / "demos.zarr")
    with pytest.raises(StoreLockedError):
        make(tmp_path / "demos.zarr")
    recorder.close()


@pytest.mark.parametrize("keep", [True, False])
def test_the_beginning_of_a_killed_episode_is_kept_or_hidden(tmp_path: Path, keep: bool) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    begin(recorder, 1)
    recorder.save()
    begin(recorder, 2, end=False)
    killed(recorder)

    after = make(path)
    left = after.leftover()
    assert left is not None
    assert left.episode is not None
    assert len(left.episode) == len(make_episode(2))
    saved = after.settle(left, keep)
    assert (saved.index, saved.hidden) == (1, "" if keep else DISCARDED)
    assert (after.episodes, after.hidden) == ((2, 0) if keep else (1, 1))
    assert after.leftover() is None
    after.close()
    store = DemoStore.open(path)
    assert (store.episode(1).ending, store.episode(1).cause) == ("truncated", CUT_SHORT)
    assert store.visible == ([0, 1] if keep else [0])


@pytest.mark.parametrize("hide", ["", DISCARDED])
@pytest.mark.parametrize("stage", ["finished", "appended", "hidden"])
def test_an_episode_that_had_ended_is_stored_once_wherever_the_kill_fell(
    tmp_path: Path, stage: str, hide: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    begin(recorder, 1)
    broken = {
        "finished": (recorder._writer, "append"),
        "appended": (recorder._writer, "hide"),
        "hidden": (recorder._partial, "remove"),
    }

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*broken[stage], kill)
        if stage == "appended" and not hide:
            patch.setattr(recorder._partial, "remove", kill)
        with pytest.raises(KeyboardInterrupt):
            recorder.save(hide)
    killed(recorder)

    after = make(path)
    assert after.leftover() is None  # nothing to ask: it had ended
    assert (after.episodes, after.hidden) == ((0, 1) if hide else (1, 0))
    after.close()
    store = DemoStore.open(path)
    assert len(store) == 1
    assert store.episode(0).cause == make_episode(1).cause
    assert store.visible == ([] if hide else [0])
    assert not recording_path(path).exists()


def test_a_kill_before_the_first_step_leaves_nothing_to_decide(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    recorder.begin(0)
    killed(recorder)
    after = make(path)
    assert after.leftover() is None
    after.begin(0)
    assert after.save() is None
    after.close()
    assert len(DemoStore.open(path)) == 0


def test_undo_hides_the_newest_of_this_session_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    begin(recorder, 1)
    recorder.save()
    recorder.close()
    recorder = make(path)
    recorder._boot = "boot-a"
    for index, hide in ((2, ""), (3, DISCARDED), (4, "")):
        begin(recorder, index)
        recorder.save(hide)
    undone = [recorder.undo() for _ in range(3)]
    assert [u and u.index for u in undone] == [3, 1, None]
    assert (recorder.episodes, recorder.hidden) == (1, 3)
    recorder.close()
    store = DemoStore.open(path)
    assert store.visible == [0]
    assert store.hidden == {1: UNDONE, 2: DISCARDED, 3: UNDONE}
    assert store.episode(3).same_as(replace(make_episode(4), intervened=store.episode(3).intervened))


def test_a_disk_that_refuses_the_store_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "demos.zarr"
    recorder = make(path)
    begin(recorder, 1)

    def refuse(episode: object) -> None:
        raise StoreError(path, "the disk refuses", "Make room.")

    monkeypatch.setattr(recorder._writer, "append", refuse)
    with pytest.raises(StoreError, match="the disk refuses"):
        recorder.save()
    recorder.close()
    after = make(path)
    assert after.leftover() is None
    assert after.episodes == 1
    after.close()
