import pytest

from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.task import Task
from sim.hand import AdroitHand
from sim.tasks.registry import TASKS, make_task
from tests.sim.reference import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_task_by_its_name(name: str) -> None:
    task: Task = make_task(name)  # held by mypy
    assert task.name == name
    assert task.horizon == {"pen": 100}.get(name, 200)


def test_unknown_task() -> None:
    with pytest.raises(ConfigError) as caught:
        make_task("window")
    assert str(caught.value) == (
        "Setting 'task' must be one of ['door', 'hammer', 'pen', 'relocate']. Received 'window'."
    )


def test_a_robot_without_the_field_is_named() -> None:
    with pytest.raises(SpecError, match="Robot 'adroit_pen': it measures no 'palm_handle'") as caught:
        AdroitHand("pen").spec.state_field("palm_handle")
    assert "object_direction" in str(caught.value)
    with pytest.raises(SpecError, match="it measures no 'handle_position'"):
        TASKS["door"]().check(_with_27_joints())


def test_a_robot_of_another_hand_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        make_task("door").check(AdroitHand("pen").spec)
    assert str(caught.value) == ("Task 'door' on robot 'adroit_pen': 'joint_position' has shape (24,). Expected (27,).")


def _with_27_joints():
    return AdroitHand("relocate").spec
