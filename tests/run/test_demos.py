from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.errors import StoreError
from rlpd_robot.run import demos
from tests.data.episodes import make_episode, make_problem


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "demos.zarr"
    with StoreWriter(path, make_problem(), attributes={"licence": "CC0-1.0"}) as writer:
        for i in (1, 3):
            episode = make_episode(i)
            safety = np.where(np.arange(len(episode)) < 3, 4 if i == 1 else 12, 0).astype(np.uint16)
            writer.append(replace(episode, success=np.arange(len(episode)) >= 12, safety=safety))
    return path


def test_info_prints_what_the_store_holds(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demos.info(str(store)) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    shown = {name.strip(): text.strip() for name, text in lines.items()}
    assert shown["store"] == str(store)
    assert shown["task"] == "reach, at most 40 steps of 20 ms"
    assert shown["robot"] == "gripper, observation 5, action 3"
    assert shown["episodes"] == "2"
    assert shown["transitions"] == "30"
    assert shown["length"] == "15.0 steps on average, 8 to 22"
    assert shown["endings"] == "1 terminated, 1 truncated"
    assert shown["success rate"] == "50.0 % of episodes"
    assert shown["normalised return"] == "12.5 % of the horizon solved"
    assert shown["safety changed"] == "20.0 % of commands (position 20.0 %, velocity 10.0 %)"
    assert shown["licence"] == "CC0-1.0"
    assert "uncommitted" not in shown


def test_info_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DemoStore.create(tmp_path / "s.zarr", make_problem())
    assert demos.info(str(tmp_path / "s.zarr")) == 0
    assert "endings            none\n" in capsys.readouterr().out


def test_validate_says_that_a_store_is_sound(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demos.validate(str(store)) == 0
    assert capsys.readouterr().out == f"Store '{store}' is sound: 2 episodes of 'reach'.\n"


def test_validate_lists_problems_and_says_so_by_its_status(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zarr.open_group(store, mode="r+")["data/rewards"][[3, 12]] = np.nan
    assert demos.validate(str(store)) == 1
    assert capsys.readouterr().out == (
        "episode 0, rewards[3]: nan. Expected a finite number.\n"
        "episode 1, rewards[3]: nan. Expected a finite number.\n"
        f"Store '{store}' has 2 problems.\n"
    )


@pytest.mark.parametrize("verb", [demos.info, demos.validate])
def test_a_path_where_nothing_is(verb: object, tmp_path: Path) -> None:
    assert callable(verb)
    with pytest.raises(StoreError, match="there is nothing at this path"):
        verb(str(tmp_path / "none"))
