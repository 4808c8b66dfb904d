"""The least task: bring every commanded joint near one place of its range. For any robot that measures its joints."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

Floats = NDArray[np.float32]

_PLACES = ("rad", "m")


class JointTargetTask:
    """Implements `Task` and `RelabellingTask`. Reward: success - 1, in each control period; no terminal.

    The observation (2·C,) has, for each commanded joint, where it is and how far it is from its target, as parts of its
    command range: the same for a finger and for an arm. Which reading is a joint's is seen by name and unit. How many
    there are is known once `check` has seen the robot.

    Args:
        name: of the task.
        at: where each joint shall be, 0 the low end of its command range and 1 the high one; a number, or (C,).
        within: largest distance of any joint [part of the range].
        horizon: longest episode [control periods].

    Raises:
        ConfigError: a place outside the range, a distance that is none.
    """

    def __init__(self, name: str, at: float | Sequence[float], within: float, horizon: int) -> None:
        self.name, self.horizon, self.observation_size = name, horizon, 0
        self._at = np.atleast_1d(np.asarray(at, np.float64))
        if self._at.ndim != 1 or not ((self._at >= 0) & (self._at <= 1)).all():
            raise ConfigError("task.at", at, "a number from 0 to 1, or a list of them, one for each commanded joint")
        if not 0 < within < 1:
            raise ConfigError("task.within", within, "between 0 and 1")
        self._within = float(within)
        self._places: list[tuple[str, int]] = []

    def check(self, spec: RobotSpec) -> None:
        """See `Task.check`."""
        self._places = [_measured(spec, field, i) for field in spec.command for i in range(field.size)]
        count = spec.command_size
        if len(self._at) not in (1, count):
            received = f"task.at has {len(self._at)} numbers"
            raise SpecError(f"Robot '{spec.name}'", received, f"one, or {count}: one for each commanded joint")
        self._low, self._range = spec.command_low, spec.command_high - spec.command_low
        self._target = np.broadcast_to(self._at, (count,)).astype(np.float32)
        self.observation_size = 2 * count

    def observe(self, state: RobotState) -> Floats:
        """(2·C,) places, then distances to the target [part of the range]."""
        read = [float(state.values[name].flat[i]) for name, i in self._places]
        places = ((np.array(read, np.float64) - self._low) / self._range).astype(np.float32)
        return np.concatenate([places, self._target - places])

    def success(self, state: RobotState) -> bool:
        """Whether every joint is near its target."""
        return self.success_from_observation(self.observe(state))

    def reward(self, state: RobotState, action: Floats, next_state: RobotState) -> float:
        """0 near the target, else -1."""
        return float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """Never: the horizon ends an episode, or a person."""
        return False

    def success_from_observation(self, observation: Floats) -> bool:
        """See `RelabellingTask`."""
        return bool((np.abs(observation[len(observation) // 2 :]) <= self._within).all())

    def reward_from_observations(self, observation: Floats, action: Floats, next_observation: Floats) -> float:
        """See `RelabellingTask`."""
        return float(self.success_from_observation(next_observation)) - 1.0


def _measured(spec: RobotSpec, command: Field, i: int) -> tuple[str, int]:
    """State field and element that measure this element of the command: by name and unit, else by unit and size."""
    joint = command.labels[i] if command.labels else f"{command.name}[{i}]"
    if command.unit not in _PLACES:
        raise SpecError(f"Robot '{spec.name}'", f"'{joint}' is commanded in {command.unit}", "targets in rad or m")
    fields = [f for f in spec.state if f.unit == command.unit]
    for field in fields:
        if joint in field.labels:
            return field.name, field.labels.index(joint)
    alike = [f for f in fields if f.size == command.size and not (f.labels and command.labels)]
    if len(alike) != 1:
        known = [label for f in fields for label in f.labels] or [f.name for f in fields]
        raise SpecError(f"Robot '{spec.name}'", f"it measures no '{joint}' in {command.unit}", f"it among {known}")
    return alike[0].name, i
