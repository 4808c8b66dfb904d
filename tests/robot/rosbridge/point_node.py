"""A point with two joints on the stand-in's ROS, for tests: what it is told and what it tells can be bent at will."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver
from sim.rosbridge.graph import Graph
from sim.rosbridge.message_types import to_message
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer

PERIOD_S = 0.02
NODE = "/point"
COMMAND_TOPIC = "/point/command"


class PointNode:
    """Joints "b" and "a", told in that order, go to their targets at once.

    Attributes:
        heard: every message on the command topic, as (monotonic time, message).
        resets: seeds of the resets.
        stops: calls of the stop service.
        muted: topics that it does not publish.
        spoilt: topic → function that changes the message before it is published.
        extra: (topic, type, message) published each period as well.
    """

    def __init__(self, ros: int = 1, command_type: str = "std_msgs/Float64MultiArray", port: int = 0) -> None:
        self.graph = Graph(ros)
        Rosapi(self.graph)
        self.heard: list[tuple[float, dict[str, Any]]] = []
        self.resets: list[int] = []
        self.stops = 0
        self.muted: set[str] = set()
        self.spoilt: dict[str, Any] = {}
        self.extra: list[tuple[str, str, dict[str, Any]]] = []
        self.position = np.zeros(2)
        self.following = True
        self.controllers = {"jtc": True, "forward": False}
        for topic, kind in self.topics().items():
            self.graph.advertise(topic, kind, NODE)
        self.graph.listen(COMMAND_TOPIC, command_type, NODE, self, self._take)
        self.graph.listen("/point/e_stop_out", "std_msgs/Bool", NODE, "e_stop", self._take_e_stop)
        self.graph.serve("/point/reset", "point_msgs/Reset", self._reset)
        self.graph.serve("/point/stop", "std_srvs/Trigger", self._stop)
        self.graph.serve("/controller_manager/list_controllers", "controller_manager_msgs/ListControllers", self._list)
        self.graph.serve(
            "/controller_manager/switch_controller", "controller_manager_msgs/SwitchController", self._switch
        )
        self.server = RosbridgeServer(self.graph, f"tcp://127.0.0.1:{port}")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @staticmethod
    def topics() -> dict[str, str]:
        return {
            "/joint_states": "sensor_msgs/JointState",
            "/tool": "geometry_msgs/PoseStamped",
            "/wrench": "geometry_msgs/WrenchStamped",
            "/following": "std_msgs/Bool",
            "/e_stop": "std_msgs/Bool",
            "/echo": "std_msgs/Float64MultiArray",
            "/bytes": "std_msgs/UInt8MultiArray",
        }

    def messages(self) -> dict[str, dict[str, Any]]:
        now = self.graph.clock.stamp()
        header = {"stamp": now, "frame_id": "world"}
        b, a = self.position.tolist()
        joints = {"header": header, "name": ["b", "a"], "position": [b, a], "velocity": [b + 10, a + 10], "effort": []}
        last = self.heard[-1][1] if self.heard else {}
        return {
            "/tool": {"header": header, "pose": {"position": {"x": 1.0, "y": 2.0, "z": 3.0}}},
            "/wrench": {"header": header, "wrench": {"force": {"x": 4.0}, "torque": {"z": 5.0}}},
            "/following": {"data": self.following},
            "/e_stop": {"data": False},
            "/echo": {"data": list(last.get("data", ()))},
            "/bytes": {"data": [1, 2, 255]},
            "/joint_states": joints,
        }

    def _run(self) -> None:
        index, origin = 0, time.monotonic()
        while not self._ending.wait(max(0.0, origin + index * PERIOD_S - time.monotonic())):
            index += 1
            self.server.do(self._publish)

    def _publish(self) -> None:
        for topic, message in self.messages().items():
            if topic not in self.muted:
                self.publish(topic, message)
        for topic, kind, message in self.extra:
            if topic not in self.graph.topics:
                self.graph.advertise(topic, kind, NODE)
            self.publish(topic, message)

    def publish(self, topic: str, message: dict[str, Any]) -> None:
        """In the server's thread."""
        whole = to_message(message, self.graph.topics[topic].type, self.graph.clock.stamp)
        self.graph.publish(topic, self.spoilt.get(topic, lambda m: m)(whole))

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)
        self.server.close()

    def _take(self, message: dict[str, Any]) -> None:
        self.heard.append((time.monotonic(), message))
        if "data" in message and len(message["data"]) == 2:
            self.position = np.array(message["data"])

    def _take_e_stop(self, message: dict[str, Any]) -> None:
        self.stops += 1

    async def _reset(self, args: Any) -> dict[str, Any]:
        self.resets.append(args.get("seed", -1))
        self.position = np.zeros(2)
        return {"success": True, "message": ""}

    async def _stop(self, args: Any) -> dict[str, Any]:
        self.stops += 1
        return {"success": True, "message": ""}

    async def _list(self, args: Any) -> dict[str, Any]:
        words = ("inactive", "active") if self.graph.ros == 2 else ("stopped", "running")
        return {"controller": [{"name": name, "state": words[on]} for name, on in self.controllers.items()]}

    async def _switch(self, args: Any) -> dict[str, Any]:
        words = ("activate", "deactivate") if self.graph.ros == 2 else ("start", "stop")
        self.controllers |= dict.fromkeys(args[f"{words[0]}_controllers"], True)
        self.controllers |= dict.fromkeys(args[f"{words[1]}_controllers"], False)
        return {"ok": True}


def settings(**changes: Any) -> dict[str, Any]:
    """A driver's settings for the point; joints in the other order than it tells them."""
    whole: dict[str, Any] = {
        "name": "point",
        "period_s": PERIOD_S,
        "subscribe": {"/joint_states": {"type": "sensor_msgs/JointState", "max_age_s": 1.0}},
        "state": {
            "position": {"topic": "/joint_states", "path": "position", "names": ["a", "b"], "unit": "rad"},
            "velocity": {"topic": "/joint_states", "path": "velocity", "names": ["a", "b"], "unit": "rad/s"},
        },
        "publish": {COMMAND_TOPIC: {"type": "std_msgs/Float64MultiArray"}},
        "command": {
            "target": {"topic": COMMAND_TOPIC, "low": [-1, -1], "high": [1, 1], "unit": "rad", "names": ["b", "a"]}
        },
        "reset": [{"call": {"service": "/point/reset", "args": {"seed": "{seed}"}, "ok": "success"}}],
        "stop": [{"call": {"service": "/point/stop"}}],
        "time_to_live_s": 1.0,  # a busy machine is no cause of its own here
    }
    return {**whole, **changes}


@contextlib.contextmanager
def point(ros: int = 1, command_type: str = "std_msgs/Float64MultiArray") -> Iterator[PointNode]:
    node = PointNode(ros, command_type)
    try:
        yield node
    finally:
        node.close()


@contextlib.contextmanager
def driving(node: PointNode | str, **changes: Any) -> Iterator[RosbridgeDriver]:
    """A driver of the point, not connected."""
    url = node if isinstance(node, str) else node.server.url
    driver = RosbridgeDriver(url, **settings(**changes))
    try:
        yield driver
    finally:
        driver.close()


def until(condition: Any, deadline_s: float = 20.0) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)  # between two looks
    return value
