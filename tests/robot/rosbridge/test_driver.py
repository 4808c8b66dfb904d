"""The driver against the stand-in's server, through real sockets, as ROS 1 and as ROS 2."""

import json
import threading
import time
from typing import Any

import numpy as np
import pytest

from rlpd_robot.errors import FaultError, PeerRefusedError, PeerTimeoutError, ProtocolError
from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver
from rlpd_robot.robot.rosbridge.layout import Layout
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings, filter_command
from rlpd_robot.robot.testing import check_driver
from rlpd_robot.types import Command
from tests.robot.rosbridge.point_node import COMMAND_TOPIC, driving, point, settings, until

T = 20.0
TRAJECTORY = "trajectory_msgs/JointTrajectory"


def safe(driver: Any, values: Any) -> Any:
    spec = driver.layout.spec
    limits = SafetyLimits.from_settings(SafetySettings("test"), spec)
    return filter_command(limits, None, Command(np.asarray(values, float)), None)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("ros", [1, 2])
def test_it_keeps_the_promises_of_a_driver(ros: int) -> None:
    with point(ros) as node:
        made = []

        def make() -> Any:
            from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver

            made.append(RosbridgeDriver(node.server.url, **settings()))
            return made[-1]

        check_driver(make, timeout_s=T)
        assert made[0].ros == ros
        assert node.resets == [0]


def test_joints_are_mapped_by_name_both_ways() -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        driver.reset(3, T)
        assert node.resets == [3]
        driver.send(safe(driver, [0.25, -0.5]))  # b, a
        until(lambda: node.heard)
        state = driver.read(T)
        while not state.values["position"].any():
            state = driver.read(T)
        np.testing.assert_array_equal(state.values["position"], [-0.5, 0.25])  # a, b
        np.testing.assert_array_equal(state.values["velocity"], [9.5, 10.25])


def test_values_of_several_topics_and_kinds_make_one_state() -> None:
    subscribe = {
        "/joint_states": {"type": "sensor_msgs/JointState", "max_age_s": 1.0},
        "/tool": {"type": "geometry_msgs/PoseStamped", "max_age_s": 1.0},
        "/wrench": {"type": "geometry_msgs/WrenchStamped", "max_age_s": 1.0},
        "/echo": {"type": "std_msgs/Float64MultiArray", "max_age_s": 1.0},
        "/bytes": {"type": "std_msgs/UInt8MultiArray", "max_age_s": 1.0},
        "/following": {"type": "std_msgs/Bool", "max_age_s": 1.0},
    }
    state = {
        "position": {"topic": "/joint_states", "path": "position", "names": ["a", "b"], "unit": "rad"},
        "tool": {"topic": "/tool", "path": "pose.position", "labels": ["x", "y", "z"], "unit": "mm", "scale": 1000},
        "force": {"topic": "/wrench", "path": "wrench.force", "shape": [3], "unit": "N"},
        "twist": {"topic": "/wrench", "path": "wrench.torque.z", "unit": "Nm", "dtype": "float32"},
        "second": {"topic": "/echo", "path": "data", "indices": [1], "unit": "rad"},
        "bytes": {"topic": "/bytes", "path": "data", "shape": [3], "dtype": "uint8"},
        "on": {"topic": "/following", "path": "data", "dtype": "bool"},
    }
    with point() as node, driving(node, subscribe=subscribe, state=state) as driver:
        node.heard.append((0.0, {"data": [7.0, 8.0]}))
        spec = driver.connect(T)
        values = driver.reset(None, T).values
        assert [(f.name, f.shape, f.dtype) for f in spec.state] == [
            (k, v.shape, v.dtype.name) for k, v in values.items()
        ]
        assert {name: value.tolist() for name, value in values.items()} == {
            "position": [0.0, 0.0],
            "tool": [1000.0, 2000.0, 3000.0],
            "force": [4.0, 0.0, 0.0],
            "twist": 5.0,
            "second": [8.0],
            "bytes": [1, 2, 255],
            "on": True,
        }


