"""A robot of joints alone, as a node of ROS: whatever a robot's YAML file says of topics, joints and controllers.

No physics: each joint goes straight to its target, at `SPEED` (`simulated_joints.py` has some).
So a robot's configuration can be tried against topics
and joints of its own without the robot: `serve_joints` behind a rosbridge server, as in docs/rosbridge.md.
"""

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlpd_robot.robot.rosbridge.settings import (
    JOINT_STATE,
    PARTS,
    TRAJECTORY,
    CommandField,
    Condition,
    Poll,
    Publication,
    Step,
    parse,
    parse_all,
    parse_list,
)
from rlpd_robot.robot.rosbridge.settings import Reading as ReadingSettings
from rlpd_robot.robot.rosbridge.settings import Subscription as SubscriptionSettings
from sim.rosbridge.graph import Graph, Handler
from sim.rosbridge.message_types import zero

NODE = "/joints"
SPEED = 2.0
"""Of each joint towards its target [rad/s, m/s]."""


class JointsNode:
    """One robot, played from the settings of its driver.

    Two threads: the robot's calls `period`, the graph's delivers commands.

    Args:
        settings: what stands under `robot.driver` in its file.
        graph: that it takes part in; not yet served.
        start: joint → where it stands at first; the home of its reset, else the middle of its range, unless given.

    Attributes:
        position: joint → where it stands.
        taken: messages on command topics that named all their joints.
        said: messages on other topics that it listens to, in order.
        controllers: running or not, by name.
    """

    def __init__(self, settings: Mapping[str, Any], graph: Graph, start: Mapping[str, float] | None = None) -> None:
        self._graph, self._lock = graph, threading.Lock()
        self._period_s = float(settings["period_s"])
        self._subscribe: dict[str, SubscriptionSettings] = parse_all(
            SubscriptionSettings, settings["subscribe"], "subscribe"
        )
        self._poll: dict[str, Poll] = parse_all(Poll, settings.get("poll", {}), "poll")
        self._readings: dict[str, ReadingSettings] = parse_all(ReadingSettings, settings["state"], "state")
        self._publish: dict[str, Publication] = parse_all(Publication, settings["publish"], "publish")
        self._command: dict[str, CommandField] = parse_all(CommandField, settings["command"], "command")
        self._steps: tuple[Step, ...] = (
            *parse_list(Step, settings.get("reset", ()), "reset"),
            *parse_list(Step, settings.get("stop", ()), "stop"),
        )
        signs = list(parse_list(Condition, settings.get("require", ()), "require"))
        self._signs: list[Condition] = signs
        self._e_stop = settings.get("e_stop") and parse(Condition, settings["e_stop"], "e_stop")
        self.position = {**places_of(settings), **(start or {})}
        self._target, self._velocity = dict(self.position), dict.fromkeys(self.position, 0.0)
        self.taken, self.said = 0, list[tuple[str, dict[str, Any]]]()
        self.controllers: dict[str, bool] = {}
        self._join()

    def period(self) -> list[tuple[str, dict[str, Any], bool]]:
        """One control period. What to publish: topic, message, latched or not."""
        step = SPEED * self._period_s
        with self._lock:
            for name, target in self._target.items():
                moved = float(np.clip(target - self.position[name], -step, step))
                self.position[name] += moved
                self._velocity[name] = moved / self._period_s
            header = {"stamp": self._graph.clock.stamp(), "frame_id": ""}
            return [(topic, self._joint_state(topic, header), False) for topic in self._subscribe]

    def signs(self) -> list[tuple[str, dict[str, Any], bool]]:
        """What is published once, for whoever comes later: that all is well, and the robot's description."""
        said = [(sign.topic, at_path(sign.path, sign.value, zero(sign.type, self._now)), True) for sign in self._signs]
        if self._e_stop is not None:
            said.append((self._e_stop.topic, zero(self._e_stop.type, self._now), True))
        return [*said, ("/robot_description", {"data": self.urdf()}, True)]

    def urdf(self) -> str:
        """A description with these joints and limits."""
        text = ['<robot name="joints"><link name="base"/>']
        for one in self._command.values():
            kind = "prismatic" if one.unit == "m" else "revolute"
            for name, low, high in zip(one.names, one.low, one.high, strict=True):
                limit = f'<limit lower="{low}" upper="{high}" velocity="{2 * SPEED}" effort="10"/>'
                text.append(f'<joint name="{name}" type="{kind}">{limit}</joint>')
        return "".join([*text, "</robot>"])

    def _now(self) -> dict[str, int]:
        return self._graph.clock.stamp()

    def _join(self) -> None:
        graph = self._graph
        for topic, one in self._subscribe.items():
            graph.advertise(topic, one.type, NODE)
        for sign in (*self._signs, *([self._e_stop] if self._e_stop is not None else [])):
            graph.advertise(sign.topic, sign.type, NODE)
        graph.advertise("/robot_description", "std_msgs/String", NODE)
        graph.parameters["/robot_description"] = self.urdf()
        for service, poll in self._poll.items():
            graph.serve(service, poll.type, self._teller(service))
        for topic, publication in self._publish.items():
            graph.listen(topic, publication.type, NODE, self, self._taker(topic, publication))
        for step in self._steps:
            if step.say is not None:
                graph.listen(step.say.topic, step.say.type, NODE, object(), self._hearer(step.say.topic))
            elif step.call is not None:
                graph.serve(step.call.service, step.call.type or "std_srvs/Trigger", self._succeed)
            elif step.switch is not None:
                self.controllers |= {**dict.fromkeys(step.switch.stop, True), **dict.fromkeys(step.switch.start, False)}
                manager, package = step.switch.manager, "controller_manager_msgs"
                graph.serve(f"{manager}/list_controllers", f"{package}/ListControllers", self._list_controllers)
                graph.serve(f"{manager}/switch_controller", f"{package}/SwitchController", self._switch_controllers)

    def _joint_state(self, topic: str, header: Mapping[str, Any]) -> dict[str, Any]:
        """All joints that are read from this topic, in an order of its own."""
        names = sorted({name for one in self._readings.values() if one.topic == topic for name in one.names})
        return {
            "header": header,
            "name": names,
            "position": [self.position[name] for name in names],
            "velocity": [self._velocity[name] for name in names],
            "effort": [0.0] * len(names),
        }

    def _teller(self, service: str) -> Handler:
        """What is polled there, in the order of the robot's joints."""
        read = [one for one in self._readings.values() if one.topic == service]

        async def tell(args: Mapping[str, Any]) -> dict[str, Any]:
            with self._lock:
                kinds = {"position": self.position, "velocity": self._velocity}
                return {one.path: [kinds.get(one.path, {}).get(name, 0.0) for name in one.labels] for one in read}

        return tell

    def _taker(self, topic: str, publication: Publication) -> Any:
        names = [name for one in self._command.values() if one.topic == topic for name in one.names]

        def take(message: dict[str, Any]) -> None:
            told, values = targets_of(publication, message, names)
            if sorted(told) != sorted(names) or len(values) != len(names):
                return  # as a controller: in silence
            with self._lock:
                self.taken += 1
                self._target.update(zip(told, values, strict=True))

        return take

    def _hearer(self, topic: str) -> Any:
        return lambda message: self.said.append((topic, message))

    async def _succeed(self, args: Mapping[str, Any]) -> dict[str, Any]:
        return {"success": True, "message": ""}

    async def _list_controllers(self, args: Mapping[str, Any]) -> dict[str, Any]:
        words = ("inactive", "active") if self._graph.ros == 2 else ("stopped", "running")
        listed = [
            {"name": name, "state": words[on], "required_command_interfaces": self._claimed(name)}
            for name, on in self.controllers.items()
        ]
        return {"controller": listed}

    def _claimed(self, controller: str) -> list[str]:
        fields = [one for one in self._command.values() if f"/{controller}/" in one.topic]
        return [f"{name}/position" for one in fields for name in one.names]

    async def _switch_controllers(self, args: Mapping[str, Any]) -> dict[str, Any]:
        words = ("activate", "deactivate") if self._graph.ros == 2 else ("start", "stop")
        start, stop = (args.get(f"{word}_controllers", []) for word in words)
        self.controllers |= {**dict.fromkeys(start, True), **dict.fromkeys(stop, False)}
        return {"ok": True}


