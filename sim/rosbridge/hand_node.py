"""The simulated hand as a node of ROS: what it publishes, listens to and serves, much as a Shadow hand does.

| topic | type | what |
|---|---|---|
| /joint_states | sensor_msgs/JointState | every actuated joint, in alphabetical order |
| /tracker/scene | hand_msgs/DoorScene (PenScene, …), one of its own | palm and objects, as in one picture |
| /rh_trajectory_controller/state | control_msgs/JointTrajectoryControllerState | the targets that it follows |
| /hand/following | std_msgs/Bool, latched | whether it follows commands |
| /rh_trajectory_controller/command | trajectory_msgs/JointTrajectory | targets by name, one point; listened to |
| /joint_group_position_controller/command | std_msgs/Float64MultiArray | all targets in order; listened to |
| /joint_cmd | sensor_msgs/JointState | targets by name; listened to |
| /hand/e_stop | std_msgs/Bool | true stops the hand; listened to |

Services: /hand/reset (hand_msgs/Reset: int64 seed → bool success, string message), /hand/stop (std_srvs/Trigger), and
controller_manager's list_controllers and switch_controller.

The robot's own watchdog is that of `rlpd_robot/robot/motion.py`, as behind the robot link: the hand moves between a
reset and the next stop, and stops by itself when no fresh command has come for 2.5 periods. A command with a stamp is
fresh while that is no older; one without is taken to be of now, as real controllers do.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import CommandBook, Outcome
from rlpd_robot.robot.motion import FRESH_PERIODS, Motion, OwnLimits, Phase
from rlpd_robot.spec import Field
from sim.faults.robot import FaultyRobot
from sim.hand import AdroitHand
from sim.rosbridge.graph import Graph
from sim.rosbridge.message_types import HEADER, MessageError, define

NODE = "/hand"
JOINTS, STATE, COMMAND = "/joint_states", "/rh_trajectory_controller/state", "/rh_trajectory_controller/command"
GROUP_COMMAND, JOINT_COMMAND = "/joint_group_position_controller/command", "/joint_cmd"
FOLLOWING, E_STOP, SCENE = "/hand/following", "/hand/e_stop", "/tracker/scene"
RESET_SERVICE, STOP_SERVICE, MANAGER = "/hand/reset", "/hand/stop", "/controller_manager"

_TRAJECTORY_STATE = "control_msgs/JointTrajectoryControllerState"
_STOPS = 5
_HISTORY = 64  # remembered states


class Periodic(Protocol):
    """A robot's node that moves by its own clock."""

    def move(self) -> None:
        """One period, in the robot's thread."""

    def tell(self) -> list[tuple[str, dict[str, Any], bool]]:
        """Measure, in the thread that publishes: topic, message, latched or not."""


