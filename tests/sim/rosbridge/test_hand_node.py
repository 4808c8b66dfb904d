"""The simulated hand as a node of ROS, without sockets, in a time that the test makes."""

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.config import load
from rlpd_robot.robot.book import CommandBook, Outcome, read_book
from rlpd_robot.robot.rosbridge.driver import layout_of
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot
from sim.hand import AdroitHand
from sim.rosbridge.graph import Graph
from sim.rosbridge.hand_node import COMMAND, E_STOP, FOLLOWING, GROUP_COMMAND, JOINT_COMMAND, JOINTS, STATE, HandNode
from sim.rosbridge.message_types import to_message
from tests.integration.still_hand import StillHand

PERIOD_S = 0.02


class Scene:
    """A hand of two joints, and what is heard of it."""

    def __init__(self, book: CommandBook | None = None, ros: int = 1, faults: Any = None) -> None:
        self.now = 100.0
        self.graph, self.hand = Graph(ros), StillHand(["b", "a"], PERIOD_S)
        robot, tells = self.hand, float
        if faults is not None:
            plan = Plan(self.hand.spec, faults)
            robot, tells = FaultyRobot(self.hand, plan, lambda: self.now), plan.stamp
        self.node = HandNode(robot, self.graph, lambda: self.now, book, tells)
        self.following: list[bool] = []
        self.graph.listen(FOLLOWING, None, "/test", self, lambda message: self.following.append(message["data"]))

    def say(self, topic: str, **message: Any) -> None:
        self.graph.publish_json(topic, message)

    def trajectory(self, names: list[str], positions: list[float], stamp: Any = None) -> None:
        header = {"stamp": stamp or {"secs": 0, "nsecs": 0}}
        self.say(COMMAND, header=header, joint_names=names, points=[{"positions": positions}])

    def call(self, service: str, **args: Any) -> dict[str, Any]:
        return asyncio.run(self.graph.call(service, args))

    def period(self) -> dict[str, Any]:
        """What is published in the next one."""
        self.now += PERIOD_S
        found = {}
        for topic, message, latch in self.node.period():
            self.graph.publish(topic, message, latch)
            found[topic] = message
        return found

    @property
    def position(self) -> list[float]:
        return self.hand.read()["joint_position"].tolist()


def test_it_follows_between_a_reset_and_a_stop_and_says_so() -> None:
    one = Scene()
    one.trajectory(["b", "a"], [0.5, 0.5])
    assert one.position == [0.0, 0.0]
    one.period()
    assert one.call("/hand/reset", seed=3) == {"success": True, "message": ""}
    one.period()
    one.trajectory(["a", "b"], [0.25, -0.5])
    assert one.position == [-0.5, 0.25]  # by name, whatever the order
    said = one.period()
    assert (said[JOINTS]["name"], said[JOINTS]["position"]) == (["a", "b"], [0.25, -0.5])
    assert said[STATE]["desired"]["positions"] == [0.25, -0.5]
    assert one.call("/hand/stop")["success"]
    one.trajectory(["a", "b"], [0.75, 0.75])
    assert one.position == [-0.5, 0.25]
    assert all(math.isnan(target) for target in one.period()[STATE]["desired"]["positions"])  # null on the wire
    assert one.following == [False, True, False]
    late = []
    one.graph.listen(FOLLOWING, None, "/late", "late", lambda message: late.append(message["data"]))
    assert late == [False]  # latched: told to whoever comes later
    assert one.node.counts == {
        "executed": 1,
        "refused_stale": 0,
        "refused_invalid": 0,
        "refused_stopped": 2,
        "own_stops": 0,
    }


def test_all_three_ways_to_command() -> None:
    one = Scene()
    one.call("/hand/reset")
    one.say(GROUP_COMMAND, data=[0.1, 0.2])
    assert one.position == [0.1, 0.2]  # by place
    one.say(JOINT_COMMAND, name=["a", "b"], position=[0.4, 0.3])
    assert one.position == [0.3, 0.4]


@pytest.mark.parametrize(
    ("names", "positions"),
    [(["a"], [0.1]), (["a", "b", "c"], [0, 0, 0]), (["a", "b"], [0.1]), (["a", "a"], [0, 0]), (["a", "b"], [0, 1.5])],
)
def test_what_it_cannot_follow_is_met_with_silence(names: list[str], positions: list[float]) -> None:
    one = Scene()
    one.call("/hand/reset")
    one.trajectory(names, positions)
    assert one.position == [0.0, 0.0]
    assert one.node.counts["refused_invalid"] == 1


def test_a_stamp_makes_a_late_command_known() -> None:
    one = Scene()
    one.call("/hand/reset")
    clock = one.graph.clock
    now = clock.stamp()
    one.trajectory(["a", "b"], [0.1, 0.1], {**now, "secs": now["secs"] + 60})
    assert one.position == [0.1, 0.1]
    one.trajectory(["a", "b"], [0.2, 0.2], {**now, "secs": now["secs"] - 60})
    assert one.position == [0.1, 0.1]
    assert one.node.counts["refused_stale"] == 1