def test_joints_of_two_publishers_on_one_topic_are_told_apart() -> None:
    state = {
        "position": {"topic": "/joint_states", "path": "position", "names": ["a", "b"], "unit": "rad"},
        "gripper": {"topic": "/joint_states", "path": "position", "names": ["finger"], "unit": "m"},
    }
    with point() as node, driving(node, state=state) as driver:
        node.extra = [("/joint_states", "sensor_msgs/JointState", {"name": ["finger"], "position": [0.04]})]
        driver.connect(T)
        assert driver.reset(None, T).values["gripper"].tolist() == [0.04]
        counts = [driver.read(T).sequence for _ in range(3)]
        assert counts == sorted(set(counts))


@pytest.mark.parametrize("ros", [1, 2])
@pytest.mark.parametrize(
    ("kind", "fields", "read"),
    [
        ("std_msgs/Float64MultiArray", {}, lambda m: m["data"]),
        (TRAJECTORY, {}, lambda m: m["points"][0]["positions"]),
        (TRAJECTORY, {"part": "velocities"}, lambda m: m["points"][0]["velocities"]),
        ("sensor_msgs/JointState", {}, lambda m: m["position"]),
        ("sensor_msgs/JointState", {"part": "effort"}, lambda m: m["effort"]),
    ],
)
def test_commands_of_every_kind_arrive(ros: int, kind: str, fields: dict[str, Any], read: Any) -> None:
    publish = {COMMAND_TOPIC: {"type": kind, **fields}}
    with point(ros, kind) as node, driving(node, publish=publish, ros=ros) as driver:
        driver.connect(T)
        driver.reset(None, T)
        values = np.float64(0.1), np.float32(0.25)  # NumPy scalars are no JSON
        assert driver.send(safe(driver, values)) > 0
        message = until(lambda: node.heard)[0][1]
        assert read(message) == [0.1, 0.25]
        names = message.get("joint_names", message.get("name", ["b", "a"]))
        assert names == ["b", "a"]
        if kind == TRAJECTORY:
            time_from_start = message["points"][0]["time_from_start"]
            assert list(time_from_start.values()) == [0, 40_000_000]
            assert list(time_from_start) == (["sec", "nanosec"] if ros == 2 else ["secs", "nsecs"])
        if "header" in message:
            assert list(message["header"]["stamp"].values()) == [0, 0]


def test_a_twist_and_the_robots_own_time() -> None:
    kind = "geometry_msgs/TwistStamped"
    publish = {COMMAND_TOPIC: {"type": kind, "stamp": "robot", "frame_id": "tool0"}}
    axes = {
        "move": {"topic": COMMAND_TOPIC, "low": [-1], "high": [1], "unit": "m/s", "names": ["linear.z"]},
        "turn": {"topic": COMMAND_TOPIC, "low": [-1], "high": [1], "unit": "rad/s", "names": ["angular.x"]},
    }
    with point(2, kind) as node, driving(node, publish=publish, command=axes) as driver:
        driver.connect(T)
        driver.reset(None, T)
        driver.send(safe(driver, [0.5, -0.25]))
        message = until(lambda: node.heard)[0][1]
        assert message["twist"]["linear"] == {"x": 0.0, "y": 0.0, "z": 0.5}
        assert message["twist"]["angular"] == {"x": -0.25, "y": 0.0, "z": 0.0}
        assert message["header"]["frame_id"] == "tool0"
        age_s = node.graph.clock.age_s(message["header"]["stamp"])
        assert age_s is not None
        assert abs(age_s) < 5
        heard = len(node.heard)
        driver.stop()  # rates have an obvious stop, whatever else is configured
        until(lambda: len(node.heard) > heard)
        last = node.heard[-1][1]["twist"]
        assert last == {g: dict.fromkeys("xyz", 0.0) for g in ("linear", "angular")}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"subscribe": {"/nowhere": {"type": "sensor_msgs/JointState"}}, "topic": "/nowhere"},
            "nobody publishes its topic '/nowhere'",
        ),
        (
            {"subscribe": {"/joint_states": {"type": "std_msgs/Float64MultiArray"}}},
            "its topic '/joint_states' is of type sensor_msgs/JointState, not std_msgs/Float64MultiArray",
        ),
        (
            {"publish": {COMMAND_TOPIC: {"type": TRAJECTORY}}},
            f"its topic '{COMMAND_TOPIC}' is of type std_msgs/Float64",
        ),
        ({"command_topic": "/deaf"}, "nobody listens to its topic '/deaf': is that controller running"),
        ({"reset": [{"call": {"service": "/gone"}}]}, "there is no service '/gone'"),
        (
            {"stop": [{"call": {"service": "/point/stop", "type": "std_srvs/Empty"}}]},
            "is of type std_srvs/Trigger, not",
        ),
        ({"stop": [{"say": {"topic": "/deaf", "type": "std_msgs/Bool"}}]}, "nobody listens to its topic '/deaf'"),
    ],
)
@pytest.mark.parametrize("ros", [1, 2])
def test_what_a_server_would_be_silent_about_is_found_at_the_start(
    ros: int, changes: dict[str, Any], sentence: str
) -> None:
    changes = dict(changes)
    whole = settings()
    topic = changes.pop("topic", None)
    if topic is not None:
        changes["state"] = {name: {**one, "topic": topic} for name, one in whole["state"].items()}
    topic = changes.pop("command_topic", None)
    if topic is not None:
        changes["publish"] = {topic: {"type": "std_msgs/Float64MultiArray"}}
        changes["command"] = {"target": {**whole["command"]["target"], "topic": topic}}
    with point(ros) as node, driving(node, **changes) as driver:
        with pytest.raises(PeerRefusedError, match=sentence):
            connect(driver)
        assert node.heard == []


