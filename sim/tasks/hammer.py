"""Take a hammer and drive a nail into a board (Rajeswaran et al. 2018)."""

import math

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import RobotState
from sim.tasks.base import SparseTask

DRIVEN_M = 0.01


class HammerTask(SparseTask):
    """Solved while the nail's head is within 1 cm of its place when driven home.

    The trackers must provide, in one world frame: `palm_position` (3,) [m]; of the hammer `object_position` (3,) [m],
    `object_orientation` (4,) [unit quaternion w, x, y, z], `object_velocity` (3,) [m/s] and `object_euler_rate` (3,)
    [rad/s], the derivatives of its Euler angles (intrinsic x, y, z); of the nail `nail_position` and
    `nail_goal_position` (3,) [m], its head now and when driven home, `nail_depth` () [m, along its axis] and
    `nail_impact` () [N], the force on its head. The hand must provide `joint_position` (26,) [rad]: arm rotations,
    wrist, fingers.

    The observation is that of gymnasium-robotics' AdroitHandHammer-v1. Its quirks are kept: velocities and impact are
    cut to [-1, 1], and the hammer's angles jump by 2 pi where they wrap.
    """

    name = "hammer"
    observation_size = 46
    horizon = 200
    needs = {
        "joint_position": (26,),
        "palm_position": (3,),
        "object_position": (3,),
        "object_orientation": (4,),
        "object_velocity": (3,),
        "object_euler_rate": (3,),
        "nail_position": (3,),
        "nail_goal_position": (3,),
        "nail_depth": (),
        "nail_impact": (),
    }

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(46,): joints 26 · depth · velocity 3 · rates 3 · palm 3 · hammer 3 · its angles 3 · nail 3 · impact."""
        v = state.values
        return np.concatenate(
            (
                v["joint_position"],
                (v["nail_depth"],),
                np.clip(v["object_velocity"], -1.0, 1.0),
                np.clip(v["object_euler_rate"], -1.0, 1.0),
                v["palm_position"],
                v["object_position"],
                euler_angles(v["object_orientation"]),
                v["nail_position"],
                (min(max(float(v["nail_impact"]), -1.0), 1.0),),
            ),
            dtype=np.float32,
            casting="same_kind",
        )

    def success(self, state: RobotState) -> bool:
        """Whether the nail is driven home."""
        v = state.values
        return bool(np.linalg.norm(v["nail_position"] - v["nail_goal_position"]) < DRIVEN_M)


def euler_angles(quaternion: NDArray[np.float64]) -> tuple[float, float, float]:
    """Angles about x, then the turned y, then the turned z [rad], of a quaternion w, x, y, z (4,) of any length > 0.

    Where y reaches a quarter turn only a sum of the other two is defined; x is 0 then.
    """
    w, x, y, z = quaternion.tolist()
    s = 2.0 / (w * w + x * x + y * y + z * z)
    cos_y_cos_z, cos_y_sin_z = 1.0 - s * (y * y + z * z), s * (w * z - x * y)
    sin_y, sin_x_cos_y, cos_x_cos_y = s * (x * z + w * y), s * (w * x - y * z), 1.0 - s * (x * x + y * y)
    cos_y = math.hypot(sin_x_cos_y, cos_x_cos_y)
    if cos_y > 4 * np.finfo(np.float64).eps:
        return math.atan2(sin_x_cos_y, cos_x_cos_y), math.atan2(sin_y, cos_y), math.atan2(cos_y_sin_z, cos_y_cos_z)
    # R[1, 0] and R[1, 1], where the matrix is a turn about z alone
    return 0.0, math.atan2(sin_y, cos_y), math.atan2(s * (x * y + w * z), 1.0 - s * (x * x + z * z))
