"""Whole sessions on a fake robot: what a person presses, and what is in the store afterwards."""

import os
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.config import build
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.partial_episode import recording_path
from rlpd_robot.errors import ConfigError, FaultError
from rlpd_robot.robot.teleop.source import Event, TeleopSample
from rlpd_robot.run import record as module
from rlpd_robot.run.episode_recorder import CUT_SHORT, DISCARDED, FAILED, UNDONE
from rlpd_robot.run.record import run_record
from rlpd_robot.run.record_settings import RecordSettings
from rlpd_robot.run.settings import RobotSettings
from tests.run.point import FAKE, HORIZON, PROBLEM, settings

HOME = {"_target_": "rlpd_robot.robot.teleop.acting.scripted", "function": f"{__name__}.home"}
STEPS = 5


def home(observation):
    """The expert of the fake task."""
    return np.clip(-2 * observation[:2], -1, 1)


class Script:
    """A person who says words at given steps: (episode, step, word), step -1 being between two episodes."""

    name, person = "script", True

    def __init__(self, spec, words: Sequence[tuple[int, int, str]], silent: Sequence[int] = ()):
        self._words, self._silent = [tuple(word) for word in words], tuple(silent)
        self._episode = self._step = -1
        self.polls = 0

    def begin(self, action):
        self._episode, self._step = self._episode + 1, -1
        self._action = action

    def poll(self):
        self.polls += 1
        assert self.polls < 400, "the session does not end"
        self._step += 1
        at = (self._episode, self._step)
        said = tuple(Event(word) for episode, step, word in self._words if (episode, step) == at)
        stamp = time.monotonic() - (9.0 if at == self._silent else 0.0)
        return TeleopSample(np.zeros(2, np.float32), True, said, stamp)

    def help(self):
        return {}

    def stats(self):
        return {}

    def close(self):
        pass


def person(*words: tuple[int, int, str], **more: object) -> dict[str, object]:
    """The warm-up is episode 0; between episodes the steps of the last one go on."""
    return {"_target_": f"{__name__}.Script", "words": [list(w) for w in words], "start": 0.0, **more}


def session(tmp_path: Path, teleop: dict[str, object], stop: threading.Event | None = None, **wanted: object) -> int:
    fake = wanted.pop("fake", {})
    chosen = RecordSettings(**{"out": str(tmp_path / "demos.zarr"), "pace": 0.0, "plain": True, **wanted})
    robot = RobotSettings("fake", {"_target_": f"{FAKE}.FakeDriver", **fake})
    return run_record(settings(tmp_path, record=chosen, robot=robot, teleop=teleop), build, stop or threading.Event())


@pytest.fixture(autouse=True)
def nobody_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        yield


def store(tmp_path: Path) -> DemoStore:
    return DemoStore.open(tmp_path / "demos.zarr")


def test_a_script_records_as_many_as_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert session(tmp_path, HOME, episodes=3, reset="auto", seed=7) == 0
    found = store(tmp_path)
    found.check(PROBLEM)
    assert [(len(e), e.ending, e.cause) for e in found.episodes()] == [(HORIZON, "truncated", "time limit")] * 3
    assert found.summary().success_rate == 1.0
    assert found.summary().intervened_share == 0.0
    assert found.attributes["seed"] == 7
    assert found.attributes["lockstep"] is True
    first = [e.observations[0].tolist() for e in found.episodes()]
    assert first[0] != first[1]
    assert session(tmp_path, HOME, episodes=1, reset="auto", seed=8) == 0  # the second seed of before
    assert store(tmp_path).episode(3).observations[0].tolist() == first[1]
    out = capsys.readouterr().out
    assert "episode 2: success, 40 steps, ended by time limit; safe after " in out
    assert out.splitlines()[-1] == f"1 episodes recorded; {tmp_path / 'demos.zarr'} holds 4, success 100 %"


