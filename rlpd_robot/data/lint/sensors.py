"""What can be wrong with observations (N+1, O). Each function answers where it is so."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.lint.runs import runs_of

STUCK_STEPS = 10
JUMP = 3.0  # times the largest change that the sensor makes while it works, but for 5 % of them
HUGE = 100.0

Observations = NDArray[np.float32]
Mask = NDArray[np.bool_]


def not_finite(*columns: NDArray[np.floating]) -> Mask:
    """(N,) rows in which any of the columns (N,) or (N, D) holds NaN or infinity."""
    bad = [~np.isfinite(c) for c in columns]
    rows: Mask = np.logical_or.reduce([b if b.ndim == 1 else b.any(axis=1) for b in bad])
    return rows


def stuck(observations: Observations) -> Mask:
    """(N+1, O) part of a stretch without any change, which ends in a jump: the sensor froze while its thing moved on.

    A thing at rest does not jump when it is moved, so that it is not meant; nor is a sensor that never moves.
    """
    found = np.zeros(observations.shape, np.bool_)
    changes = np.abs(np.diff(observations, axis=0))
    for d in np.flatnonzero((changes == 0).sum(axis=0) >= STUCK_STEPS):
        column = changes[:, d]
        working = column[column > 0]
        if len(working) < STUCK_STEPS:
            continue
        usual = np.percentile(working, 95)
        for start, stop in runs_of(column == 0):
            if stop - start >= STUCK_STEPS and stop < len(column) and column[stop] > JUMP * usual:
                found[start : stop + 1, d] = True
    return found


def repeated(observations: Observations) -> Mask:
    """(N,) steps after which every number is what it was before, to the last bit."""
    same: Mask = (observations[1:] == observations[:-1]).all(axis=1)
    return same


def huge(observations: Observations) -> Mask:
    """(N+1, O) far from the order of 1 that networks expect."""
    with np.errstate(invalid="ignore"):
        beyond: Mask = np.abs(observations) > HUGE
    return beyond


def turned_over(observations: Observations) -> Mask:
    """(N+1, O) steps from which an angle goes on at its other end.

    An angle is what stays within half a turn of zero or within one turn above it, in radians or degrees, and jumps from
    the last tenth of that range to the first, or back.
    """
    found = np.zeros(observations.shape, np.bool_)
    least, most = observations.min(axis=0), observations.max(axis=0)
    for turn in (2 * np.pi, 360.0):
        for low in (-turn / 2, 0.0):
            inside = (least >= low - 0.01 * turn) & (most <= low + 1.01 * turn)
            place = (observations - low) / turn
            before, after = place[:-1], place[1:]
            jumps = (np.minimum(before, after) < 0.1) & (np.maximum(before, after) > 0.9)
            found[1:] |= jumps & inside
    return found


def outside_spec(observations: Observations, low: NDArray[np.float64], high: NDArray[np.float64]) -> Mask:
    """(N+1, O) beyond the range that the robot states for itself, by more than 1 % of it; (O,) low and high."""
    slack = 0.01 * (high - low)
    beyond: Mask = (observations < low - slack) | (observations > high + slack)
    return beyond


class Twins:
    """Which dimensions were equal in every row so far, by refining a partition."""

    def __init__(self, size: int) -> None:
        self._group: NDArray[np.int64] = np.zeros(size, np.int64)

    def add(self, observations: Observations) -> None:
        """Take in the rows (N+1, O) of one episode."""
        numbers: dict[tuple[int, bytes], int] = {}
        columns = np.ascontiguousarray(observations.T) + np.float32(0)  # -0 and 0 are equal
        keys = [(int(group), column.tobytes()) for group, column in zip(self._group, columns, strict=True)]
        self._group = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)

    def groups(self, of: Iterable[int]) -> list[list[int]]:
        """Sets of two or more of these dimensions that were always equal."""
        members: dict[int, list[int]] = {}
        for d in of:
            members.setdefault(int(self._group[d]), []).append(d)
        return [m for m in members.values() if len(m) > 1]
