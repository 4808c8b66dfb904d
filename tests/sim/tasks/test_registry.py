from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.task import RelabellingTask, Task
from sim.hand import AdroitHand
from sim.tasks.registry import TASKS, make_task
from tests.sim.reference import NAMES

ROOT = Path(__file__).parents[3]


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


@pytest.mark.parametrize("name", ["door", "pen"])
def test_success_told_from_observations_is_that_of_the_shipped_demonstrations(name: str) -> None:
    """Theirs was told from the state; thousands of steps of both kinds."""
    task = make_task(name)
    assert isinstance(task, RelabellingTask)
    seen = set()
    for episode in DemoStore.open(ROOT / "demos" / f"adroit_{name}" / "demos.zarr").episodes():
        told = [task.success_from_observation(o) for o in episode.observations[1:]]
        assert told == episode.success.tolist()
        assert [
            task.reward_from_observations(*row)
            for row in zip(episode.observations, episode.actions, episode.observations[1:], strict=False)
        ] == episode.rewards.tolist()
        seen |= set(told)
    assert seen == {True, False}


def test_relocate_tells_success_from_the_way_left() -> None:
    task, near = make_task("relocate"), np.zeros(39, np.float32)
    assert isinstance(task, RelabellingTask)
    near[36:39] = (0.06, 0.06, 0.05)  # 9.8 cm
    assert task.success_from_observation(near)
    near[36] = 0.07  # 10.5 cm
    assert not task.success_from_observation(near)


def test_the_hammers_observation_does_not_show_where_the_nail_should_be() -> None:
    assert not isinstance(make_task("hammer"), RelabellingTask)
