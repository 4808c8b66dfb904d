"""A task from YAML alone: it observes named state fields, and is solved when some of them are near a goal.

For a first demonstration on a robot, and for tasks whose success a person judges (`record.judge=person`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState


class FieldsTask:
    """Implements `Task` and `RelabellingTask`. Reward: success - 1, in each control period; no terminal.

    Args:
        name: of the task.
        fields: state field → number of its elements; the observation is all of them, in this order.
        horizon: longest episode [control periods].
        goal: state field of `fields` → `{at: one number an element, within: largest distance of any}`, in the field's
            unit; empty: the task itself never sees success.

    Raises:
        ConfigError: no field, a size that is none, a goal of another field or size.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, int],
        horizon: int,
        goal: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not fields or not all(type(size) is int and size > 0 for size in fields.values()):
            raise ConfigError("task.fields", dict(fields), "state fields with the number of their elements")
        self.name, self.horizon, self._fields = name, horizon, dict(fields)
        self.observation_size = sum(fields.values())
        starts = np.cumsum([0, *fields.values()])
        self._slices = {field: slice(starts[i], starts[i + 1]) for i, field in enumerate(fields)}
        self._goal = [self._near(field, near) for field, near in (goal or {}).items()]

    def check(self, spec: RobotSpec) -> None:
        """See `Task.check`."""
        for name, size in self._fields.items():
            there = spec.state_field(name).size
            if there != size:
                raise SpecError(
                    f"Robot '{spec.name}'", f"its '{name}' has {there} elements", f"{size}, as task.fields says"
                )

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(O,) the fields, each in its own unit."""
        return np.concatenate([np.ravel(state.values[name]) for name in self._fields]).astype(np.float32)

    def success(self, state: RobotState) -> bool:
        """Whether every field of the goal is near it."""
        return self.success_from_observation(self.observe(state))

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """0 near the goal, else -1."""
        return float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """Never: the horizon ends an episode, or a person."""
        return False

    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """See `RelabellingTask`."""
        return bool(self._goal) and all(
            float(np.abs(observation[part] - at).max()) <= within for part, at, within in self._goal
        )

    def reward_from_observations(
        self, observation: NDArray[np.float32], action: NDArray[np.float32], next_observation: NDArray[np.float32]
    ) -> float:
        """See `RelabellingTask`."""
        return float(self.success_from_observation(next_observation)) - 1.0

    def _near(self, field: str, near: Mapping[str, Any]) -> tuple[slice, NDArray[np.float32], float]:
        key = f"task.goal.{field}"
        if field not in self._fields:
            raise ConfigError(key, field, f"one of the fields {', '.join(self._fields)}")
        if not isinstance(near, Mapping) or set(near) != {"at", "within"}:
            raise ConfigError(key, near, "a mapping of the keys at, within")
        try:
            at, within = np.asarray(near["at"], np.float32), float(near["within"])
        except (TypeError, ValueError) as error:
            raise ConfigError(key, near, "numbers in at and within") from error
        if at.shape != (self._fields[field],) or not np.isfinite(at).all() or not 0 < within < np.inf:
            raise ConfigError(key, dict(near), f"{self._fields[field]} finite numbers, and a positive distance")
        return self._slices[field], at, within
