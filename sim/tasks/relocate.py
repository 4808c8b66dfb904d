"""Pick a ball up and carry it to a target in the air (Rajeswaran et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import RobotState
from sim.tasks.base import ObservedSparseTask

NEAR_M = 0.1


class RelocateTask(ObservedSparseTask):
    """Solved while the ball is within 10 cm of the target.

    The trackers must provide, in one world frame: `palm_position`, `object_position` and `target_position` (3,) [m].
    The arm and hand must provide `slide_position` (3,) [m] and `joint_position` (27,) [rad]: arm rotations, wrist,
    fingers.

    The observation is that of gymnasium-robotics' AdroitHandRelocate-v1. Its quirk is kept: no velocity is observed.
    """

    name = "relocate"
    observation_size = 39
    horizon = 200
    needs = {
        "slide_position": (3,),
        "joint_position": (27,),
        "palm_position": (3,),
        "object_position": (3,),
        "target_position": (3,),
    }

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(39,): slides 3 · joints 27 · palm - ball 3 · palm - target 3 · ball - target 3."""
        v = state.values
        palm, ball, target = v["palm_position"], v["object_position"], v["target_position"]
        return np.concatenate(
            (v["slide_position"], v["joint_position"], palm - ball, palm - target, ball - target),
            dtype=np.float32,
            casting="same_kind",
        )

    def success(self, state: RobotState) -> bool:
        """Whether the ball is near the target."""
        return bool(np.linalg.norm(state.values["object_position"] - state.values["target_position"]) < NEAR_M)

    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """Whether the ball is near the target, by what was observed between them."""
        return bool(np.linalg.norm(observation[36:39]) < NEAR_M)
