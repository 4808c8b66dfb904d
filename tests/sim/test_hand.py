import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, DataError, MissingPackageError
from rlpd_robot.spec import RobotSpec
from sim.hand import AdroitHand
from tests.sim.reference import NAMES


@pytest.fixture(scope="module")
def hand() -> AdroitHand:
    return AdroitHand("door")


@pytest.mark.parametrize("task", NAMES)
def test_spec_describes_what_is_read(task: str) -> None:
    hand = AdroitHand(task)
    values = hand.read()
    assert list(values) == [f.name for f in hand.spec.state]
    for field in hand.spec.state:
        value = values[field.name]
        assert isinstance(value, np.ndarray)
        assert (value.shape, str(value.dtype)) == (field.shape, field.dtype)
        assert np.isfinite(value).all()
    assert RobotSpec.from_json(hand.spec.to_json()) == hand.spec
    assert hand.spec.period_s == pytest.approx(0.01)
    slides = [f for f in hand.spec.command if f.unit == "m"]
    assert sum(f.size for f in slides) == {"door": 1, "relocate": 3}.get(task, 0)
    assert hand.spec.command_size == {"door": 28, "pen": 24, "relocate": 30, "hammer": 26}[task]
    labels = [name for f in hand.spec.command for name in f.labels]
    assert labels == [
        name for f in hand.spec.state if f.name in ("slide_position", "joint_position") for name in f.labels
    ]


def test_read_gives_fresh_arrays(hand: AdroitHand) -> None:
    hand.reset(0)
    before = hand.read()
    kept = {name: value.copy() for name, value in before.items()}
    hand.write(hand.spec.command_high)
    for _ in range(5):
        hand.advance()
    assert all(np.array_equal(before[name], kept[name]) for name in before)
    assert not np.array_equal(hand.read()["joint_position"], kept["joint_position"])


def _run(hand: AdroitHand, periods: int) -> dict[str, np.ndarray]:
    for _ in range(periods):
        hand.advance()
    return hand.read()


def test_hand_settles_at_its_targets(hand: AdroitHand) -> None:
    hand.reset(0)
    target = 0.2 * hand.spec.command_high
    hand.write(target)
    settled = _run(hand, 200)["joint_position"]
    first_finger = slice(5, 9)  # the others lean on each other
    np.testing.assert_allclose(settled[first_finger], target[1:][first_finger], atol=0.05)
    np.testing.assert_allclose(settled[:3], 2.5 * target[1:4], atol=0.02)  # the arm, see AdroitHand


def test_stop_holds_where_it_is() -> None:
    hand, unstopped = AdroitHand("door"), AdroitHand("door")
    for robot in (hand, unstopped):
        robot.reset(0)
        robot.write(robot.spec.command_high * 0.3)
        _run(robot, 8)
    at_stop = hand.read()["joint_position"][:3]
    hand.stop()
    held, moved = (_run(robot, 60)["joint_position"][:3] for robot in (hand, unstopped))
    np.testing.assert_allclose(held, at_stop, atol=0.06)
    assert np.abs(moved - at_stop).max() > 0.5
    assert np.abs(hand.read()["joint_velocity"]).max() < 0.5


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros(27), "Command to adroit_door: its shape is (27,). Expected (28,)."),
        (np.full(28, np.nan), "Command to adroit_door: it holds a non-finite number. Expected finite values."),
    ],
)
def test_bad_command_is_refused_and_the_old_targets_stay(hand: AdroitHand, values: np.ndarray, sentence: str) -> None:
    hand.reset(0)
    hand.write(hand.spec.command_high)
    with pytest.raises(DataError) as caught:
        hand.write(values)
    assert str(caught.value) == sentence
    np.testing.assert_array_equal(hand.data.ctrl, hand.spec.command_high)


@pytest.mark.parametrize("task", NAMES)
def test_snapshot_shows_the_same_picture(task: str) -> None:
    hand = AdroitHand(task)
    hand.reset(4)
    hand.write(hand.spec.command_high)
    for _ in range(10):
        hand.advance()
    snapshot = hand.snapshot()
    other = AdroitHand(task)
    other.reset(9)
    other.restore(snapshot)
    hand.restore(snapshot)
    for name, value in hand.read().items():
        np.testing.assert_array_equal(other.read()[name], value, err_msg=name)
    np.testing.assert_array_equal(other.data.geom_xpos, hand.data.geom_xpos)
    np.testing.assert_array_equal(other.data.xquat, hand.data.xquat)


def test_divergence_shows(
    hand: AdroitHand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The state must not jump back to the start behind the task's back."""
    monkeypatch.chdir(tmp_path)
    hand.reset(0)
    hand.data.qvel[:] = np.nan
    hand.advance()
    assert not np.isfinite(hand.read()["joint_position"]).all()
    assert "Nan" in caplog.text
    assert not list(tmp_path.iterdir()), "MuJoCo wrote a log file into the working directory"


def test_unknown_task() -> None:
    with pytest.raises(ConfigError) as caught:
        AdroitHand("doors")
    assert str(caught.value) == (
        "Setting 'task' must be one of ['door', 'hammer', 'pen', 'relocate']. Received 'doors'."
    )


def test_models_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as caught:
        AdroitHand("door")
    assert str(caught.value) == (
        "Package 'gymnasium-robotics', needed for the Adroit hand models, is not installed. "
        "Install it with: pip install 'rlpd-robot[sim]'"
    )


def test_imports_neither_jax_nor_gymnasium() -> None:
    """The robot's side is light: MuJoCo and NumPy."""
    code = (
        "import sys; import sim.sim_driver, sim.tasks.registry; sim.sim_driver.SimDriver('door').reset(0, 1.0);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'jax', 'jaxlib', 'gymnasium', 'gymnasium_robotics'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert out.stdout.strip() == "[]"
