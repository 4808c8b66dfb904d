"""What recording adds to a task: it notes the states that pass, and lets a person judge in the task's place."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import ActionMap, Task
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState

_STRIDE = 16  # of the pixels by which a new camera frame is known


class Rates:
    """How often states and camera frames come.

    Args:
        spec: of the robot; its camera fields are those of uint8 with two or more dimensions.
        clock: monotonic [s].
    """

    def __init__(self, spec: RobotSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self._cameras = [f.name for f in spec.state if f.dtype == "uint8" and len(f.shape) >= 2]
        self._clock = clock
        self._counts = dict.fromkeys(("states", *self._cameras), 0)
        self._last: dict[str, bytes] = {}
        self._since, self._before = clock(), dict(self._counts)

    def add(self, state: RobotState) -> None:
        """One state; a camera counts where its picture differs from the one before."""
        self._counts["states"] += 1
        for name in self._cameras:
            seen = state.values[name][::_STRIDE, ::_STRIDE].tobytes()
            self._counts[name] += seen != self._last.get(name)
            self._last[name] = seen

    def take(self) -> dict[str, float]:
        """By name, "states" and the cameras, the rate since the last call [1/s]."""
        now, counts = self._clock(), dict(self._counts)
        seconds = max(now - self._since, 1e-6)
        rates = {name: (counts[name] - self._before[name]) / seconds for name in counts}
        self._since, self._before = now, counts
        return rates


class WatchedTask:
    """A task whose states are noted; with `judged`, a person's word decides about success and reward.

    Args:
        task: checked against the robot.
        rates: is given each state.
        succeeded: whether a person has said so, of the transition under way; None: the task judges.
    """

    def __init__(self, task: Task, rates: Rates, succeeded: Callable[[], bool] | None = None) -> None:
        self.name, self.observation_size, self.horizon = task.name, task.observation_size, task.horizon
        self.check = task.check
        self._task, self._rates, self._succeeded = task, rates, succeeded
        self.state: RobotState | None = None

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """As the task."""
        self.state = state
        self._rates.add(state)
        return self._task.observe(state)

    def success(self, state: RobotState) -> bool:
        """As the task, or as the person said."""
        return bool(self._task.success(state)) if self._succeeded is None else self._succeeded()

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """As the task; by a person's word, success - 1."""
        if self._succeeded is None:
            return self._task.reward(state, action, next_state)
        return float(self._succeeded()) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """As the task; where a person judges, the word alone ends an episode."""
        return self._succeeded is None and self._task.terminated(state)


class Stance:
    """The action that holds a robot where it stands after a reset.

    Args:
        spec: of the robot.
        limits: tell which state measures the command, where `safety.measured` says so.
        start: command after a reset, in command units: one number, or by field a number or a list; none: measured.
        needed: whether there must be one; otherwise it is the middle of the range, for sources that ignore it.

    Raises:
        ConfigError: neither `start` nor `safety.measured`; a field that is unknown or of another size.
    """

    def __init__(self, spec: RobotSpec, limits: SafetyLimits, start: object, needed: bool) -> None:
        self._map, self._measured = ActionMap.of(spec), limits.measured
        self._command: NDArray[np.float64] | None = None
        if start is not None:
            self._command = _command(spec, start)
        elif not limits.measured:
            if needed:
                expected = "the command that holds the robot after a reset, since safety.measured does not tell it"
                raise ConfigError("teleop.start", start, expected)
            self._command = (spec.command_low + spec.command_high) / 2

    def action(self, state: RobotState) -> NDArray[np.float32]:
        """(A,) for this state."""
        values = self._command
        if values is None:
            values = np.concatenate([state.values[name].ravel() for name in self._measured])
        return np.clip((values - self._map.middle) / self._map.half, -1.0, 1.0).astype(np.float32)


def _command(spec: RobotSpec, start: object) -> NDArray[np.float64]:
    parts = []
    if isinstance(start, Mapping) and set(start) != {f.name for f in spec.command}:
        raise ConfigError("teleop.start", dict(start), f"one of each of {[f.name for f in spec.command]}")
    for field in spec.command:
        given = start[field.name] if isinstance(start, Mapping) else start
        try:
            parts.append(np.broadcast_to(np.asarray(given, np.float64), (field.size,)))
        except (ValueError, TypeError) as error:
            raise ConfigError("teleop.start", given, f"a number or {field.size} for '{field.name}'") from error
    command = np.concatenate(parts)
    if not np.isfinite(command).all():
        raise ConfigError("teleop.start", start, "finite numbers")
    return command
