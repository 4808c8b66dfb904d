"""What a task makes of a robot: observation, reward and success from the state, and actions from commands.

A task is NumPy functions of the named state, so the same task runs in simulation and on a robot whose trackers report
the same fields.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError
from rlpd_robot.spec import ProblemSpec, RobotSpec
from rlpd_robot.types import Command, RobotState


class Task(Protocol):
    """A task on a robot.

    Attributes:
        name: its name in stores, summaries and handshakes.
        observation_size: O.
        horizon: longest episode [control periods].
    """

    name: str
    observation_size: int
    horizon: int

    def check(self, spec: RobotSpec) -> None:
        """Make sure that the robot measures what this task needs.

        Raises:
            SpecError: a field is missing or of another shape.
        """

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(O,) float32."""

    def success(self, state: RobotState) -> bool:
        """Whether the task is solved in this state."""

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """Reward of one transition, from the executed action (A,) in [-1, 1]."""

    def terminated(self, state: RobotState) -> bool:
        """Whether the episode truly ends here, so that no value follows. A time limit is not a terminal."""


@runtime_checkable
class RelabellingTask(Protocol):
    """What a task may offer beside `Task`: reward and success of what was observed elsewhere, without the state.

    Demonstrations of other programs hold observations only. A task whose observation does not show whether it is solved
    leaves these methods out, and its demonstrations then keep the rewards that they came with.
    """

    name: str
    observation_size: int

    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """Whether the task is solved in the state that gave this observation (O,)."""

    def reward_from_observations(
        self,
        observation: NDArray[np.float32],
        action: NDArray[np.float32],
        next_observation: NDArray[np.float32],
    ) -> float:
        """As `Task.reward`, from observations (O,) in the place of states."""


class CheckedTask:
    """A task whose numbers are finite, or else an error: NaN is tested first, and reaches neither policy nor store."""

    def __init__(self, task: Task) -> None:
        self.name, self.success, self.terminated = task.name, task.success, task.terminated
        self._task = task

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(O,) float32.

        Raises:
            DataError: a number of the state or of the observation is not finite.
        """
        for name, values in state.values.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise DataError(f"Robot state {state.sequence}", f"'{name}' holds a non-finite number", "finite values")
        observation = self._task.observe(state)
        if not np.isfinite(observation).all():
            index = int(np.argmin(np.isfinite(observation)))
            raise DataError(f"Observation of state {state.sequence}", f"element {index} is not finite", "finite values")
        return observation

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """Reward of one transition.

        Raises:
            DataError: it is not finite.
        """
        reward = float(self._task.reward(state, action, next_state))
        if not math.isfinite(reward):
            raise DataError(f"Reward of state {next_state.sequence}", f"it is {reward!r}", "a finite number")
        return reward


@dataclass(frozen=True)
class ActionMap:
    """The affine map between actions in [-1, 1] and commands within the robot's range. A == C.

    Attributes:
        low, high: (C,) ends of the command range, in the robot's units.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @staticmethod
    def of(spec: RobotSpec) -> "ActionMap":
        """The map onto the whole command range of this robot."""
        return ActionMap(spec.command_low, spec.command_high)

    @property
    def action_size(self) -> int:
        """A."""
        return len(self.low)

    @property
    def half(self) -> NDArray[np.float64]:
        """(C,) command units that one action unit stands for."""
        return (self.high - self.low) / 2

    @property
    def middle(self) -> NDArray[np.float64]:
        """(C,) the command of action 0."""
        return (self.high + self.low) / 2

    def to_command(self, action: NDArray[np.float32]) -> Command:
        """(A,) action → command. Not clipped: the safety filter sees what was asked for.

        Raises:
            DataError: another shape than (A,).
        """
        if action.shape != self.low.shape:
            raise DataError("Action", f"its shape is {action.shape}", f"{self.low.shape}")
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return Command(middle + half * action.astype(np.float64))

    def to_action(self, command: Command) -> NDArray[np.float32]:
        """Inverse of `to_command`; rounding past ±1 is cut off."""
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        return np.clip((command.values - middle) / half, -1.0, 1.0).astype(np.float32)


def problem_of(task: Task, spec: RobotSpec) -> ProblemSpec:
    """Robot and task in one description, after `task.check`.

    Raises:
        SpecError: the robot does not measure what the task needs.
    """
    task.check(spec)
    return ProblemSpec(
        robot=spec,
        task=task.name,
        observation_size=task.observation_size,
        action_size=spec.command_size,
        horizon=task.horizon,
    )
