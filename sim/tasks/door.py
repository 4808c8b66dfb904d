"""Turn the latch and open the door (Rajeswaran et al. 2018)."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import RobotState
from sim.tasks.base import ObservedSparseTask

OPEN_RAD = 1.35  # of a quarter turn, about 77 degrees


class DoorTask(ObservedSparseTask):
    """Solved while the door stands open by 1.35 rad or more.

    The trackers must provide, in one world frame: `palm_position` (3,) [m], `handle_position` (3,) [m], `door_angle` ()
    [rad, 0 closed] and `latch_angle` () [rad, 0 at rest]; the hand `joint_position` (27,) [rad]: arm rotations, wrist,
    fingers.

    The observation is that of gymnasium-robotics' AdroitHandDoor-v1. Its quirks are kept: the arm's slide is not
    observed, nor is any velocity, and the last entry is +1 beyond 1 rad and -1 before.
    """

    name = "door"
    observation_size = 39
    horizon = 200
    needs = {
        "joint_position": (27,),
        "palm_position": (3,),
        "handle_position": (3,),
        "door_angle": (),
        "latch_angle": (),
    }

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        """(39,): joints 27 · latch · door · palm 3 · handle 3 · palm - handle 3 · whether open."""
        v = state.values
        angle, palm, handle = v["door_angle"], v["palm_position"], v["handle_position"]
        return np.concatenate(
            (
                v["joint_position"],
                (v["latch_angle"], angle),
                palm,
                handle,
                palm - handle,
                (1.0 if angle > 1.0 else -1.0,),
            ),
            dtype=np.float32,
            casting="same_kind",
        )

    def success(self, state: RobotState) -> bool:
        """Whether the door is open."""
        return bool(state.values["door_angle"] >= OPEN_RAD)

    def success_from_observation(self, observation: NDArray[np.float32]) -> bool:
        """Whether the door is open, by its observed angle."""
        return bool(observation[28] >= np.float32(OPEN_RAD))