class HandNode:
    """One hand in a graph.

    Two threads: the robot's calls `move`; the graph's calls `tell`, delivers commands and calls services.

    Args:
        hand: the robot.
        graph: that it takes part in; not yet served.
        now: monotonic time [s].
        book: what becomes of each command; none: nobody writes it down. A command answers the state that was the newest
            when it was sent, by its stamp.
        tells: what the robot's clock says at a monotonic time [s], where that is another.

    Attributes:
        counts: what became of commands, by name.
        controllers: running or not, by name.
    """

    def __init__(
        self,
        hand: AdroitHand | FaultyRobot,
        graph: Graph,
        now: Callable[[], float],
        book: CommandBook | None = None,
        tells: Callable[[float], float] = float,
    ) -> None:
        self.counts = dict.fromkeys(("executed", "refused_stale", "refused_invalid", "refused_stopped", "own_stops"), 0)
        self.controllers = {"rh_trajectory_controller": True, "joint_group_position_controller": False}
        self._hand, self._graph, self._now, self._book, self._tells = hand, graph, now, book, tells
        self._measured: deque[tuple[float, int]] = deque(maxlen=_HISTORY)
        self._motion, self._limits = Motion(hand.spec, False, 0.0), OwnLimits(hand.spec, None)
        self._lock = threading.Lock()
        self._fresh_s = FRESH_PERIODS * hand.spec.period_s
        self._joints = [name for field in hand.spec.command for name in field.labels]
        self._order = sorted(range(len(self._joints)), key=lambda i: self._joints[i])
        self._sorted = [self._joints[i] for i in self._order]
        self._index = {name: i for i, name in enumerate(self._joints)}
        self._number = self._stopped = 0
        self._sequence = -1
        self._nothing = np.full(len(self._joints), np.nan)  # null on the wire: it follows no command
        self._target = self._nothing
        self._told: bool | None = None
        self._tracked = [f for f in hand.spec.state if not f.name.startswith(("joint_", "slide_"))]
        self._join()

    def period(self) -> list[tuple[str, dict[str, Any], bool]]:
        """`move`, then `tell`."""
        self.move()
        return self.tell()

    def move(self) -> None:
        """One control period: watch and move."""
        with self._lock:
            self._watch()
            self._hand.advance()
            if (why := self._own_stop) and self._motion.phase is not Phase.STOPPED:
                self._halt(why)

    def tell(self) -> list[tuple[str, dict[str, Any], bool]]:
        """Measure. What to publish: topic, message, latched or not."""
        with self._lock:
            self._sequence += 1
            measured_s = self._now()
            values = self._hand.read()
            self._measured.append((measured_s, self._sequence))
            target, following = self._target.copy(), self._motion.phase is Phase.FOLLOWING
        messages = self._messages(values, target, self._graph.clock.stamp(self._tells(measured_s)))
        if following != self._told:
            self._told = following
            messages.insert(0, (FOLLOWING, {"data": following}, True))
        return messages

    @property
    def _own_stop(self) -> str:
        """Why the robot has stopped by itself; "" while it has not."""
        return str(getattr(self._hand, "stopped_because", ""))

    def halt(self) -> None:
        """The process ends."""
        with self._lock:
            self._hand.stop()

    def _join(self) -> None:
        graph = self._graph
        published = {JOINTS: "sensor_msgs/JointState", STATE: _TRAJECTORY_STATE, FOLLOWING: "std_msgs/Bool"}
        if self._tracked:
            published[SCENE] = _scene_type(self._hand.spec.name, self._tracked)
        for topic, kind in published.items():
            graph.advertise(topic, kind, NODE)
        graph.listen(COMMAND, "trajectory_msgs/JointTrajectory", NODE, self, self._take_trajectory)
        graph.listen(GROUP_COMMAND, "std_msgs/Float64MultiArray", NODE, self, self._take_array)
        graph.listen(JOINT_COMMAND, "sensor_msgs/JointState", NODE, self, self._take_joints)
        graph.listen(E_STOP, "std_msgs/Bool", NODE, self, self._take_e_stop)
        graph.serve(RESET_SERVICE, "hand_msgs/Reset", self._serve_reset)
        graph.serve(STOP_SERVICE, "std_srvs/Trigger", self._serve_stop)
        graph.serve(f"{MANAGER}/list_controllers", "controller_manager_msgs/ListControllers", self._list_controllers)
        graph.serve(
            f"{MANAGER}/switch_controller", "controller_manager_msgs/SwitchController", self._switch_controllers
        )

    def _messages(
        self, values: Mapping[str, NDArray[Any]], target: NDArray[np.float64], stamp: dict[str, int]
    ) -> list[tuple[str, dict[str, Any], bool]]:
        header = {"stamp": stamp, "frame_id": "world"}
        both = ("slide_", "joint_") if "slide_position" in values else ("joint_",)
        position, velocity = (
            np.concatenate([values[f"{kind}{what}"] for kind in both])[self._order].tolist()
            for what in ("position", "velocity")
        )
        names = self._sorted
        joints = {"header": header, "name": names, "position": position, "velocity": velocity, "effort": []}
        zero = {
            **dict.fromkeys(("velocities", "accelerations", "effort"), ()),
            "time_from_start": dict.fromkeys(stamp, 0),
        }
        state = {
            "header": header,
            "joint_names": names,
            "desired": {**zero, "positions": target[self._order].tolist()},
            "actual": {**zero, "positions": position},
            "error": {**zero, "positions": ()},
        }
        scene = {"header": header, **{f.name: _tracked(values[f.name]) for f in self._tracked}}
        scenes = [(SCENE, scene, False)] if self._tracked else []
        return [*scenes, (STATE, state, False), (JOINTS, joints, False)]  # the one that paces comes last

    def _watch(self) -> None:
        now, motion = self._now(), self._motion
        if motion.overdue(now):
            motion.hold(now)
            self._target = self._nothing
            self.counts["own_stops"] += 1
            self._note(Outcome.HELD)
        if motion.phase is Phase.HOLDING and motion.ramp(now) is None:
            self._halt(motion.why)

    def _halt(self, why: str) -> None:
        self._stopped = self._stopped + 1 if self._motion.phase is Phase.STOPPED else 0
        self._motion.stop(why)
        self._target = self._nothing
        if self._stopped < _STOPS:
            self._hand.stop()
            self._note(Outcome.STOP)

    def _take_trajectory(self, message: dict[str, Any]) -> None:
        if message["points"]:
            self._take_named(message["joint_names"], message["points"][0]["positions"], message["header"]["stamp"])

    def _take_joints(self, message: dict[str, Any]) -> None:
        self._take_named(message["name"], message["position"], message["header"]["stamp"])

    def _take_array(self, message: dict[str, Any]) -> None:
        self._take(np.asarray(message["data"], np.float64), None)

    def _take_e_stop(self, message: dict[str, Any]) -> None:
        if message["data"]:
            with self._lock:
                self._halt("its e-stop topic said so")

    def _take_named(self, names: list[str], positions: list[float], stamp: Mapping[str, int]) -> None:
        """A trajectory controller refuses what does not name exactly its joints; like all of them, in silence."""
        if len(names) != len(positions) or sorted(names) != sorted(self._joints):
            self._take(np.empty(0), None)
            return
        values = np.zeros(len(self._joints))
        values[[self._index[name] for name in names]] = positions
        self._take(values, self._graph.clock.age_s(stamp))  # by its true clock

    def _take(self, values: NDArray[np.float64], age_s: float | None) -> None:
        with self._lock:
            now = self._now()
            self._number += 1
            answers = self._newest_at(now - (age_s or 0.0))
            if self._limits.problem(values) is not None:
                self.counts["refused_invalid"] += 1
                self._note(Outcome.INVALID, values, answers)
            elif self._motion.phase is not Phase.FOLLOWING:
                self.counts["refused_stopped"] += 1
                self._note(Outcome.NOT_RESET, values, answers)
            elif age_s is not None and age_s > self._fresh_s:
                self.counts["refused_stale"] += 1
                self._note(Outcome.STALE, values, answers)
            else:
                self._hand.write(values)
                self._motion.follow(self._number, values, now)
                self._target = values
                self.counts["executed"] += 1
                self._note(Outcome.EXECUTED, values, answers)

    def _newest_at(self, at_s: float) -> int:
        """Number of the newest state at this time; -1: there was none that is remembered."""
        return next((number for measured_s, number in reversed(self._measured) if measured_s <= at_s), -1)

    async def _serve_reset(self, args: Mapping[str, Any]) -> dict[str, Any]:
        seed = args.get("seed", -1)
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise MessageError("the request's seed must be an int64")
        with self._lock:
            if why := self._own_stop:
                return {"success": False, "message": f"it does not move before this is over: {why}"}
            self._hand.reset(None if seed < 0 else seed)
            self._motion.reset(self._now())
            self._stopped = 0
            self._target = self._nothing
            self._note(Outcome.RESET)
        return {"success": True, "message": ""}

    async def _serve_stop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._halt("its stop service was called")
        return {"success": True, "message": "stopped"}

    async def _list_controllers(self, args: Mapping[str, Any]) -> dict[str, Any]:
        words = ("inactive", "active") if self._graph.ros == 2 else ("stopped", "running")
        return {"controller": [{"name": name, "state": words[on]} for name, on in self.controllers.items()]}

    async def _switch_controllers(self, args: Mapping[str, Any]) -> dict[str, Any]:
        words = ("activate", "deactivate") if self._graph.ros == 2 else ("start", "stop")
        start, stop = (args.get(f"{word}_controllers", []) for word in words)
        ok = all(name in self.controllers for name in (*start, *stop))
        if ok:
            self.controllers |= {**dict.fromkeys(start, True), **dict.fromkeys(stop, False)}
        return {"ok": ok}

    def _note(self, outcome: Outcome, values: NDArray[np.float64] | None = None, answers: int = -1) -> None:
        if self._book is not None:
            self._book.add(outcome, "rosbridge", self._number, answers, self._sequence, values)


def _scene_type(robot: str, tracked: Iterable[Field]) -> str:
    """The type of a scene's messages: DoorScene of adroit_door."""
    name = robot.removeprefix("adroit_").title().replace("_", "")
    types = {(): "float64", (3,): "geometry_msgs/Vector3"}
    fields = {field.name: types.get(field.shape, "float64[]") for field in tracked}
    return define(f"hand_msgs/{name}Scene", {"header": HEADER, **fields})


def _tracked(value: NDArray[Any]) -> Any:
    if value.shape == (3,):
        return dict(zip("xyz", value.tolist(), strict=True))
    return value.tolist()  # a float, or a list of them
