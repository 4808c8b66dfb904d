"""Whole replays on a fake robot, and one through the command line with a stand-in of its own."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.config import build as build_recipe
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.errors import ConfigError, DataError, FaultError, SpecMismatchError
from rlpd_robot.robot.fake import FakeDriver
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.run.replay.replay import run_replay
from rlpd_robot.run.replay.settings import ReplaySettings
from rlpd_robot.run.reset_seed import likely_seeds, reset_seed
from tests.integration.running import CONFIGS, make_demos
from tests.run.point import settings

STEPS = 40


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes, reset with seeds 0, 1 and 2."""
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr", episodes=3, steps=STEPS)


def builder(driver: FakeDriver) -> Callable[..., Any]:
    """Builds recipes, and the robot as this one."""
    return lambda recipe, **more: driver if "FakeDriver" in recipe["_target_"] else build_recipe(recipe, **more)


def replay(
    store: Path,
    driver: FakeDriver | None = None,
    stop: threading.Event | None = None,
    safety: SafetySettings | None = None,
    **words: Any,
) -> int:
    made = settings(store.parent)
    chosen = made if safety is None else replace(made, safety=safety)
    found = ReplaySettings(**words)
    stop = stop or threading.Event()
    return run_replay(str(store), found, chosen, builder(driver or FakeDriver()), None, stop, as_json=True)


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_a_replay_from_the_same_start_is_the_same_to_the_last_bit(
    demos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = FakeDriver()
    assert replay(demos, driver, episode=2) == 0
    found = report(capsys)
    assert (found["seed"], found["start_apart"], found["steps"]) == (2, 0.0, [*range(STEPS)])
    assert [(f["field"], f["rms"], f["largest"]) for f in found["fields"]] == [("position", 0, 0), ("velocity", 0, 0)]
    assert found["reward"]["recorded"] == found["reward"]["replayed"] < 0
    assert found["solved_at"]["recorded"] == found["solved_at"]["replayed"] is not None
    assert len(driver.sent) == STEPS
    assert driver.stops > 0


def test_one_other_command_shows_as_what_it_does(demos: Path, tmp_path: Path, capsys: Any) -> None:
    """The point's velocity is 5/s · (target - position), so 0.1 m more of target are 0.5 m/s, and 5 mm after 10 ms."""
    episode = DemoStore.open(demos).episode(1)
    actions = episode.actions.copy()
    actions[5, 0] += 0.1
    with StoreWriter(tmp_path / "other.zarr", DemoStore.open(demos).problem) as writer:
        writer.append(replace(episode, actions=actions))
    assert replay(tmp_path / "other.zarr", episode=0) == 0
    position, velocity = report(capsys)["fields"]
    assert velocity["by_step"][:5] == position["by_step"][:5] == [0.0] * 5
    assert (velocity["largest"], velocity["worst"], velocity["step"]) == (pytest.approx(0.5, abs=1e-5), "0", 5)
    assert (position["largest"], position["step"]) == (pytest.approx(0.005, abs=1e-6), 5)
    assert replay(tmp_path / "other.zarr", episode=0, actions="proposed") == 0
    assert report(capsys)["fields"][1]["largest"] == 0.0


def test_commands_pass_the_safety_filter(demos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver = FakeDriver()
    tight = SafetySettings("tight", margin=0.4, none_because="a test")  # of a range of 2 m: ±0.2 m are left
    recorded = DemoStore.open(demos).episode(0).actions
    assert np.abs(recorded).max() > 0.2
    assert replay(demos, driver, episode=0, safety=tight) == 0
    assert report(capsys)["filtered"] == (np.abs(recorded) > 0.2).any(axis=1).sum()
    assert max(np.abs(command.values).max() for command in driver.sent) == pytest.approx(0.2)


def test_a_robot_in_another_place_is_not_moved(demos: Path) -> None:
    driver = FakeDriver()
    with pytest.raises(DataError) as caught:
        replay(demos, driver, episode=0, seed=9)
    assert str(caught.value).startswith("Replay of an episode of 'fake-reach': the robot stands elsewhere: position[")
    assert str(caught.value).endswith("at most near=0.05 in every number; nothing has been played.")
    assert (len(driver.sent), driver.resets) == (0, [9])
    assert driver.stops > 0
    assert replay(demos, driver, episode=0, seed=9, near=2.0) == 0
    assert len(driver.sent) == STEPS


def test_the_nearest_seed_is_taken_where_none_is_exact(demos: Path, tmp_path: Path, capsys: Any) -> None:
    episode = DemoStore.open(demos).episode(0)
    moved = episode.observations.copy()
    moved[:, 0] += 0.001
    with StoreWriter(tmp_path / "other.zarr", DemoStore.open(demos).problem) as writer:
        writer.append(replace(episode, observations=moved))
    assert replay(tmp_path / "other.zarr", episode=0, search=20) == 0
    found = report(capsys)
    assert (found["seed"], found["start_apart"]) == (0, pytest.approx(0.001, abs=1e-6))


class Interrupted(FakeDriver):
    """Ctrl-C comes with the sixth command."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def send(self, command):
        if len(self.sent) == 5:
            self._stop.set()
        return super().send(command)


def test_ctrl_c_stops_the_robot_and_tells_what_was_seen(demos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    driver = Interrupted(stop)
    assert replay(demos, driver, stop, episode=0, seed=0) == 130
    found = report(capsys)
    assert (len(driver.sent), found["steps"], found["cause"]) == (6, [*range(6)], "stop requested")
    assert driver.stops >= 5


def test_a_fault_stops_the_robot(demos: Path) -> None:
    driver = FakeDriver(nan_after=7)
    with pytest.raises(FaultError, match="bad data"):
        replay(demos, driver, episode=0, seed=0)
    assert driver.stops >= 5


def test_another_robot_is_refused_before_it_is_moved(demos: Path) -> None:
    driver = FakeDriver(period_s=0.02)
    with pytest.raises(SpecMismatchError, match=r"robot\.period_s: 0\.02 here, 0\.01 there"):
        replay(demos, driver, episode=0)
    assert (driver.resets, len(driver.sent)) == ([], 0)


@pytest.mark.parametrize(
    "wrong", [{"actions": "x"}, {"near": -1.0}, {"near": float("nan")}, {"seed": -1}, {"search": 0}, {"pace": -1.0}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{next(iter(wrong))}' must be"):
        ReplaySettings(**wrong)


def test_an_episode_that_is_not_there(demos: Path) -> None:
    with pytest.raises(ConfigError, match="'episode' must be one of the store's 3, counted from 0"):
        replay(demos, episode=3)


def test_nobody_there_is_told_how_to_start_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pen = Path(__file__).parents[3] / "demos/adroit_pen/demos.zarr"
    nobody = [f"link.robot=ipc://{tmp_path}/nobody", "actor.connect_s=0.1"]
    assert cli.main(["demos", "replay", str(pen), "episode=1", *nobody]) == 1
    assert capsys.readouterr().err == (
        f"rlpd-robot demos: No answer from a robot at ipc://{tmp_path}/nobody within 0.1 s. "
        "Add --start, which starts the stand-in for this replay, or run `rlpd-robot sim robot=adroit_pen`.\n"
    )


@pytest.mark.integration
def test_it_starts_a_stand_in_and_plays_over_the_link(
    demos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(CONFIGS))
    words = ["experiment=point", "episode=1", "--start"]
    assert cli.main(["demos", "replay", str(demos), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"episode 1 of {demos} on point, in lock-step",
        "start     seed 1: as recorded",
        f"played    {STEPS} of {STEPS} commands, 0 changed by the safety filter; ended by time limit",
    ]
    assert lines[3].partition("return")[2] == lines[4].partition("return")[2]
    assert lines[7].split() == ["position", "m", "0", "0", "0", "0", "0", "0", "0", "0"]


def test_seeds_come_in_the_order_of_their_likelihood(demos: Path) -> None:
    episode = replace(DemoStore.open(demos).episode(0), episode=17)
    seeds = list(likely_seeds(episode, {"seed": 123_456}))
    assert seeds[:2] == [123_456, 123_457]
    assert reset_seed(3, 17) in seeds
    assert seeds.index(5) < seeds.index(70_028)
    assert len(seeds) < ReplaySettings().search


def test_the_actors_seeds_stay_what_they_were() -> None:
    """Runs are repeated by their seed."""
    assert [reset_seed(0, 0), reset_seed(1, 5)] == [
        int(np.random.default_rng([0, 0]).integers(1 << 31)),
        int(np.random.default_rng([1, 5]).integers(1 << 31)),
    ]
