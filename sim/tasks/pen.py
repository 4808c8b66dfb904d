"""Turn a pen in the hand until it points like the target (Rajeswaran et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import RobotState
from sim.tasks.base import ObservedSparseTask

NEAR_M = 0.075
ALIGNED = 0.95  # cosine of the angle between pen and target, about 18 degrees


class PenTask(ObservedSparseTask):
    """Solved while the pen is within 7.5 cm of the target and points within 18 degrees of it.

    The trackers must provide, in one world frame: `object_position` and `target_position` (3,) [m], the middles of pen
    and target; `object_direction` and `target_direction` (3,), unit vectors from bottom to top; `object_velocity` (3,)
    [m/s]; `object_euler_rate` (3,) [rad/s], the derivatives of its Euler angles (intrinsic x, y, z). The hand must
    provide `joint_position` (24,) [rad]: wrist, fingers.

    The observation is that of gymnasium-robotics' AdroitHandPen-v1. Its quirk is kept: the rates are those of the Euler
    angles, not the angular velocity.
    """

    name = "pen"
    observation_size = 45
    horizon = 100
    needs = {
        "joint_position": (24,),
        "object_position": (3,),
        "object_velocity": (3,),
        "object_euler_rate": (3,),
        "object_direction": (3,),
        "target_position": (3,),
        "target_direction": (3,),
    }

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(45,): joints 24 · pen 3 · velocity 3 · rates 3 · directions of pen 3, target 3 · pen - target: 3, 3."""
        v = state.values
        position, direction, target_direction = v["object_position"], v["object_direction"], v["target_direction"]
        return np.concatenate(
            (
                v["joint_position"],
                position,
                v["object_velocity"],
                v["object_euler_rate"],
                direction,
                target_direction,
                position - v["target_position"],
                direction - target_direction,
            ),
            dtype=np.float32,
            casting="same_kind",
        )

    def success(self, state: RobotState) -> bool:
        """Whether the pen is near the target and points like it."""
        v = state.values
        distance = np.linalg.norm(v["object_position"] - v["target_position"])
        return bool(distance < NEAR_M and v["object_direction"] @ v["target_direction"] > ALIGNED)

    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """Whether the pen is near the target and points like it, by their observed places and directions."""
        near = np.linalg.norm(observation[39:42]) < NEAR_M
        return bool(near and observation[33:36] @ observation[36:39] > ALIGNED)