def test_a_person_begins_ends_and_judges_nothing_but_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = person((0, 9, "start"), (1, STEPS, "success"), (1, 20, "start"), (2, STEPS, "failure"), (2, 30, "quit"))
    assert session(tmp_path, words) == 0
    found = store(tmp_path)
    assert [(len(e), e.ending) for e in found.episodes()] == [(STEPS + 1, "truncated")] * 2
    assert [e.cause for e in found.episodes()] == ["success, by a person's word", FAILED]
    assert found.summary().intervened_share == 1.0
    assert "the task does not count it as solved" in capsys.readouterr().out


def test_where_a_person_judges_success_is_terminal_and_failure_is_not(tmp_path: Path) -> None:
    words = person((0, 9, "start"), (1, STEPS, "success"), (1, 20, "start"), (2, STEPS, "failure"), (2, 30, "quit"))
    assert session(tmp_path, words, judge="person") == 0
    won, lost = store(tmp_path).episodes()
    assert (won.ending, lost.ending) == ("terminated", "truncated")
    assert won.success.tolist() == [False] * STEPS + [True]
    assert won.rewards.tolist() == [-1.0] * STEPS + [0.0]
    assert not lost.success.any()
    assert set(lost.rewards.tolist()) == {-1.0}


def test_discard_and_undo_hide_and_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = person(
        *((0, 9, "start"), (1, 4, "discard"), (1, 20, "start"), (2, 4, "success"), (2, 20, "start"), (3, 4, "success")),
        *((3, 20, "undo"), (3, 21, "undo"), (3, 22, "undo"), (3, 23, "start"), (4, 4, "success"), (4, 9, "quit")),
    )
    assert session(tmp_path, words) == 0
    found = store(tmp_path)
    assert len(found) == 4
    assert found.hidden == {0: DISCARDED, 1: UNDONE, 2: UNDONE}
    assert len(found.episode(0)) == 5
    assert "there is no episode of this session to undo" in capsys.readouterr().out


def test_failures_may_be_hidden(tmp_path: Path) -> None:
    words = person((0, 9, "start"), (1, 4, "failure"), (1, 20, "quit"))
    assert session(tmp_path, words, failures="hide") == 0
    assert store(tmp_path).hidden == {0: FAILED}


@pytest.mark.parametrize(("answer", "hidden"), [("keep", {}), ("discard", {0: DISCARDED})])
def test_what_a_person_quits_in_the_midst_of(tmp_path: Path, answer: str, hidden: dict[int, str]) -> None:
    assert session(tmp_path, person((0, 9, "start"), (1, 4, "quit")), keep_partial=answer) == 0
    found = store(tmp_path)
    assert found.hidden == hidden
    assert (len(found.episode(0)), found.episode(0).cause) == (5, CUT_SHORT)


def test_nobody_to_ask_leaves_it_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert session(tmp_path, person((0, 9, "start"), (1, 4, "quit"))) == 0
    assert "5 steps, stays on disk" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="'keep' or 'discard' where nobody can be asked"):
        session(tmp_path, HOME, reset="auto", episodes=1)
    assert recording_path(tmp_path / "demos.zarr").exists()
    assert session(tmp_path, HOME, reset="auto", episodes=1, keep_partial="keep") == 0
    assert [len(e) for e in store(tmp_path).episodes()] == [5, HORIZON]


def test_a_pause_lets_no_episode_begin_and_stops_a_stand_in(tmp_path: Path) -> None:
    words = person((0, 0, "pause"), (0, 9, "pause"), (1, 2, "pause"), (1, 9, "pause"), (1, 12, "success"))
    assert session(tmp_path, words, reset="auto", episodes=1) == 0
    # polls 3 to 9 happen while it stands still: of 12 polls, 6 make a step before the word and its own
    assert len(store(tmp_path).episode(0)) == 13 - 7


