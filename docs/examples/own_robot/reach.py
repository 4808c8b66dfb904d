"""A task for it: bring every joint within 0.05 rad of a goal, and stay there."""

import numpy as np

from rlpd_robot.errors import SpecError
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState


class Reach:
    """Methods as in `rlpd_robot.robot.task.Task`."""

    observation_size = 3

    def __init__(self, name: str, goal: list[float], horizon: int) -> None:
        self.name, self.goal, self.horizon = name, np.array(goal), horizon  # goal [rad], horizon [control periods]

    def check(self, spec: RobotSpec) -> None:
        if spec.state_field("joint_position").shape != self.goal.shape:
            raise SpecError(f"Robot '{spec.name}'", "it has other joints", f"{len(self.goal)} of them")

    def observe(self, state: RobotState) -> np.ndarray:
        return (state.values["joint_position"] - self.goal).astype(np.float32)

    def success(self, state: RobotState) -> bool:
        return bool(np.abs(self.observe(state)).max() < 0.05)

    def reward(self, state: RobotState, action: np.ndarray, next_state: RobotState) -> float:
        return float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        return False
