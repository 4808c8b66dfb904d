"""What can be wrong with time: stamps (N, 4) of state in, action out, filtered, sent [s]."""

import numpy as np
from numpy.typing import NDArray

SLACK = 0.5  # of a period
GAP = 3.0  # periods

Stamps = NDArray[np.float64]
Mask = NDArray[np.bool_]


def out_of_order(stamps_s: Stamps) -> Mask:
    """(N,) a stage before the one that it follows, or a state not after the one before it."""
    back: Mask = np.any(np.diff(stamps_s, axis=1) < 0, axis=1)
    back[1:] |= np.diff(stamps_s[:, 0]) <= 0
    return back


def keeps_time(stamps_s: Stamps, period_s: float) -> bool:
    """Whether it was recorded by the wall clock: its median period is at least half of the nominal one."""
    return len(stamps_s) > 1 and bool(np.median(np.diff(stamps_s[:, 0])) >= period_s / 2)


def jittery(stamps_s: Stamps, period_s: float) -> Mask:
    """(N,) more than half a period too early or too late after the state before; nothing in lock-step."""
    late = np.zeros(len(stamps_s), np.bool_)
    if keeps_time(stamps_s, period_s):
        periods = np.diff(stamps_s[:, 0])
        late[1:] = np.abs(periods - np.median(periods)) > SLACK * period_s
    return late


def gaps(stamps_s: Stamps, period_s: float) -> Mask:
    """(N,) at least three periods after the state before: steps are missing in between."""
    late = np.zeros(len(stamps_s), np.bool_)
    if keeps_time(stamps_s, period_s):
        late[1:] = np.diff(stamps_s[:, 0]) >= GAP * period_s
    return late


def slow_actions(stamps_s: Stamps, period_s: float) -> Mask:
    """(N,) sent more than half a period after the state that it answers; nothing in lock-step."""
    if not keeps_time(stamps_s, period_s):
        return np.zeros(len(stamps_s), np.bool_)
    slow: Mask = stamps_s[:, 3] - stamps_s[:, 0] > SLACK * period_s
    return slow
