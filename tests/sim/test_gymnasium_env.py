from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.safety import SafetyLimits, filter_command
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.testing import check_driver, check_task
from rlpd_robot.types import Command
from sim.gymnasium_env import GymDriver, GymTask

STUDIES = sorted((Path(__file__).parents[2] / "robot_configs" / "experiment" / "paper").glob("*.yaml"))


def test_an_environment_is_a_driver() -> None:
    check_driver(lambda: GymDriver("Pendulum-v1"))


def test_its_task_passes_on_what_it_says() -> None:
    driver, task = GymDriver("Pendulum-v1"), GymTask("Pendulum-v1")
    spec = driver.connect(1.0)
    problem = problem_of(task, spec)
    assert (problem.observation_size, problem.action_size, problem.horizon) == (3, 1, 200)
    assert (spec.command_low, spec.command_high, spec.period_s) == (-2.0, 2.0, 0.05)
    first = driver.reset(3, 1.0)
    check_task(task, spec, first)
    limits = SafetyLimits.of_robot(load("experiment", [])[0].safety, spec, simulated=True)
    command, _, _ = filter_command(limits, None, Command(np.array([1.5])), first)
    driver.send(command)
    state = driver.read(1.0)
    cosine, sine, speed = task.observe(first)
    # the pendulum's cost: angle² + 0.1 speed² + 0.001 torque²
    cost = np.arctan2(sine, cosine) ** 2 + 0.1 * speed**2 + 0.001 * 1.5**2
    assert task.reward(first, np.array([0.75], np.float32), state) == pytest.approx(-cost, rel=1e-4)
    assert (task.success(state), task.terminated(state)) == (False, False)
    assert GymTask("Pendulum-v1", reward="success").reward(first, np.zeros(1, np.float32), state) == -1.0
    again = driver.reset(3, 1.0)
    np.testing.assert_array_equal(task.observe(again), task.observe(first))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"env_id": "Pendulam-v1"}, "Setting 'task.env_id' must be an environment of Gymnasium"),
        ({"env_id": "CartPole-v1"}, "an environment whose action is a bounded vector"),
        ({"env_id": "Pendulum-v1", "options": {"gee": 3}}, "Setting 'task.options' must be arguments that Pendulum-v1"),
    ],
)
def test_an_environment_that_cannot_be_a_robot(options: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as info:
        GymDriver(**options)
    assert sentence in str(info.value)


def test_a_task_of_another_robot() -> None:
    with pytest.raises(SpecError):
        GymTask("Pendulum-v1").check(fake_spec())
    with pytest.raises(ConfigError, match=r"task\.reward"):
        GymTask("Pendulum-v1", reward="mine")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_what_a_study_of_the_paper_names_exists(path: Path) -> None:
    """Its environment, as far as the registry knows it; building AntMaze takes seconds."""
    settings, _ = load("experiment", [f"experiment=paper/{path.stem}"])
    task = build(settings.task)
    assert task.horizon > 0
    rows = {row.stem for row in (path.parents[2] / "row").glob("*.yaml")}
    assert set(settings.study.rows) <= rows
    assert settings.study.seeds == 10