def test_a_silent_device_is_a_fault_that_a_person_clears(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = person(
        *((0, 9, "start"), (1, 20, "start"), (1, 30, "arm"), (1, 40, "start"), (2, 3, "success"), (2, 9, "quit")),
        silent=[1, 5],
    )
    assert session(tmp_path, words) == 0
    cut, whole = store(tmp_path).episodes()
    assert cut.cause.startswith("dead-man released: 'script' has been silent for 9.0 s")
    assert (len(cut), len(whole)) == (5, 4)
    assert "Armed again after: dead-man released" in capsys.readouterr().out


def test_no_episode_begins_before_the_device_gives_signs_of_life(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = person((1, 3, "success"), silent=[0, 0])
    assert session(tmp_path, words, reset="auto", episodes=1) == 0
    out = capsys.readouterr().out
    assert [out.count(text) for text in ("has been silent for 9.0 s", "'script' is there again")] == [1, 1]
    assert [len(e) for e in store(tmp_path).episodes()] == [4]


def test_a_fault_where_nobody_can_arm_ends_the_session_after_its_data_are_safe(tmp_path: Path) -> None:
    with pytest.raises(FaultError):
        session(tmp_path, HOME, reset="auto", fake={"nan_after": 7})
    (cut,) = store(tmp_path).episodes()
    assert len(cut) == 7
    assert cut.cause.startswith("bad data")


def test_the_time_limit_may_be_another_and_the_store_stays_the_tasks(tmp_path: Path) -> None:
    assert session(tmp_path, HOME, reset="auto", episodes=1, max_steps=3 * HORIZON) == 0
    found = store(tmp_path)
    assert len(found.episode(0)) == 3 * HORIZON
    assert found.problem.horizon == HORIZON


@pytest.mark.parametrize(
    ("teleop", "wanted", "message"),
    [
        (HOME, {"out": None}, "'record.out' must be the path of a store"),
        (None, {}, "'teleop' must be a device"),
        (HOME, {"reset": "prompt"}, "'record.reset' must be 'auto' where nobody can press a key"),
        ({**person(), "start": None}, {}, "'teleop.start' must be the command that holds the robot after a reset"),
    ],
)
def test_wrong_words(tmp_path: Path, teleop: dict[str, object], wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        session(tmp_path, teleop, **wanted)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"reset": "x"}, {"judge": "x"}, {"release": "x"}, {"keep_partial": "x"}, {"failures": "x"}, {"episodes": -1}),
        *({"max_steps": -1}, {"seed": -1}, {"silent_s": 0.0}, {"silent_s": float("nan")}, {"pace": -1.0}),
    ],
)
def test_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"^Setting 'record\.{next(iter(wrong))}' must be"):
        RecordSettings(**wrong)  # type: ignore[arg-type]


def test_a_program_may_speak(tmp_path: Path) -> None:
    said = tmp_path / "said"
    speaker = tmp_path / "speak"
    speaker.write_text(f'#!/bin/sh\necho "$1" >> {said}\n')
    speaker.chmod(0o755)
    assert session(tmp_path, HOME, reset="auto", episodes=1, say=str(speaker)) == 0
    with pytest.raises(ConfigError, match=r"record\.say"):
        session(tmp_path, HOME, reset="auto", episodes=1, say=str(tmp_path / "mute"))


def test_a_question_at_the_end_is_over_before_whoever_stops_a_container_kills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float] = []
    monkeypatch.setattr(module, "ask", lambda _, patience_s: patience.append(patience_s))
    assert session(tmp_path, person((0, 9, "start"), (1, 4, "quit"))) == 0
    with pytest.raises(ConfigError, match="nobody can be asked"):
        session(tmp_path, HOME, reset="auto", episodes=1)
    at_end, at_start = patience
    assert at_end <= 30 < at_start  # stop_grace_period: 90s


@pytest.mark.parametrize(("key", "expected"), [("y", True), ("N", False), ("xxn", False)])
def test_a_question_is_answered_by_one_key(
    key: str, expected: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = os.openpty()
    with open(theirs) as terminal:
        tty.setcbreak(theirs)
        monkeypatch.setattr("sys.stdin", terminal)
        os.write(ours, key.encode())
        assert module.ask("Keep it? ") is expected
    os.close(ours)
    assert capsys.readouterr().out.startswith("Keep it? ")