def connect(driver: RosbridgeDriver) -> None:
    """Each call goes on where one before ran out of time."""
    deadline_s = time.monotonic() + T
    while True:
        try:
            driver.connect(0.3)
            return
        except PeerTimeoutError:
            if time.monotonic() > deadline_s:
                raise


def test_without_rosapi_the_remedy_is_named_and_the_checks_can_be_left_out() -> None:
    with point() as node:
        for name in [name for name in node.graph.services if name.startswith("/rosapi/")]:
            del node.graph.services[name]
        with (
            driving(node) as driver,
            pytest.raises(PeerRefusedError, match="/rosapi/publishers does not exist.*rosapi: f"),
        ):
            driver.connect(0.3)
        with driving(node, rosapi=False) as driver:
            driver.connect(T)


def test_topics_that_stay_silent_or_lack_joints_are_named() -> None:
    with point() as node:
        node.muted = {"/joint_states"}
        with (
            driving(node) as driver,
            pytest.raises(PeerTimeoutError, match="topic '/joint_states'.*Nothing has come on it"),
        ):
            driver.connect(0.3)
        node.muted = set()
        state = {"position": {"topic": "/joint_states", "path": "position", "names": ["a", "elbow"], "unit": "rad"}}
        with (
            driving(node, state=state) as driver,
            pytest.raises(PeerTimeoutError, match=r"\['a', 'b'\] lack \['elbow'\]"),
        ):
            driver.connect(0.3)


def test_queues_hold_one_message_and_the_bridge_is_asked_for_plain_json() -> None:
    whole = settings(e_stop={"topic": "/e_stop", "type": "std_msgs/Bool", "path": "data", "value": True})
    opening = Layout.parse(whole).opening()
    lengths = {one["topic"]: one["queue_length"] for one in opening if one["op"] == "subscribe"}
    assert lengths.pop("/e_stop") > 1  # a short press must not be overwritten
    assert set(lengths.values()) == {1}
    assert {one["compression"] for one in opening if one["op"] == "subscribe"} == {"none"}
    assert {(one["queue_size"], one["latch"]) for one in opening if one["op"] == "advertise"} == {(1, False)}
    assert {one["type"].count("/") for one in opening} == {1}  # both ROS versions take two parts
    told = {one["topic"] for one in opening if one["op"] == "advertise"}
    assert not told & lengths.keys()


