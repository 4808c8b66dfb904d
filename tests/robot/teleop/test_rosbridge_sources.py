"""Topics behind the stand-in's rosbridge server, over real sockets."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rlpd_robot.errors import ConfigError, PeerRefusedError, PeerTimeoutError, ProtocolError
from rlpd_robot.robot.teleop.rosbridge_joints import JointsTeleop
from rlpd_robot.robot.teleop.rosbridge_joy import JoyTeleop, read_joy
from rlpd_robot.robot.teleop.source import Event
from sim.rosbridge.graph import Graph
from sim.rosbridge.message_types import to_message
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer
from tests.robot.teleop.arms import AXES, SPEC, START
from tests.wire.waiting import wait_until

TOPICS = {
    "/joy": "sensor_msgs/Joy",
    "/leader": "sensor_msgs/JointState",
    "/numbers": "std_msgs/Float64MultiArray",
    "/pedal": "std_msgs/Bool",
    "/words": "std_msgs/String",
}
LONG_S = 60.0  # a busy machine is no cause of its own here
STICKS = {"axis_0": "right", "axis_5": {"axis": "up", "rest": -1}}
BUTTONS = {"button_4": "dead_man", "button_0": "start", "button_1": "success"}


class Ros:
    """A server with a few topics; what a test says on them is heard by its clients."""

    def __init__(self) -> None:
        self.graph = Graph(2)
        Rosapi(self.graph)
        for topic, kind in TOPICS.items():
            self.graph.advertise(topic, kind, "/device")
        self.server = RosbridgeServer(self.graph, "tcp://127.0.0.1:0")
        self.address = self.server.url.replace("ws://", "tcp://")

    def say(self, topic: str, **message: Any) -> None:
        def publish() -> None:
            self.graph.publish(topic, to_message(message, TOPICS[topic], self.graph.clock.stamp))

        self.server.do(publish)

    def joy(self, x: float = 0.0, trigger: float = -1.0, buttons: tuple[int, ...] = ()) -> None:
        self.say("/joy", axes=[x, 0.0, 0.0, 0.0, 0.0, trigger], buttons=[int(i in buttons) for i in range(6)])

    def lead(self, **angles: float) -> None:
        self.say("/leader", name=list(angles), position=list(angles.values()))


@pytest.fixture(scope="module")
def ros() -> Iterator[Ros]:
    made = Ros()
    yield made
    made.server.close()


def taken(source, count):
    """The samples until so many messages have come."""
    samples = [source.poll()]
    wait_until(lambda: source.stats()["teleop_messages"] >= count or samples.append(source.poll()))
    return samples


@pytest.fixture
def joy(ros) -> Iterator[JoyTeleop]:
    made = JoyTeleop(SPEC, AXES, STICKS, BUTTONS, ros.address, dead_zone=0.0, stale_s=LONG_S)
    made.begin(START)
    yield made
    made.close()


def test_sticks_of_a_joy_message_move_the_robot_while_the_switch_is_held(ros, joy):
    ros.joy(1.0)
    sample = taken(joy, 1)[-1]
    assert (sample.enabled, sample.action.tolist()) == (False, START.tolist())
    ros.joy(1.0, trigger=0.0, buttons=(4,))
    sample = taken(joy, 2)[-1]
    assert (sample.enabled, sample.action.tolist()) == (True, pytest.approx([0.30, 0.05]))
    assert joy.poll().action.tolist() == pytest.approx([0.35, 0.10])  # the last message counts, while it is young
    ros.joy(1.0)
    assert not taken(joy, 3)[-1].enabled


def test_a_short_press_between_two_looks_is_heard_once(ros, joy):
    for buttons in ((1,), (1, 0), (), (0, 1), (1,)):  # what is held from the first was not pressed now
        ros.joy(buttons=buttons)
    samples = taken(joy, 5)
    assert [e for s in samples for e in s.events] == [Event.START, Event.START, Event.SUCCESS]
    assert joy.poll().events == ()


def test_old_messages_are_a_released_switch(ros):
    source = JoyTeleop(SPEC, AXES, STICKS, BUTTONS, ros.address, stale_s=1e-6)
    ros.joy(1.0, buttons=(4,))
    taken(source, 1)
    stamp = source.poll().stamp
    assert stamp < time.monotonic()
    assert (source.poll().enabled, source.poll().stamp) == (False, stamp)
    ros.joy(buttons=(4, 0))
    assert [e for s in taken(source, 2) for e in s.events] == [Event.START]  # a word counts all the same, once
    ros.joy(buttons=(4, 0))
    assert [e for s in taken(source, 3) for e in s.events] == []
    source.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"axes": [0.0]},
        {"axes": [None], "buttons": []},
        {"axes": ["1"], "buttons": []},
        {"axes": [], "buttons": ["x"]},
    ],
)
def test_what_is_no_joy_message(wrong):
    with pytest.raises(ProtocolError, match="'(axes|buttons)' is"):
        read_joy(wrong, "a server")


@pytest.fixture
def leader(ros) -> Iterator[JointsTeleop]:
    enabled = {"topic": "/pedal", "type": "std_msgs/Bool", "path": "data", "value": True, "max_age_s": LONG_S}
    joints = {"target.0": "shoulder", "target.1": {"from": "elbow", "scale": -1.0}}
    made = JointsTeleop(SPEC, ros.address, "/leader", enabled, words="/words", joints=joints, stale_s=LONG_S)
    made.begin(START)
    yield made
    made.close()


def enabled(source, wanted):
    wait_until(lambda: source.poll().enabled == wanted)


def test_the_robot_follows_a_leader_from_where_it_stands(ros, leader):
    ros.lead(elbow=0.5, other=9.0, shoulder=-0.5)
    assert not taken(leader, 1)[-1].enabled
    ros.say("/pedal", data=True)
    enabled(leader, True)
    assert leader.poll().action.tolist() == START.tolist()
    ros.lead(elbow=0.4, other=9.0, shoulder=-0.3)
    assert taken(leader, 2)[-1].action.tolist() == pytest.approx([START[0] + 0.2, 0.1])
    ros.say("/pedal", data=False)
    enabled(leader, False)
    ros.lead(elbow=0.0, other=9.0, shoulder=0.9)
    assert taken(leader, 3)[-1].action.tolist() == pytest.approx([START[0] + 0.2, 0.1])
    ros.say("/pedal", data=True)
    enabled(leader, True)
    assert leader.poll().action.tolist() == pytest.approx([START[0] + 0.2, 0.1])  # without a bump


def test_other_joints_and_broken_numbers_are_no_sign_of_life(ros, leader):
    ros.lead(finger=0.1)  # another publisher on the same topic
    ros.lead(shoulder=float("nan"), elbow=0.0)
    ros.say("/words", data="explode")
    ros.say("/words", data="undo")
    events = []
    wait_until(lambda: events.extend(leader.poll().events) or events)
    assert events == [Event.UNDO]
    assert (leader.stats()["teleop_messages"], leader.stats()["teleop_rubbish"]) == (0.0, 2.0)


def test_numbers_go_by_place_and_a_switch_may_be_left_out(ros):
    source = JointsTeleop(
        SPEC, ros.address, "/numbers", "always", "std_msgs/Float64MultiArray", joints={"target.1": 2}, stale_s=LONG_S
    )
    source.begin(START)
    for value in (0.0, 0.3):
        ros.say("/numbers", data=[9.0, 9.0, value])
    sample = taken(source, 2)[-1]
    assert sample.enabled
    ros.say("/numbers", data=[9.0, 9.0, 0.5])
    assert taken(source, 3)[-1].action[0] == START[0]
    source.close()


ALWAYS = {"address": "ws://127.0.0.1:9", "topic": "/leader", "enabled": "always"}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"type": "sensor_msgs/Image"}, ConfigError, r"'teleop.type' must be one of \['sensor_msgs/JointState'"),
        ({"enabled": None}, ConfigError, "'teleop.enabled' must be a mapping of topic, type, path and value"),
        ({"enabled": {"topic": "/pedal"}}, ConfigError, "'teleop.enabled.type' must be given"),
        ({"topic": "leader"}, ConfigError, "'teleop.topic' must be a name that begins with /"),
        ({"words": "words"}, ConfigError, "'teleop.topic' must be a name that begins with /. Received 'words'"),
        ({"address": "leader:9090"}, ConfigError, "'teleop.address' must be an address such as ws://"),
        ({"address": "ws://10.0.0.1:9090"}, ConfigError, "'teleop.address' must be of this machine or wss://"),
        ({"connect_s": 0}, ConfigError, "'teleop.connect_s' must be a positive time"),
        ({"stale_s": "x"}, ConfigError, "'teleop.stale_s' must be a positive time"),
        ({"connect_s": 0.01}, PeerTimeoutError, "No answer from a rosbridge server at ws://127.0.0.1:9"),
    ],
)
def test_a_wrong_setting(wrong, error, message):
    with pytest.raises(error, match=message):
        JointsTeleop(SPEC, **{**ALWAYS, **wrong})


def refusal(ros, topic):
    """What is said when there was time enough to be answered; a busy machine wants more of it."""
    for connect_s in (0.3, 1.0, 3.0, 10.0):
        try:
            JointsTeleop(SPEC, ros.address, topic, "always", connect_s=connect_s).close()
        except PeerRefusedError as error:
            return str(error)
        except PeerTimeoutError:
            continue
    return "nothing"


def test_nobody_publishes_or_something_else(ros):
    assert "nobody publishes its topic '/glove'" in refusal(ros, "/glove")
    assert "'/pedal' is of type std_msgs/Bool, not sensor_msgs/JointState" in refusal(ros, "/pedal")
