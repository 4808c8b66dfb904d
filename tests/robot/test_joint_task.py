import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.fake import FakeDriver
from rlpd_robot.robot.joint_task import JointTargetTask
from rlpd_robot.robot.task import RelabellingTask
from rlpd_robot.robot.testing import check_task
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState


def spec(labels=("b", "a"), unit="rad", command_unit="rad") -> RobotSpec:
    command = (Field("c", (2,), "float64", command_unit, (0.0, -1.0), (2.0, 1.0), ("a", "b")),)
    return RobotSpec("two", 0.01, (Field("q", (2,), "float64", unit, labels=labels),), command)


def at(b: float, a: float) -> RobotState:
    return RobotState({"q": np.array([b, a])}, 0, 0.0, 0.0)


def test_it_sees_parts_of_the_range_by_name_and_its_target() -> None:
    task = JointTargetTask("x", [0.5, 0.75], 0.1, 30)
    task.check(spec())
    np.testing.assert_allclose(task.observe(at(0.0, 1.5)), [0.75, 0.5, -0.25, 0.25])
    assert task.observation_size == 4
    assert task.success(at(0.5, 1.0))
    assert not task.success(at(0.5, 1.3))
    assert task.reward(at(0, 0), np.zeros(2, np.float32), at(0.5, 1.0)) == 0.0
    assert task.reward(at(0.5, 1.0), np.zeros(2, np.float32), at(0, 0)) == -1.0
    assert not task.terminated(at(0.5, 1.0))
    assert isinstance(task, RelabellingTask)
    seen = task.observe(at(0.5, 1.0))
    assert task.reward_from_observations(seen, np.zeros(2, np.float32), seen) == 0.0


def test_without_names_the_only_reading_alike_is_taken() -> None:
    driver = FakeDriver()
    check_task(JointTargetTask("x", 0.5, 0.1, 30), driver.connect(1.0), driver.reset(0, 1.0))


def test_what_it_cannot_be_for() -> None:
    for robot, told in (
        (spec(labels=("b", "c")), "it measures no 'a' in rad"),
        (spec(unit="m"), "it measures no 'a' in rad"),
        (spec(command_unit="rad/s"), "'a' is commanded in rad/s"),
    ):
        with pytest.raises(SpecError, match=told):
            JointTargetTask("x", 0.5, 0.1, 30).check(robot)
    with pytest.raises(SpecError, match="task.at has 3 numbers"):
        JointTargetTask("x", [0.5] * 3, 0.1, 30).check(spec())
    for place, within, key in ((1.5, 0.1, "task.at"), (float("nan"), 0.1, "task.at"), (0.5, 0.0, "task.within")):
        with pytest.raises(ConfigError, match=key):
            JointTargetTask("x", place, within, 30)