def test_a_topic_that_falls_silent_makes_no_states_any_more() -> None:
    subscribe = {
        "/joint_states": {"type": "sensor_msgs/JointState", "max_age_s": 0},
        "/tool": {"type": "geometry_msgs/PoseStamped", "max_age_s": 0.3},
    }
    state = {**settings()["state"], "tool": {"topic": "/tool", "path": "pose.position", "labels": ["x", "y", "z"]}}
    with point() as node, driving(node, subscribe=subscribe, state=state) as driver:
        driver.connect(T)
        driver.reset(None, T)
        node.muted = {"/tool"}
        with pytest.raises(PeerTimeoutError, match="topic '/tool'.*newest message is .* s old, 0.3 s are allowed"):
            until(lambda: driver.read(T) and False)
        node.muted = set()

        def again() -> Any:
            try:
                return driver.read(T)
            except PeerTimeoutError:
                return None

        until(again)


def test_a_reset_waits_for_a_fresher_reading_where_one_is_too_old() -> None:
    subscribe = {"/joint_states": {"type": "sensor_msgs/JointState", "max_age_s": 0.3}}
    with point() as node, driving(node, subscribe=subscribe) as driver:
        driver.connect(T)
        node.muted = {"/joint_states"}
        until(lambda: driver._lacks())
        with pytest.raises(PeerTimeoutError, match="newest message is .* s old, 0.3 s are allowed"):
            driver.measured(time.monotonic())
        now = threading.Timer(0.1, node.muted.clear)
        now.start()
        assert driver.measured(time.monotonic() + T).shape == (2,)  # and does not refuse
        now.join()


def test_the_same_measurement_again_is_no_news() -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        kept = node.messages()["/joint_states"]["header"]
        node.spoilt["/joint_states"] = lambda message: {**message, "header": kept}
        driver.read(T)
        with pytest.raises(PeerTimeoutError, match="see whether the robot's driver still publishes"):
            until(lambda: driver.read(0.3) and False)
        assert driver.stats()["repeated"] > 0


def test_not_a_number_comes_as_one_and_never_as_zero() -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        driver.reset(None, T)
        node.spoilt["/joint_states"] = lambda message: {**message, "position": [float("nan"), float("inf")]}
        state = driver.read(T)
        while np.isfinite(state.values["position"]).all():
            state = driver.read(T)
        assert np.isnan(state.values["position"]).all()  # both are null on the wire


@pytest.mark.parametrize(
    "position", [[1.0], ["one", "two"], "no base64!", {"x": 1.0}, [[1.0], [2.0]], None, [1.0, 2.0, 3.0]]
)
def test_a_message_of_another_shape_is_refused_in_one_sentence(position: object) -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        node.spoilt["/joint_states"] = lambda message: {**message, "position": position}
        with pytest.raises(ProtocolError, match="topic /joint_states: "):
            until(lambda: driver.read(T) and False)


def test_nothing_moves_before_a_reset_nor_after_a_stop() -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        assert driver.send(safe(driver, [0.1, 0.1])) == -1
        driver.reset(None, T)
        assert driver.send(safe(driver, [0.2, 0.2])) > 0
        until(lambda: node.heard)
        driver.stop()
        assert driver.send(safe(driver, [0.3, 0.3])) == -1
        until(lambda: node.stops)
        driver.reset(None, T)
        driver.send(safe(driver, [0.4, 0.4]))
        until(lambda: len(node.heard) == 2)
        assert [message["data"][0] for _, message in node.heard] == [0.2, 0.4]
        assert driver.stats()["dropped_stopped"] == 2


def test_a_condition_of_moving_counts_between_reset_and_stop_only() -> None:
    require = [{"topic": "/following", "type": "std_msgs/Bool", "path": "data", "value": True}]
    with point() as node, driving(node, require=require) as driver:
        node.following = False
        driver.connect(T)
        driver.read(T)
        with pytest.raises(PeerRefusedError, match="'/following' says data=False, and must say data=True"):
            driver.reset(None, 0.5)
        node.following = True
        driver.reset(None, T)
        node.following = False
        with pytest.raises(PeerRefusedError, match="'/following' says data=False"):
            until(lambda: driver.read(T) and False)
        driver.stop()
        driver.read(T)


