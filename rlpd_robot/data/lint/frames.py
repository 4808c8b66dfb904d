"""Hints of frames that do not agree: turned-over quaternions, left hands, mirrored axes, moved trackers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

EXACT = 1e-3
APART = 6.0  # standard deviations

Observations = NDArray[np.float32]
Mask = NDArray[np.bool_]


def flipped_quaternions(observations: Observations) -> Mask:
    """(N+1, O) steps from which four numbers of unit length go on as their negatives, which are the same rotation."""
    found = np.zeros(observations.shape, np.bool_)
    for d in _unit_blocks(observations, 4):
        q = observations[:, d : d + 4]
        turned = (q[1:] * q[:-1]).sum(axis=1) < -0.9
        found[1:, d : d + 4] |= turned[:, None]
    return found


def left_handed(observations: Observations) -> list[int]:
    """First dimensions of nine that are, in every row, an orthonormal matrix of determinant -1: a left-handed frame."""
    found = []
    for d in _blocks_of_length(observations[0], 9, 3.0):
        m = observations[:, d : d + 9].reshape(-1, 3, 3).astype(np.float64)
        if np.allclose(m @ m.transpose(0, 2, 1), np.eye(3), atol=EXACT) and (np.linalg.det(m) < 0).all():
            found.append(d)
    return found


def _unit_blocks(observations: Observations, size: int) -> Iterator[int]:
    """First dimension of each block of that size whose length is 1 in every row, and of which all parts change."""
    free = 0
    for d in _blocks_of_length(observations[0], size, 1.0):
        block = observations[:, d : d + size].astype(np.float64)
        unit = (np.abs((block**2).sum(axis=1) - 1) < EXACT).all()
        if d >= free and unit and (np.ptp(block, axis=0) > EXACT).all():
            yield d
            free = d + size


def _blocks_of_length(row: NDArray[np.float32], size: int, square: float) -> list[int]:
    """First dimensions of blocks of one row (O,) whose sum of squares is this: a look before a closer one."""
    if len(row) < size:
        return []
    squares = np.convolve(row.astype(np.float64) ** 2, np.ones(size), "valid")
    return [int(d) for d in np.flatnonzero(np.abs(squares - square) < size * EXACT)]


def mirrored(starts: NDArray[np.float64]) -> Mask:
    """(E, D) where an episode begins on the other side of zero, as far out as all others: an axis with another sign.

    Args:
        starts: (E, D) first observation of each episode; fewer than five of them say nothing.
    """
    found = np.zeros(starts.shape, np.bool_)
    if len(starts) < 5:
        return found
    for d, column in enumerate(starts.T):
        sign = np.sign(np.median(column))
        usual = column[np.sign(column) == sign]
        odd = np.sign(column) == -sign
        if not sign or not odd.any() or len(usual) < 0.8 * len(column):
            continue
        size, spread = np.abs(usual).mean(), usual.std() + 1e-9
        if size > APART * spread:
            found[:, d] = odd & (np.abs(np.abs(column) - size) < 3 * spread + 0.02 * size)
    return found


def shifted(starts: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(D,) how far apart recording sessions begin, in standard deviations within one; 0 where that cannot be told.

    Args:
        starts: (E, D) first observation of each episode.
        groups: (E,) number of the session; those of fewer than five episodes are left out.
    """
    numbers, counts = np.unique(groups, return_counts=True)
    numbers = numbers[counts >= 5]
    if len(numbers) < 2:
        return np.zeros(starts.shape[1])
    means = np.stack([starts[groups == g].mean(axis=0) for g in numbers])
    spread = np.sqrt(np.mean([starts[groups == g].var(axis=0) for g in numbers], axis=0))
    distance: NDArray[np.float64] = np.ptp(means, axis=0)
    scale = np.maximum(spread, 1e-3 * np.abs(starts).max(axis=0) + 1e-9)
    return np.where(distance > 0, distance / scale, 0.0)
