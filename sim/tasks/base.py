"""What the four Adroit tasks share: sparse reward, no early end, and the check of the robot's fields."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import SpecError
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState


class SparseTask(ABC):
    """Reward 0 in a solved state and -1 elsewhere, episodes of fixed length. Implements `rlpd_robot.robot.task.Task`.

    RLPD (arXiv:2302.02948, sec. 5 and app. B) uses success - 1 on the Adroit tasks and never ends an episode early.

    Attributes:
        needs: state fields by name, with the shape of each; what robot and trackers must report.
    """

    name: ClassVar[str]
    observation_size: ClassVar[int]
    horizon: ClassVar[int]
    needs: ClassVar[Mapping[str, tuple[int, ...]]]

    def check(self, spec: RobotSpec) -> None:
        """Make sure that the robot reports every field of `needs`.

        Raises:
            SpecError: a field is missing or of another shape.
        """
        for name, shape in self.needs.items():
            field = spec.state_field(name)
            if field.shape != shape:
                raise SpecError(
                    f"Task '{self.name}' on robot '{spec.name}'", f"'{name}' has shape {field.shape}", f"{shape}"
                )

    @abstractmethod
    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(O,) float32."""

    @abstractmethod
    def success(self, state: RobotState) -> bool:
        """Whether the task is solved in this state."""

    def reward(self, state: RobotState, action: NDArray[np.float32], next_state: RobotState) -> float:
        """0 where the next state is solved, -1 elsewhere."""
        return float(self.success(next_state)) - 1.0

    def terminated(self, state: RobotState) -> bool:
        """Never: only the time limit ends an episode."""
        return False


class ObservedSparseTask(SparseTask):
    """A sparse task whose observation shows whether it is solved. Implements `rlpd_robot.robot.task.RelabellingTask`.

    Observations are single precision: within 1e-7 of a threshold the answer may differ from that of the state.
    """

    @abstractmethod
    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """Whether the task is solved in the state that gave this observation (O,)."""

    def reward_from_observations(
        self, observation: NDArray[np.float32], action: NDArray[np.float32], next_observation: NDArray[np.float32]
    ) -> float:
        """0 where the next state is solved, -1 elsewhere."""
        return float(self.success_from_observation(next_observation)) - 1.0
