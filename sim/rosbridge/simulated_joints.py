"""A robot of joints behind rosbridge, for dry runs: topics and controllers of its file, `sim.joints` and faults.

It follows as robots of ros2_control do, which have no watchdog of their own: whoever commands, from the start on; the
newest of the commands that wait; none with a stamp that is too old, where its commands bear any; and when no more come
it holds its last target, for ever. The book says so (`Outcome.IDLE`), and likewise when it is told to stay where it is.
A stop of its own shows in the topics that its file requires, or that tell of the e-stop; where it has none, in nothing.
"""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import CommandBook, Outcome
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.rosbridge.driver import layout_of
from rlpd_robot.robot.rosbridge.settings import JOINT_STATE, TRAJECTORY, TWIST, Condition, Publication
from rlpd_robot.spec import RobotSpec
from sim.faults.events import EmergencyStop
from sim.faults.robot import FaultyRobot
from sim.joints import JointsRobot, Quantity
from sim.rosbridge.graph import Graph, Handler
from sim.rosbridge.joints_node import JointsNode, at_path, targets_of
from sim.rosbridge.message_types import zero

Message = tuple[str, dict[str, Any], bool]

OWN_PERIOD_S = 0.01
"""About so often it moves and tells of itself, where its control period is longer."""

_HISTORY = 64  # remembered states
_HUNG = 10  # periods of its own without a motion
_ROUNDING = 1e-9
_TOLD = 300  # remembered readings: a hold that was long under way is one all the same
_SIGNS_S = 0.5


@dataclass(frozen=True, eq=False)
class _Told:
    """Of one field: the newest values, the state that they answer, and until when they may be followed [s]."""

    values: NDArray[np.float64]
    answers: int
    until_s: float


def states_per_period(period_s: float) -> int:
    """States that it tells in one control period."""
    return max(1, round(period_s / OWN_PERIOD_S))


def own_spec(recipe: Mapping[str, Any]) -> RobotSpec:
    """What the robot of this driver is, at its own rate: elements are called as its messages call the joints.

    Raises:
        ConfigError: something of it is no joint.
    """
    spec, settings = layout_of(recipe).spec, recipe
    kinds = {topic: one["type"] for topic, one in (settings.get("subscribe") or {}).items()}
    for name, one in settings["state"].items():
        if kinds.get(one["topic"], JOINT_STATE) != JOINT_STATE or one["path"] not in get_args(Quantity):
            what = f"{one['path']} of {kinds.get(one['topic'], 'a service')}"
            expected = f"of joints, {' or '.join(get_args(Quantity))} of {JOINT_STATE} (dry_run.stand_in names another)"
            raise ConfigError(f"robot.driver.state.{name}", what, expected)
    for topic, publication in settings["publish"].items():
        if publication["type"] == TWIST:
            raise ConfigError(
                f"robot.driver.publish.{topic}", TWIST, "commands of joints (dry_run.stand_in names another stand-in)"
            )

    def names(group: str, name: str) -> tuple[str, ...]:
        one = settings[group][name]
        return tuple(one.get("names") or one.get("labels") or ())

    return replace(
        spec,
        period_s=spec.period_s / states_per_period(spec.period_s),
        state=tuple(replace(f, labels=names("state", f.name)) for f in spec.state),
        command=tuple(replace(f, labels=names("command", f.name)) for f in spec.command),
    )