def places_of(settings: Mapping[str, Any]) -> dict[str, float]:
    """Where each joint stands at first: the home of its reset, else the middle of the range of its command."""
    steps: tuple[Step, ...] = parse_list(Step, settings.get("reset", ()), "reset")
    commands: dict[str, CommandField] = parse_all(CommandField, settings["command"], "command")
    readings: dict[str, ReadingSettings] = parse_all(ReadingSettings, settings["state"], "state")
    homes = [step.home.target for step in steps if step.home is not None]
    places: dict[str, float] = {}
    for field, one in commands.items():
        middle = [(low + high) / 2 for low, high in zip(one.low, one.high, strict=True)]
        places.update(zip(one.names or one.labels, homes[0][field] if homes else middle, strict=True))
    for reading in readings.values():
        for name in reading.names or reading.labels:
            places.setdefault(name, 0.0)
    return places


def targets_of(publication: Publication, message: dict[str, Any], names: list[str]) -> tuple[list[str], list[float]]:
    """Joints and values of one command message."""
    if publication.type == TRAJECTORY:
        part = publication.part or PARTS[TRAJECTORY][0]
        return message["joint_names"], message["points"][0][part] if message["points"] else []
    if publication.type == JOINT_STATE:
        return message["name"], message[publication.part or PARTS[JOINT_STATE][0]]
    return names, message["data"]


def at_path(path: str, value: object, message: dict[str, Any]) -> dict[str, Any]:
    """The message with this value at a dotted path."""
    *way, last = path.split(".")
    inner = message
    for part in way:
        inner = inner[part]
    inner[last] = value
    return message
