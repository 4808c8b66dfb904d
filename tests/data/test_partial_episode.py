from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.data.partial_episode import PartialEpisode, read_partial, recording_path
from rlpd_robot.errors import StoreError
from rlpd_robot.types import Segment, Transition
from tests.data.episodes import make_episode, make_problem

PROBLEM = make_problem()


def transitions(episode: Segment) -> list[Transition]:
    """One by one, as a control loop makes them: none but the last may know the end."""
    return [
        Transition(
            boot=episode.boot,
            sequence=episode.first_sequence + i,
            episode=episode.episode,
            step=i,
            observation=episode.observations[i],
            action=episode.actions[i],
            proposed_action=episode.proposed_actions[i],
            reward=float(episode.rewards[i]),
            next_observation=episode.observations[i + 1],
            success=bool(episode.success[i]),
            intervened=False,
            safety=int(episode.safety[i]),
            policy_version=int(episode.policy_versions[i]),
            stamps_s=tuple(episode.stamps_s[i].tolist()),
            ending="",
            cause="",
        )
        for i in range(len(episode))
    ]


def record(store: Path, episode: Segment) -> PartialEpisode:
    partial = PartialEpisode(store, PROBLEM)
    partial.begin(episode.boot, episode.first_sequence, episode.episode)
    for i, transition in enumerate(transitions(episode)):
        partial.add(transition, bool(episode.intervened[i]))
    return partial


@pytest.mark.parametrize("hide", ["", "discarded – by a person"])
def test_a_finished_episode_comes_back_as_it_was(tmp_path: Path, hide: str) -> None:
    store, episode = tmp_path / "new" / "demos.zarr", make_episode(3)
    partial = record(store, episode)
    assert partial.steps == len(episode)
    partial.finish(episode.ending, episode.cause, hide)
    found = read_partial(recording_path(store), PROBLEM)
    assert found is not None
    assert found.episode is not None
    assert found.episode.same_as(episode)
    assert (found.finished, found.hide, found.torn) == (True, hide, 0)
    partial.remove()
    assert read_partial(recording_path(store), PROBLEM) is None


def test_a_file_cut_anywhere_gives_the_whole_transitions_before_the_cut(tmp_path: Path) -> None:
    store, episode = tmp_path / "demos.zarr", make_episode(2)
    record(store, episode).finish("terminated", "", "")
    path = recording_path(store)
    data = path.read_bytes()
    head = data.index(b"\n") + 1
    size = (data.rindex(b"E") - head) // len(episode)
    end = head + size * len(episode)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        found = read_partial(path, PROBLEM)
        assert found is not None
        steps = 0 if found.episode is None else len(found.episode)
        assert steps == max(0, min(cut, end) - head) // size
        assert found.finished == (cut >= len(data) - 1)  # the last newline says nothing
        if found.episode is not None:
            assert np.array_equal(found.episode.observations, episode.observations[: steps + 1])
            assert np.array_equal(found.episode.actions, episode.actions[:steps])


def test_a_flipped_bit_ends_what_counts(tmp_path: Path) -> None:
    store, episode = tmp_path / "demos.zarr", make_episode(2)
    record(store, episode)
    path = recording_path(store)
    data = bytearray(path.read_bytes())
    head = data.index(b"\n") + 1
    size = (len(data) - head) // len(episode)
    data[head + 4 * size + size // 2] ^= 4
    path.write_bytes(data)
    found = read_partial(path, PROBLEM)
    assert found is not None
    assert found.episode is not None
    assert len(found.episode) == 4
    assert found.torn == size * (len(episode) - 4)


def test_an_earlier_episode_is_not_written_over(tmp_path: Path) -> None:
    store, episode = tmp_path / "demos.zarr", make_episode(2)
    record(store, episode).leave()
    again = PartialEpisode(store, PROBLEM)
    with pytest.raises(StoreError, match="an earlier episode lies there"):
        again.begin("other", 0, 0)
    found = read_partial(recording_path(store), PROBLEM)
    assert found is not None
    assert found.episode is not None
    assert len(found.episode) == len(episode)


def test_an_episode_of_another_problem_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "demos.zarr"
    record(store, make_episode(2))
    with pytest.raises(StoreError, match="an episode of another robot or task lies there"):
        read_partial(recording_path(store), make_problem(period_s=0.5))


@pytest.mark.parametrize("line", [b"rubbish\n", b"{}\n", b"[]\n", b"\xff\n", b'{"version": 1, "fingerprint": 5}\n'])
def test_rubbish_is_refused_and_left(tmp_path: Path, line: bytes) -> None:
    path = recording_path(tmp_path / "demos.zarr")
    path.write_bytes(line)
    with pytest.raises(StoreError, match="its first line is damaged"):
        read_partial(path, PROBLEM)
    assert path.read_bytes() == line


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path = recording_path(tmp_path / "demos.zarr")
    path.write_bytes(b'{"version": 2, "fingerprint": "", "boot": "", "first_sequence": 0, "episode": 0}\n')
    with pytest.raises(StoreError, match="its version is 2, this program reads 1"):
        read_partial(path, PROBLEM)


def test_a_disk_that_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    episode = make_episode(2)
    partial = record(tmp_path / "demos.zarr", episode)
    monkeypatch.setattr("os.write", lambda descriptor, data: len(data) // 2)
    with pytest.raises(StoreError, match="the disk refuses"):
        partial.add(transitions(episode)[0], False)
    monkeypatch.undo()
    found = read_partial(partial.path, PROBLEM)
    assert found is not None
    assert found.episode is not None
    assert len(found.episode) == len(episode)