class SimulatedJoints(JointsNode):
    """One robot in a graph. Two threads: the robot's calls `period`, the graph's delivers commands.

    Args:
        settings: what stands under `robot.driver` in its file.
        graph: that it takes part in; not yet served.
        robot: that moves, of `own_spec(settings)`.
        now: monotonic time [s].
        book: what becomes of each command; none: nobody writes it down.
        tells: what the robot's clock says at a monotonic time [s], where that is another.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        graph: Graph,
        robot: JointsRobot | FaultyRobot,
        now: Callable[[], float],
        book: CommandBook | None = None,
        tells: Callable[[float], float] = float,
    ) -> None:
        self._robot, self._clock, self._book, self._tells = robot, now, book, tells
        self._fresh_s = FRESH_PERIODS * float(settings["period_s"])
        names = {f.name: f.labels for f in robot.spec.command}
        starts = np.cumsum([0, *(len(one) for one in names.values())])
        self._slices = {name: slice(starts[i], starts[i + 1]) for i, name in enumerate(names)}
        holding = [(self._slices[name], settings["command"][name].get("measured")) for name in names]
        self._holding = [(part, field) for part, field in holding if field is not None]
        self._told: deque[NDArray[np.float64]] = deque(maxlen=_TOLD)
        self._values: NDArray[np.float64] | None = None  # of the last command
        self._waiting: dict[str, _Told] = {}  # by field
        self._came: Counter[str] = Counter()  # messages since then, by topic
        self._measured: deque[tuple[float, int]] = deque(maxlen=_HISTORY)
        self._number, self._sequence = 0, -1
        self._heard_s, self._idle, self._stopped, self._signed_s = now(), False, "", 0.0
        self._asked_to_stop, self._moved_s = False, now()
        self._readings_now = {name: np.asarray(value) for name, value in robot.read().items()}
        stops = settings.get("stop") or ()
        self._stop_words = {step["say"]["topic"] for step in stops if "say" in step}
        super().__init__(settings, graph)
        for step in stops:
            if "call" in step:
                call = step["call"]
                graph.serve(call["service"], call.get("type") or "std_srvs/Trigger", self._stop_service)
        self._rest()

    def period(self) -> list[Message]:
        """`move`, then `tell`."""
        self.move()
        return self.tell()

    def move(self) -> None:
        """One period of its own: follow and move."""
        with self._lock:
            self._follow()
        self._robot.advance()

    def tell(self) -> list[Message]:
        """Measure. What to publish: topic, message, latched or not."""
        with self._lock:
            stopped = str(getattr(self._robot, "stopped_because", ""))
            if stopped and not self._stopped:
                self._rest()
            changed, self._stopped = bool(stopped) != bool(self._stopped), stopped
            self._sequence += 1
            self._moved_s = measured_s = self._clock()
            self._readings_now = {name: np.asarray(value) for name, value in self._robot.read().items()}
            self._measured.append((measured_s, self._sequence))
            self._told.append(
                np.concatenate([self._readings_now[field] for _, field in self._holding] or [np.zeros(0)])
            )
            header = {"stamp": self._graph.clock.stamp(self._tells(measured_s)), "frame_id": ""}
            messages: list[Message] = [(topic, self._joint_state(topic, header), False) for topic in self._subscribe]
        if changed or measured_s > self._signed_s + _SIGNS_S:
            self._signed_s = measured_s
            messages = [*self.signs(), *messages]
        return messages

    def signs(self) -> list[Message]:
        """What its file requires: that all is well, or that it is not."""
        if not self._stopped:
            return super().signs()
        said = []
        for sign in self._signs:
            said.append((sign.topic, at_path(sign.path, _other(sign.value), zero(sign.type, self._now)), True))
        if self._e_stop is not None:
            said.append((self._e_stop.topic, self._pressed(self._e_stop), True))
        return said

    def halt(self) -> None:
        """The process ends."""
        with self._lock:
            self._robot.stop()

    def _pressed(self, sign: Condition) -> dict[str, Any]:
        message: dict[str, Any] = zero(sign.type, self._now)
        pressed = isinstance(self._robot, FaultyRobot) and self._robot.plan.active(EmergencyStop)
        return at_path(sign.path, sign.value, message) if pressed else message

    def _follow(self) -> None:
        """Take over the newest of what waits; or notice that nothing comes any more."""
        now = self._clock()
        if self._asked_to_stop:
            self._asked_to_stop = False
            self._robot.stop()
            self._rest()
        if not self._waiting:
            if not self._idle and now - self._heard_s > self._fresh_s and self._comes_to_rest(self._values):
                self._rest()
            return
        waiting, self._waiting = self._waiting, {}
        fresh = {name: told for name, told in waiting.items() if now <= told.until_s}
        if not fresh:
            self._came.clear()
            self._note(Outcome.STALE, answers=next(iter(waiting.values())).answers)
            return
        values = np.full(self._robot.spec.command_size, np.nan) if self._values is None else self._values.copy()
        for name, told in fresh.items():
            values[self._slices[name]] = told.values
        answers, self._heard_s, self._idle = max(told.answers for told in fresh.values()), now, False
        self._number += max(self._came.values())
        self._came.clear()
        if self._stopped:
            self._note(Outcome.NOT_RESET, values, answers)
        elif not np.isnan(values).any():  # a first message of two does not say where all joints are to go
            self._robot.write(values)
            self._idle = self._is_hold(values)
            self._note(Outcome.IDLE if self._idle else Outcome.EXECUTED, values, answers)
        self._values = values

    def _is_hold(self, values: NDArray[np.float64]) -> bool:
        """Whether this tells it to stay where it has just told that it is."""
        if not self._holding or not self._told or not self._comes_to_rest(values):
            return False
        places = np.concatenate([values[part] for part, _ in self._holding])
        return bool((np.abs(np.array(self._told) - places) <= _ROUNDING).all(axis=1).any())

    def _comes_to_rest(self, values: NDArray[np.float64] | None) -> bool:
        """Whether a robot that is told this, and nothing more, comes to rest: no rate and no effort."""
        fields = zip(self._robot.spec.command, self._slices.values(), strict=True)
        rates = [part for field, part in fields if field.unit not in ("rad", "m")]
        return values is None or not any(np.nan_to_num(values[part]).any() for part in rates)

    def _rest(self) -> None:
        self._idle = True
        self._note(Outcome.IDLE)

    def _joint_state(self, topic: str, header: Mapping[str, Any]) -> dict[str, Any]:
        """All joints that are read from this topic, in an order of its own."""
        read = {name: one for name, one in self._readings.items() if one.topic == topic}
        names = sorted({joint for one in read.values() for joint in one.names})
        told = {quantity: dict.fromkeys(names, 0.0) for quantity in get_args(Quantity)}
        for name, one in read.items():
            told[one.path].update(zip(one.names, (self._readings_now[name] / one.scale).tolist(), strict=True))
        return {"header": header, "name": names, **{q: list(values.values()) for q, values in told.items()}}

    def _teller(self, service: str) -> Handler:
        """What is polled there, in the order of the robot's joints."""
        read = {name: one for name, one in self._readings.items() if one.topic == service}

        async def tell(args: Mapping[str, Any]) -> dict[str, Any]:
            while self._clock() - self._moved_s > _HUNG * self._robot.spec.period_s:
                await asyncio.sleep(self._robot.spec.period_s)  # a process that hangs answers nobody
            with self._lock:
                return {one.path: (self._readings_now[name] / one.scale).tolist() for name, one in read.items()}

        return tell

    def _taker(self, topic: str, publication: Publication) -> Any:
        fields = {name: one for name, one in self._command.items() if one.topic == topic}
        names = [joint for one in fields.values() for joint in one.names or one.labels]

        ends_s = publication.time_from_start * self._period_s
        late_s = ends_s if publication.type == TRAJECTORY else self._fresh_s  # a trajectory that ends in the past

        def take(message: dict[str, Any]) -> None:
            told, numbers = targets_of(publication, message, names)
            controllers = [name for name in self.controllers if topic.startswith(f"/{name}/")]
            if controllers and not any(self.controllers[name] for name in controllers):
                return  # nobody is there who would follow
            stamp = message.get("header", {}).get("stamp")
            age_s = self._graph.clock.age_s(stamp) if stamp is not None and publication.stamp == "robot" else None
            with self._lock:
                if sorted(told) != sorted(names) or len(numbers) != len(names):
                    self._note(Outcome.INVALID)  # as a controller: it tells nobody
                    return
                sent_s = self._clock() - (age_s or 0.0)
                until_s = sent_s + late_s if age_s is not None else math.inf
                self.taken += 1
                self._came[topic] += 1
                by_name = dict(zip(told, numbers, strict=True))
                for name, one in fields.items():
                    own = one.names or one.labels
                    values = np.array([by_name[joint] for joint in own]) / one.scale
                    self._waiting[name] = _Told(values, self._newest_at(sent_s), until_s)

        return take

    def _hearer(self, topic: str) -> Any:
        def hear(message: dict[str, Any]) -> None:
            self.said.append((topic, message))
            if topic in self._stop_words:
                self._ask_to_stop()

        return hear

    async def _stop_service(self, args: Mapping[str, Any]) -> dict[str, Any]:
        self._ask_to_stop()
        return await self._succeed(args)

    def _ask_to_stop(self) -> None:
        """By its own word for it, or service: what was told before it no longer counts."""
        with self._lock:
            self._waiting.clear()
            self._asked_to_stop = True

    def _newest_at(self, at_s: float) -> int:
        """Number of the newest state at this time; -1: there was none that is remembered."""
        return next((number for measured_s, number in reversed(self._measured) if measured_s <= at_s), -1)

    def _note(self, outcome: Outcome, values: NDArray[np.float64] | None = None, answers: int = -1) -> None:
        if self._book is not None:
            self._book.add(outcome, "rosbridge", self._number, answers, self._sequence, values)


def _other(value: object) -> object:
    """Anything but this."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"not {value}"
