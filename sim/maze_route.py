"""A demonstrator for the small maze of `experiment=small/maze`: it follows the corridor at an unhurried pace.

A plain function for `teleop=script`. The maze is a U of five cells; the point starts in one end and has to stay in the
other. It sees the environment's readings as `sim.gymnasium_env` orders them.
"""

import numpy as np
from numpy.typing import NDArray

SPEED = 2.5
"""Of the demonstrator [m/s]; the point could go at 5."""

_GAIN = 0.4  # of force on an error of speed [s/m]
_SLOWING = 4.0  # of speed on the distance that is left at the end [1/s]
_BEFORE_CORNER, _FIRST_CORNER, _SECOND_CORNER = 0.25, np.array([0.5, -1.0]), np.array([0.5, 1.0])


def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The force (2,) in [-1, 1], of achieved goal (2), desired goal (2), position (2) [m] and speed (2) [m/s]."""
    goal, position, speed = observation[2:4], observation[4:6], observation[6:8]
    if position[0] < _BEFORE_CORNER and position[1] < 0.0:
        wanted = _towards(_FIRST_CORNER - position)
    elif position[1] < _SECOND_CORNER[1] - _BEFORE_CORNER:
        wanted = _towards(np.array([_SECOND_CORNER[0], max(_SECOND_CORNER[1], goal[1])]) - position)
    else:
        wanted = _towards(goal - position)
        wanted *= min(1.0, _SLOWING * float(np.linalg.norm(goal - position)) / SPEED)
    return np.clip(_GAIN * (wanted - speed), -1.0, 1.0).astype(np.float32)


def _towards(way: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(SPEED * way / max(float(np.linalg.norm(way)), 1e-6), np.float64)
