"""Every robot file whose robot has no stand-in of its own: played from the file, without a socket."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import CommandBook, Outcome, read_book
from rlpd_robot.robot.joint_task import JointTargetTask
from rlpd_robot.robot.rosbridge.driver import layout_of
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot
from sim.joints import JointsRobot
from sim.rosbridge.graph import Graph
from sim.rosbridge.joints_node import places_of
from sim.rosbridge.simulated_joints import SimulatedJoints, own_spec, states_per_period
from tests.test_robot_configs import FOLDER, ROS

Values = np.ndarray[Any, np.dtype[np.float64]]


def recipe_of(name: str, **changes: Any) -> dict[str, Any]:
    """What stands under `robot.driver` in this file."""
    whole: Any = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    driver: dict[str, Any] = whole["robot"]["driver"]
    return {**driver, **changes}


class Played:
    """One robot by a clock that the test moves on, one of its own periods a call."""

    def __init__(self, recipe: dict[str, Any], folder: Path) -> None:
        self.recipe, self.now_s = recipe, 100.0
        self.graph, spec = Graph(recipe["ros"]), own_spec(recipe)
        self.layout = layout_of(recipe)
        self.orders = folder / "orders"
        plan = Plan.of({"orders": self.orders}, spec, states_per_period(recipe["period_s"]))
        assert plan is not None
        self.plan = plan
        joints = JointsRobot(spec, {name: one["path"] for name, one in recipe["state"].items()}, places_of(recipe))
        self.path = folder / "book"
        self.book = CommandBook(self.path, "here", spec.command_size)
        self.robot = FaultyRobot(joints, self.plan, lambda: self.now_s)
        self.node = SimulatedJoints(recipe, self.graph, self.robot, lambda: self.now_s, self.book)
        for name in self.node.controllers:
            self.node.controllers[name] = any(topic.startswith(f"/{name}/") for topic in recipe["publish"])

    def periods(self, count: int) -> list[Any]:
        said = []
        for _ in range(count):
            self.now_s += self.robot.spec.period_s
            said = self.node.period()
        return said

    def command(self, values: Values) -> None:
        """As the driver says it."""
        for text in self.layout.encode(values, 1, self.recipe["ros"], None):
            message = json.loads(text)
            self.graph.publish_json(message["topic"], message["msg"])

    def order(self, **fault: Any) -> None:
        """From the next period on."""
        with open(self.orders, "a") as file:
            file.write(json.dumps(fault) + "\n")

    def outcomes(self) -> list[int]:
        return [int(one) for one in read_book(self.path)["outcome"]]

    @property
    def places(self) -> Values:
        return self.layout.measured({name: np.asarray(value) for name, value in self.robot.read().items()})

    def close(self) -> None:
        self.plan.close()
        self.book.close()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[..., Played]]:
    """Makes one; closed afterwards."""
    made: list[Played] = []

    def make(recipe: dict[str, Any]) -> Played:
        made.append(Played(recipe, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


Play = Callable[..., Played]


@pytest.mark.parametrize("name", ROS)
def test_each_robot_moves_its_own_joints_and_rests_without_commands(name: str, play: Play) -> None:
    one = play(recipe_of(name))
    spec = one.layout.spec  # what the actor will see
    assert [f.name for f in one.robot.spec.state] == [f.name for f in spec.state]
    np.testing.assert_array_equal(one.robot.spec.command_high, spec.command_high)
    JointTargetTask("joint_target", 0.5, 0.05, 200).check(spec)
    one.periods(2)
    start = one.places
    wanted = np.clip(start + 0.05, spec.command_low, spec.command_high)
    one.command(wanted)
    one.periods(40)
    np.testing.assert_allclose(one.places, wanted, atol=2e-3)
    assert one.outcomes()[-2:] == [Outcome.EXECUTED, Outcome.IDLE]  # it was told no more, and holds
    one.command(one.places)
    one.periods(1)
    assert one.outcomes()[-1] == Outcome.IDLE  # told to stay where it is


def test_a_stop_of_its_own_shows_where_the_file_says(play: Play) -> None:
    one = play(recipe_of("ur5e"))
    ready, mode = (sign["topic"] for sign in one.recipe["require"])
    one.periods(2)
    one.order(kind="reflex", seconds=0.5)
    said = {topic: message for topic, message, _ in one.periods(1)}
    assert said[ready] == {"data": False}
    assert said[mode]["mode"] == 2
    before = one.places
    one.command(before + 0.1)
    one.periods(5)
    np.testing.assert_allclose(one.places, before, atol=1e-6)
    assert one.outcomes()[-1] == Outcome.NOT_RESET
    one.periods(50)
    one.command(before + 0.1)
    one.periods(5)
    assert one.places[0] > before[0] + 0.01


def test_late_wrong_and_unheard_commands(play: Play) -> None:
    one = play(recipe_of("ur5e"))
    topic, kind = next(iter(one.recipe["publish"].items()))
    one.periods(2)
    for sent_ago_s, outcome in ((0.05, Outcome.EXECUTED), (0.2, Outcome.STALE)):
        stamp = one.graph.clock.stamp(monotonic() - sent_ago_s)
        point = {"positions": (one.places + 0.01).tolist(), "time_from_start": {"sec": 0, "nanosec": 0}}
        message = {
            "header": {"stamp": stamp},
            "joint_names": list(one.layout.spec.command[0].labels),
            "points": [point],
        }
        one.graph.publish_json(topic, message)
        one.periods(1)
        assert one.outcomes()[-1] == outcome
    one.graph.publish_json(topic, {"joint_names": ["elbow_joint"], "points": [{"positions": [0.0]}]})
    assert one.outcomes()[-1] == Outcome.INVALID
    one.node.controllers["scaled_joint_trajectory_controller"] = False
    one.command(one.places + 0.1)
    count = len(one.outcomes())
    one.periods(1)
    assert len(one.outcomes()) == count
    assert kind["stamp"] == "robot"


def test_rates_have_no_rest_without_a_watchdog(play: Play) -> None:
    recipe = recipe_of("ur5e_forward")
    field = {
        **recipe["command"]["joint_target"],
        "unit": "rad/s",
        "low": [-1.0] * 6,
        "high": [1.0] * 6,
        "measured": None,
    }
    one = play({**recipe, "command": {"joint_target": field}, "reset": []})
    one.command(np.full(6, 0.5))
    one.periods(100)
    assert one.outcomes()[-1] == Outcome.EXECUTED  # it goes on, for ever
    one.command(np.zeros(6))
    one.periods(100)
    assert one.outcomes()[-1] == Outcome.IDLE


def test_periods_of_faults_are_those_of_control(play: Play) -> None:
    one = play(recipe_of("ur5e"))
    assert states_per_period(0.05) == 5
    assert states_per_period(0.005) == 1
    one.order(kind="actuator_delay", periods=2)
    one.periods(1)
    start = one.places
    one.command(start)
    one.periods(12)
    one.command(start + 0.1)
    one.periods(9)
    np.testing.assert_allclose(one.places, start, atol=1e-6)
    one.periods(5)
    assert one.places[0] > start[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subscribe": {"/joint_states": {"type": "std_msgs/Float64MultiArray"}}}, "of joints, position or velocity"),
        ({"publish": {"/t": {"type": "geometry_msgs/TwistStamped"}}}, "commands of joints"),
    ],
)
def test_what_is_no_joint_is_refused_in_a_sentence(change: dict[str, Any], told: str) -> None:
    recipe = recipe_of("ur5e", **change)
    if "publish" in change:
        field = {
            **recipe["command"]["joint_target"],
            "topic": "/t",
            "names": ["linear.x"],
            "low": [-1.0],
            "high": [1.0],
        }
        recipe = {**recipe, "command": {"twist": {**field, "unit": "m/s", "measured": None}}, "reset": []}
    with pytest.raises(ConfigError, match=told):
        own_spec(recipe)
