"""Limits of robots, for tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.safety import SafetyLimits


def limits_of(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    speed: Any = np.inf,
    acceleration: Any = np.inf,
    jerk: Any = np.inf,
    step: Any = np.inf,
    period_s: float = 0.01,
    **others: Any,
) -> SafetyLimits:
    """Limits between `low` and `high`, which are the robot's own range unless told otherwise."""
    spread = [np.broadcast_to(np.asarray(value, np.float64), low.shape) for value in (speed, acceleration, jerk, step)]
    defaults = {"own_low": low, "own_high": high, "cartesian": np.zeros(low.shape, np.bool_)}
    return SafetyLimits(
        low,
        high,
        spread[0],
        period_s,
        **{**defaults, **others},
        **dict(zip(("max_acceleration", "max_jerk", "max_step"), spread[1:], strict=True)),
    )