def test_a_short_press_of_the_e_stop_is_not_missed_and_a_long_one_bars_the_way() -> None:
    e_stop = {"topic": "/e_stop", "type": "std_msgs/Bool", "path": "data", "value": True}
    with point() as node, driving(node, e_stop=e_stop) as driver:
        driver.connect(T)
        driver.reset(None, T)
        for pressed in (True, False):
            node.server.do(node.publish, "/e_stop", {"data": pressed})
        with pytest.raises(FaultError, match="e-stop pressed: topic '/e_stop' says data=True"):
            until(lambda: driver.read(T) and False)
        driver.read(T)  # released again
        node.spoilt["/e_stop"] = lambda message: {"data": True}
        with pytest.raises(FaultError, match="e-stop pressed"):
            until(lambda: driver.read(T) and False)
        with pytest.raises(FaultError, match="e-stop pressed"):
            driver.reset(None, T)


def test_the_doctor_can_see_the_e_stop_before_anything_moves() -> None:
    e_stop = {"topic": "/e_stop", "type": "std_msgs/Bool", "path": "data", "value": True, "max_age_s": 5.0}
    with point() as node, driving(node, e_stop=e_stop) as driver, driving(node) as without:
        driver.connect(T)
        assert without.e_stop_pressed() is None
        until(lambda: driver.e_stop_pressed() is False)
        node.spoilt["/e_stop"] = lambda message: {"data": True}
        until(lambda: driver.e_stop_pressed() is True)
        del node.spoilt["/e_stop"]
        until(lambda: driver.e_stop_pressed() is False)
    with point() as node, driving(node, e_stop={**e_stop, "max_age_s": 0.05}) as driver:
        node.muted = {"/e_stop"}
        driver.connect(T)
        assert driver.e_stop_pressed() is True  # a silent one counts as pressed


def test_a_stop_says_its_word_on_a_topic() -> None:
    stop = [{"say": {"topic": "/point/e_stop_out", "type": "std_msgs/Bool", "message": {"data": True}}}]
    with point() as node, driving(node, stop=stop) as driver:
        driver.connect(T)
        driver.reset(None, T)
        driver.stop()
        until(lambda: node.stops)


def test_a_stop_holds_the_positions_of_its_first_moment() -> None:
    command = {"target": {**settings()["command"]["target"], "names": ["a", "b"], "measured": "position"}}
    with point() as node, driving(node, command=command) as driver:
        node.position = np.array([0.5, -0.25])  # b, a
        driver.connect(T)
        node.position = np.array([0.5, -0.25])
        driver.reset(None, T)
        node.position = np.array([0.5, -0.25])
        while driver.read(T).values["position"][0] != -0.25:
            continue
        driver.stop()
        until(lambda: node.heard)
        node.position = np.array([0.4, -0.35])  # it sags
        for _ in range(4):
            driver.read(T)
            driver.stop()
        until(lambda: len(node.heard) >= 5)
        assert {tuple(message["data"]) for _, message in node.heard} == {(-0.25, 0.5)}


def test_a_failing_reset_says_why_and_lets_nothing_move() -> None:
    with point() as node:

        async def refuse(args: Any) -> dict[str, Any]:
            return {"success": False, "message": "the lid is open"}

        node.graph.serve("/point/reset", "point_msgs/Reset", refuse)
        with driving(node) as driver:
            driver.connect(T)
            with pytest.raises(PeerRefusedError, match="'/point/reset' .*the lid is open"):
                driver.reset(None, T)
            assert driver.send(safe(driver, [0.1, 0.1])) == -1


@pytest.mark.parametrize("ros", [1, 2])
def test_controllers_are_switched_and_left_alone_where_they_run(ros: int) -> None:
    reset = [{"switch": {"start": ["forward"], "stop": ["jtc"]}}]
    with point(ros) as node, driving(node, reset=reset) as driver:
        driver.connect(T)
        driver.reset(None, T)
        assert node.controllers == {"jtc": False, "forward": True}
        del node.graph.services["/controller_manager/switch_controller"]
        driver.reset(None, T)
    reset = [{"switch": {"start": ["nothing"]}}]
    with point(ros) as node, driving(node, reset=reset) as driver:
        driver.connect(T)
        with pytest.raises(PeerRefusedError, match=r"has no \['nothing'\], only \['forward', 'jtc'\]"):
            driver.reset(None, T)


