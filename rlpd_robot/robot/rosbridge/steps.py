"""What a reset or a stop does, step by step: services, words on topics, controllers, a slow way home."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.rosbridge.connection import Answer, Connection
from rlpd_robot.robot.rosbridge.messages import find, to_time
from rlpd_robot.robot.rosbridge.settings import Call, CommandField, Home, Say, Step, Switch

_STRICT = 2  # controller_manager_msgs: all or nothing
_RUNNING = ("running", "active")  # ROS 1 and ROS 2
SEED = "{seed}"
"""In the arguments of a service: the seed of the reset, -1 for none."""


class Robot:
    """What steps need of the driver.

    Attributes:
        connection: the present one.
        ros: version.
        peer, address: for errors.
    """

    connection: Connection
    ros: int
    peer: str
    address: str

    def say(self, say: Say) -> None:
        """Say this once, now."""
        raise NotImplementedError

    def follow(self, values: NDArray[np.float64]) -> None:
        """Send this command (C,), within the range."""
        raise NotImplementedError

    def measured(self, deadline_s: float) -> NDArray[np.float64]:
        """(C,) where the robot stands, in command units, from a state not seen before."""
        raise NotImplementedError


def run(
    steps: Sequence[Step], robot: Robot, seed: int | None, deadline_s: float, home: Mapping[int, "HomePath"]
) -> None:
    """Carry out all steps in order.

    Raises:
        PeerTimeoutError, PeerRefusedError: one of them failed; those after it were not begun.
    """
    for i, step in enumerate(steps):
        if step.call is not None:
            _call(step.call, robot, seed, deadline_s)
        elif step.say is not None:
            robot.say(step.say)
        elif step.switch is not None:
            _switch(step.switch, robot, deadline_s)
        else:
            home[i].go(robot, deadline_s)


def request(call: Call, seed: int | None) -> dict[str, Any]:
    """The arguments, with the seed in its place."""
    number = -1 if seed is None else seed
    return {key: number if value == SEED else value for key, value in call.args.items()}


def _call(call: Call, robot: Robot, seed: int | None, deadline_s: float) -> None:
    answer = robot.connection.call(call.service, request(call, seed))
    values = _answer(answer, call.service, call.timeout_s, robot, deadline_s)
    if call.ok and find(values, call.ok, f"service {call.service}") is not True:
        raise PeerRefusedError(f"Service '{call.service}' of the {robot.peer}", str(values)[:200])


def _answer(answer: Answer, service: str, timeout_s: float, robot: Robot, deadline_s: float) -> Mapping[str, Any]:
    started_s = time.monotonic()
    found = answer.wait(min(timeout_s, deadline_s - started_s))
    if found is None:
        waited_s = round(time.monotonic() - started_s, 1)
        raise PeerTimeoutError(f"service '{service}'", robot.address, waited_s, "See whether its node still runs.")
    good, values = found
    if not good:
        raise PeerRefusedError(f"Service '{service}' of the {robot.peer}", str(values)[:200])
    return values if isinstance(values, dict) else {}


def _switch(switch: Switch, robot: Robot, deadline_s: float) -> None:
    """Have these controllers running and those not; nothing is asked for that is so already."""
    states = _controllers(switch, robot, deadline_s)
    unknown = [name for name in switch.start if name not in states]
    if unknown:
        raise PeerRefusedError(f"The {robot.peer}", f"{switch.manager} has no {unknown}, only {sorted(states)}")
    start = [name for name in switch.start if states[name] not in _RUNNING]
    stop = [name for name in switch.stop if states.get(name) in _RUNNING]
    if not start and not stop:
        return
    service = f"{switch.manager}/switch_controller"
    words = ("activate", "deactivate", "activate_asap") if robot.ros == 2 else ("start", "stop", "start_asap")
    timeout: Any = to_time(switch.timeout_s, 2) if robot.ros == 2 else switch.timeout_s
    args = {f"{words[0]}_controllers": start, f"{words[1]}_controllers": stop, words[2]: True}
    answer = robot.connection.call(service, {**args, "strictness": _STRICT, "timeout": timeout})
    values = _answer(answer, service, switch.timeout_s, robot, deadline_s)
    states = _controllers(switch, robot, deadline_s)
    still = [name for name in switch.start if states.get(name) not in _RUNNING]
    still += [name for name in switch.stop if states.get(name) in _RUNNING]
    if values.get("ok") is not True or still:
        raise PeerRefusedError(f"The {robot.peer}", f"{service} left {still or start + stop} as they were: {states}")


def _controllers(switch: Switch, robot: Robot, deadline_s: float) -> dict[str, str]:
    """State of each controller by name."""
    service = f"{switch.manager}/list_controllers"
    values = _answer(robot.connection.call(service, {}), service, switch.timeout_s, robot, deadline_s)
    listed = values.get("controller", [])
    return {str(one.get("name")): str(one.get("state")) for one in listed if isinstance(one, dict)}


class HomePath:
    """The straight way from where the robot stands to its home.

    Args:
        settings: of the step.
        fields: of the command; each must be measured.
        low, high: (C,) command range.
        key: of the setting, for errors.
        clock: monotonic time [s].

    Raises:
        ConfigError: a field is not measured, the home is not one of all fields, or out of range.
    """

    def __init__(
        self,
        settings: Home,
        fields: Mapping[str, CommandField],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        key: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        unmeasured = [name for name, one in fields.items() if one.measured is None]
        if unmeasured:
            raise ConfigError(key, unmeasured, "of fields whose `measured` names the state field that measures them")
        sizes = {name: len(values) for name, values in settings.target.items()}
        if sizes != {name: len(one.low) for name, one in fields.items()}:
            raise ConfigError(f"{key}.target", sizes, f"all of { ({n: len(f.low) for n, f in fields.items()}) }")
        self._goal = np.concatenate([np.asarray(settings.target[name], np.float64) for name in fields])
        if not ((low <= self._goal) & (self._goal <= high)).all():
            raise ConfigError(f"{key}.target", self._goal.tolist(), "inside the command range")
        self._settings, self._low, self._high, self._clock = settings, low, high, clock

    def go(self, robot: Robot, deadline_s: float) -> None:
        """Move there, one command a state.

        Raises:
            PeerTimeoutError: it was not there in time.
        """
        start, started_s = np.clip(robot.measured(deadline_s), self._low, self._high), self._clock()
        way_s = float(np.abs(self._goal - start).max()) / self._settings.speed
        while True:
            now = self._clock()
            share = min(1.0, (now - started_s) / way_s) if way_s > 0 else 1.0
            robot.follow(start + share * (self._goal - start))
            off = np.abs(robot.measured(deadline_s) - self._goal).max()
            if share >= 1.0 and off <= self._settings.tolerance:
                return
            if self._clock() > deadline_s:
                raise PeerTimeoutError(
                    "the robot's way home",
                    robot.address,
                    round(self._clock() - started_s, 1),
                    f"It is still {off:.3g} away; {self._settings.tolerance:g} is allowed.",
                )
