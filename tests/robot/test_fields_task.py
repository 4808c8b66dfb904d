import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.fake import FakeDriver, fake_spec
from rlpd_robot.robot.fields_task import FieldsTask
from rlpd_robot.robot.task import RelabellingTask
from rlpd_robot.robot.testing import check_task
from rlpd_robot.types import RobotState

GOAL = {"position": {"at": [0.1, -0.1], "within": 0.05}}


def at(*position: float) -> RobotState:
    return RobotState({"position": np.array(position), "velocity": np.array([1.0, 2.0])}, 0, 0.0, 0.0)


def test_it_observes_its_fields_in_order_and_sees_its_goal() -> None:
    task = FieldsTask("near", {"velocity": 2, "position": 2}, 30, GOAL)
    task.check(fake_spec())
    assert task.observation_size == 4
    assert task.observe(at(0.1, 0.2)).tolist() == pytest.approx([1.0, 2.0, 0.1, 0.2])
    assert task.success(at(0.14, -0.14))
    assert not task.success(at(0.14, -0.16))
    assert task.reward(at(9, 9), np.zeros(2, np.float32), at(0.1, -0.1)) == 0.0
    assert task.reward(at(0.1, -0.1), np.zeros(2, np.float32), at(9, 9)) == -1.0
    assert not task.terminated(at(0.1, -0.1))
    assert isinstance(task, RelabellingTask)
    seen = task.observe(at(0.1, -0.1))
    assert task.success_from_observation(seen)
    assert task.reward_from_observations(seen, np.zeros(2, np.float32), seen) == 0.0


def test_it_keeps_every_promise_of_a_task() -> None:
    driver = FakeDriver()
    check_task(FieldsTask("near", {"position": 2}, 30, GOAL), driver.connect(1.0), driver.reset(0, 1.0))


def test_without_a_goal_it_never_sees_success() -> None:
    assert not FieldsTask("free", {"position": 2}, 30).success(at(0.0, 0.0))


def test_another_robot() -> None:
    with pytest.raises(SpecError, match="its 'position' has 2 elements. Expected 6"):
        FieldsTask("x", {"position": 6}, 30).check(fake_spec())
    with pytest.raises(SpecError, match="it measures no 'force'"):
        FieldsTask("x", {"force": 6}, 30).check(fake_spec())


@pytest.mark.parametrize(
    ("fields", "goal", "key"),
    [
        ({}, None, "task.fields"),
        ({"position": 0}, None, "task.fields"),
        ({"position": True}, None, "task.fields"),
        ({"position": 2}, {"velocity": {"at": [0, 0], "within": 1}}, "task.goal.velocity"),
        ({"position": 2}, {"position": {"at": [0], "within": 1}}, "task.goal.position"),
        ({"position": 2}, {"position": {"at": [0, 0], "within": 0}}, "task.goal.position"),
        ({"position": 2}, {"position": {"at": [0, float("nan")], "within": 1}}, "task.goal.position"),
        ({"position": 2}, {"position": {"at": "here", "within": 1}}, "task.goal.position"),
        ({"position": 2}, {"position": {"at": [0, 0]}}, "task.goal.position"),
    ],
)
def test_wrong_settings(fields, goal, key: str) -> None:
    with pytest.raises(ConfigError, match=f"Setting '{key}'"):
        FieldsTask("x", fields, 30, goal)