def test_the_way_home_is_slow_and_ends_there() -> None:
    command = {"target": {**settings()["command"]["target"], "names": ["a", "b"], "measured": "measured"}}
    state = {"measured": {"topic": "/joint_states", "path": "position", "indices": [0, 1], "unit": "rad"}}
    reset = [{"home": {"target": {"target": [0.2, -0.1]}, "speed": 1.0, "tolerance": 0.01}}]
    with point() as node, driving(node, command=command, state=state, reset=reset) as driver:
        driver.connect(T)
        state_there = driver.reset(None, T)
        np.testing.assert_allclose(state_there.values["measured"], [0.2, -0.1])
        times = [at_s for at_s, _ in node.heard]
        ways = np.array([message["data"] for _, message in node.heard])
        assert times[-1] - times[0] > 0.1  # 0.2 rad at 1 rad/s, the last command at its end
        assert (np.diff(ways[:, 0]) >= 0).all()
        assert (ways[:, 0] <= 0.2).all()


ECHO = {"topic": "/echo", "type": "std_msgs/Float64MultiArray", "path": "data"}


@pytest.mark.parametrize("echo", [ECHO, {**ECHO, "topic": COMMAND_TOPIC}, None])
def test_a_state_names_the_command_that_the_robot_followed(echo: dict[str, Any] | None) -> None:
    publish = {COMMAND_TOPIC: {"type": "std_msgs/Float64MultiArray", "echo": echo}}
    with point() as node, driving(node, publish=publish) as driver:
        driver.connect(T)
        assert driver.reset(None, T).executed == -1
        number = driver.send(safe(driver, [0.5, 0.5]))
        state = driver.read(T)
        while state.executed != number:
            assert state.executed == -1
            state = driver.read(T)
        assert driver.read(T).executed == number
        driver.stop()
        assert driver.reset(None, T).executed == -1


def test_commands_that_never_come_back_are_a_refusal() -> None:
    publish = {COMMAND_TOPIC: {"type": "std_msgs/Float64MultiArray", "echo": ECHO}}
    with point() as node, driving(node, publish=publish) as driver:
        node.spoilt["/echo"] = lambda message: {**message, "data": [0.0, 9.0]}
        driver.connect(T)
        driver.reset(None, T)

        def go_on() -> bool:
            driver.send(safe(driver, [0.5, 0.5]))
            driver.send(safe(driver, [0.4, 0.5]))
            driver.send(safe(driver, [0.3, 0.5]))
            assert driver.read(T).executed == -1
            return False

        with pytest.raises(PeerRefusedError, match="commands left and none of them came back on /echo"):
            until(go_on)


def test_an_old_state_lets_no_command_pass() -> None:
    with point() as node, driving(node, time_to_live_s=0.2) as driver:
        driver.connect(T)
        driver.reset(None, T)
        node.muted = {"/joint_states"}
        heard = len(node.heard)
        until(lambda: driver.send(safe(driver, [0.5, 0.5])) == -1)
        assert driver.stats()["dropped_stale"] == 1
        sent = driver.stats()["sent"]
        until(lambda: len(node.heard) - heard == sent)


def test_a_message_waits_nowhere_longer_than_its_time() -> None:
    with point() as node, driving(node) as driver:
        driver.connect(T)
        text = json.dumps({"op": "publish", "topic": COMMAND_TOPIC, "msg": {"data": [0.0, 0.0]}}).encode()
        connection = driver.connection
        assert connection.publish([text], connection.epoch, time.monotonic() - 0.001)
        assert not connection.publish([text], connection.epoch - 1, time.monotonic() + 10)
        until(lambda: connection.expired == 1)
        assert connection.unsent == 1
        assert connection.publish([text], connection.epoch, time.monotonic() + 10)
        until(lambda: node.heard)
        assert len(node.heard) == 1