def test_silence_stops_it_and_nothing_but_a_reset_has_it_follow_again() -> None:
    one = Scene()
    one.call("/hand/reset")
    one.trajectory(["a", "b"], [0.1, 0.1])
    for _ in range(2):
        one.period()
    assert one.following[-1]
    for _ in range(3):  # 2.5 periods without a command
        one.period()
    assert one.following == [True, False]
    one.trajectory(["a", "b"], [0.2, 0.2])
    assert one.position == [0.1, 0.1]
    assert one.node.counts["own_stops"] == 1
    one.call("/hand/reset")
    one.period()
    assert one.following == [True, False, True]


def test_its_e_stop_topic_stops_it() -> None:
    one = Scene()
    one.call("/hand/reset")
    one.say(E_STOP, data=False)
    one.trajectory(["a", "b"], [0.1, 0.1])
    one.say(E_STOP, data=True)
    one.trajectory(["a", "b"], [0.2, 0.2])
    assert one.position == [0.1, 0.1]


def test_its_book_says_what_became_of_each_command(tmp_path: Path) -> None:
    book = CommandBook(tmp_path / "book", "me", 2)
    one = Scene(book)
    one.trajectory(["a", "b"], [0.1, 0.1])
    one.call("/hand/reset")
    one.trajectory(["a", "b"], [0.2, 0.3])
    one.trajectory(["a"], [0.3])
    one.call("/hand/stop")
    book.close()
    records = read_book(tmp_path / "book")
    outcomes = [Outcome(one) for one in records["outcome"]]
    assert outcomes == [Outcome.NOT_RESET, Outcome.RESET, Outcome.EXECUTED, Outcome.INVALID, Outcome.STOP]
    np.testing.assert_array_equal(records["values"][2], [0.3, 0.2])


def test_a_hand_that_stops_by_itself_follows_again_when_that_is_over_and_it_was_reset() -> None:
    faults = [{"kind": "reflex", "at_s": 1.5 * PERIOD_S, "seconds": 1.5 * PERIOD_S}, {"kind": "bias", "offset": 0.5}]
    one = Scene(faults=[*faults, {"kind": "clock_jump", "by_s": -1000.0}])
    assert one.call("/hand/reset")["success"]
    assert one.period()[JOINTS]["position"] == [0.5, 0.5]  # what it tells is spoiled
    one.trajectory(["a", "b"], [0.1, 0.1])
    said = one.period()
    assert one.graph.clock.age_s(said[JOINTS]["header"]["stamp"]) == pytest.approx(1000.0 + time.monotonic() - one.now)
    one.period()
    assert one.following == [True, False]
    answer = one.call("/hand/reset")
    assert answer == {
        "success": False,
        "message": "it does not move before this is over: controller reflex (cartesian_reflex)",
    }
    one.period()
    one.period()
    assert one.call("/hand/reset")["success"]
    one.trajectory(["a", "b"], [0.2, 0.2])
    one.period()
    assert one.position == [0.2, 0.2]


def test_a_command_answers_the_state_that_was_newest_when_it_was_sent(tmp_path: Path) -> None:
    book = CommandBook(tmp_path / "book", "me", 2)
    one = Scene(book)
    one.now = time.monotonic()
    one.call("/hand/reset")
    for _ in range(3):
        one.period()
    now = one.graph.clock.stamp(one.now)
    one.trajectory(["a", "b"], [0.1, 0.1], now)
    one.period()
    one.trajectory(["a", "b"], [0.2, 0.2], now)  # it was longer on its way
    book.close()
    records = read_book(tmp_path / "book")
    followed = records[records["outcome"] == Outcome.EXECUTED]
    assert followed["answers"].tolist()[0] == 2
    assert followed["state"].tolist() == [2, 3]


@pytest.mark.parametrize("ros", [1, 2])
def test_controllers_are_listed_and_switched_as_this_version_words_it(ros: int) -> None:
    one, words = Scene(ros=ros), {1: ("start", "running", "stopped"), 2: ("activate", "active", "inactive")}[ros]
    before = one.call("/controller_manager/list_controllers")["controller"]
    assert [c["state"] for c in before] == [words[1], words[2]]
    asked = {f"{words[0]}_controllers": ["joint_group_position_controller"]}
    assert one.call("/controller_manager/switch_controller", **asked) == {"ok": True}
    assert {c["state"] for c in one.call("/controller_manager/list_controllers")["controller"]} == {words[1]}
    asked = {f"{words[0]}_controllers": ["nothing"]}
    assert one.call("/controller_manager/switch_controller", **asked) == {"ok": False}


@pytest.mark.parametrize("task", ["door", "pen"])
def test_over_rosbridge_it_is_the_robot_that_it_is_over_zeromq(task: str) -> None:
    """Same state, command, ranges and rate: what was recorded or learned on one is of the other."""
    hand = AdroitHand(task)
    layout = layout_of(load("sim", [f"robot=adroit_{task}_rosbridge", f"task={task}"])[0].robot.driver)
    assert layout.spec == hand.spec
    graph = Graph(1)
    node = HandNode(hand, graph, lambda: 0.0)
    said = {
        topic: to_message(_plain(message), graph.topics[topic].type, graph.clock.stamp)
        for topic, message, _ in node.period()
    }
    assert {topic for topic in layout.ages} <= said.keys()
    values = hand.read()
    for reading in layout.readings:
        message = said[reading.topic]
        names = tuple(message.get("name", ()))
        np.testing.assert_array_equal(reading.read(message, names), values[reading.name])


def _plain(value: Any) -> Any:
    """Tuples as lists, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
