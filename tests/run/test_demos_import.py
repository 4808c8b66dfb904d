"""The verb `demos import`, from words to a store."""

from pathlib import Path

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from tests.data.episodes import make_problem
from tests.data.importers import sources

ROOT = Path(__file__).parents[2]
DOOR = str(ROOT / "demos" / "adroit_door" / "demos.zarr")


@pytest.fixture
def like(tmp_path: Path) -> str:
    StoreWriter(tmp_path / "like.zarr", make_problem()).close()
    return str(tmp_path / "like.zarr")


def test_a_source_becomes_a_store(tmp_path: Path, like: str, capsys: pytest.CaptureFixture[str]) -> None:
    sources.write_d4rl(tmp_path / "d.hdf5", sources.episodes())
    out = str(tmp_path / "out.zarr")
    assert cli.main(["demos", "import", str(tmp_path / "d.hdf5"), out, f"like={like}"]) == 0
    text = capsys.readouterr().out
    assert "read     3 episodes, 59 transitions" in text
    assert "endings  1 terminated, 2 truncated, as the source has them" in text
    assert DemoStore.open(out).problem == make_problem()
    assert cli.main(["demos", "info", out]) == 0
    assert "import: format" in capsys.readouterr().out


def test_a_robot_described_by_hand(tmp_path: Path) -> None:
    (tmp_path / "gripper.yaml").write_text(
        """
        task: reach
        observation_size: 5
        action_size: 3
        horizon: 40
        robot:
          name: gripper
          period_s: 0.02
          state:
            - {name: joint_positions, shape: [5], unit: rad}
          command:
            - {name: targets, shape: [3], unit: rad, low: [-1, -1, -1], high: [1, 1, 1]}
        """
    )
    sources.write_dapg(tmp_path / "d.pickle", sources.episodes())
    words = [str(tmp_path / "d.pickle"), str(tmp_path / "out.zarr"), f"problem={tmp_path / 'gripper.yaml'}"]
    assert cli.main(["demos", "import", *words, "format=dapg", "unknown=terminated"]) == 0
    store = DemoStore.open(tmp_path / "out.zarr")
    assert store.problem.fingerprint == make_problem().fingerprint
    assert store.summary().endings == {"terminated": 3}


def door_episodes() -> list[sources.Segment]:
    return [DemoStore.open(DOOR).episode(i) for i in range(2)]


def test_rewards_of_the_door_task(tmp_path: Path) -> None:
    """The stored rewards and successes were the robot's own; those told from observations must be the same."""
    sources.write_dapg(tmp_path / "d.pickle", door_episodes())
    words = [str(tmp_path / "d.pickle"), str(tmp_path / "out.zarr"), f"like={DOOR}", "rewards=task", "task=door"]
    assert cli.main(["demos", "import", *words]) == 0
    for read, written in zip(DemoStore.open(tmp_path / "out.zarr").episodes(), door_episodes(), strict=True):
        assert np.array_equal(read.success, written.success[:-1])
        assert np.array_equal(read.rewards, written.rewards[:-1])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Setting 'like' must be a store of the same robot and task"),
        ([f"like={DOOR}", "problem=x.yaml"], "exactly one. Received"),
        (["problem=none.yaml"], "Setting 'problem' must be a YAML file"),
        ([f"like={DOOR}", "formt=dapg"], "Setting 'formt' must be one of the keys like, problem, format"),
        ([f"like={DOOR}", "format=csv"], "Setting 'format' must be one of dapg, d4rl"),
        ([f"like={DOOR}", "unknown=perhaps"], "Setting 'unknown' must be one of truncated, terminated"),
        ([f"like={DOOR}", "observations=state"], "must be a list such as [first,second]"),
        ([f"like={DOOR}", "rewards=task", "task=pen"], "must be the task of the store, 'door', for rewards=task"),
        ([f"like={DOOR}", "rewards=task", "task=hammer"], "must be one that can tell success from an observation"),
        ([f"like={DOOR}"], "its observations have 5 numbers. Expected 39, as task 'door' on robot 'adroit_door'"),
    ],
)
def test_wrong_words(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources.write_dapg(tmp_path / "d.pickle", sources.episodes())
    assert cli.main(["demos", "import", str(tmp_path / "d.pickle"), str(tmp_path / "out.zarr"), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.zarr").exists()


def test_cfg_shows_what_it_would_run_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demos", "import", "a", "b", f"like={DOOR}", "rewards=task", "--cfg"]) == 0
    text = capsys.readouterr().out
    assert "rewards: task" in text
    assert "name: door" in text
