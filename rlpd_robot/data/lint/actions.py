"""What can be wrong with actions (N, A). Each function answers (N, A) or (N,): where it is so."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.lint.runs import within_long_runs

SATURATED = 0.999
DIFFERENT = 1e-4  # of the half range: more than the rounding of action → command → action
IDLE_STEPS = 25

Actions = NDArray[np.float32]
Mask = NDArray[np.bool_]


def saturated(actions: Actions) -> Mask:
    """(N, A) at the end of its range."""
    return np.abs(actions) >= SATURATED


def outside(actions: Actions, proposed: Actions) -> Mask:
    """(N, A) beyond [-1, 1], executed or proposed."""
    with np.errstate(invalid="ignore"):
        beyond: Mask = (np.abs(actions) > 1) | (np.abs(proposed) > 1)
    return beyond


def clipped(actions: Actions, proposed: Actions, safety: NDArray[np.uint16]) -> Mask:
    """(N, A) changed by the safety filter: executed otherwise than wanted, in a step that it says it changed."""
    mask: Mask = _different(actions, proposed) & (safety != 0)[:, None]
    return mask


def replaced(actions: Actions, proposed: Actions, safety: NDArray[np.uint16]) -> Mask:
    """(N, A) executed differently from what was wanted, though the safety filter let it through."""
    mask: Mask = _different(actions, proposed) & (safety == 0)[:, None]
    return mask


def _different(actions: Actions, proposed: Actions) -> Mask:
    with np.errstate(invalid="ignore"):
        different: Mask = np.abs(actions - proposed) > DIFFERENT
    return different


def idle(actions: Actions, observations: NDArray[np.float32]) -> Mask:
    """(N,) part of a stretch of at least 25 steps, at the start or the end, in which no action changes.

    Args:
        actions: (N, A).
        observations: (N+1, O); a stretch in which they change by more than 1 % of their spread is not idle.
    """
    n = len(actions)
    with np.errstate(invalid="ignore"):
        same = np.concatenate(([True], (np.diff(actions, axis=0) == 0).all(axis=1)))[:n]
        spread = observations.std(axis=0)
        moved = (np.abs(np.diff(observations, axis=0)) > 0.01 * spread).any(axis=1)
    still = same & ~moved
    edges = np.zeros(n, np.bool_)
    head = int(np.argmin(np.append(still, False)))
    tail = int(np.argmin(np.append(still[::-1], False)))
    edges[:head] = True
    edges[n - tail :] = True
    return within_long_runs(edges, IDLE_STEPS)
