"""What can be wrong with rewards (N,), successes (N,) and endings. Each function answers (N,): where it is so."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.lint.runs import runs_of

LARGE = 100.0
FLICKERS = 3
TIME_LIMIT = "time limit"

Mask = NDArray[np.bool_]


def large(rewards: NDArray[np.float32]) -> Mask:
    """(N,) so large that values grow beyond what networks fit well."""
    with np.errstate(invalid="ignore"):
        beyond: Mask = np.abs(rewards) > LARGE
    return beyond


def flickering(success: NDArray[np.bool_]) -> Mask:
    """(N,) solved steps of an episode in which the task was solved and lost again more than three times."""
    return success if len(runs_of(success)) > FLICKERS else np.zeros_like(success)


def last_step(n: int, wrong: bool) -> Mask:
    """(N,) the last step alone, where the ending is wrong."""
    mask = np.zeros(n, np.bool_)
    mask[-1:] = wrong
    return mask


def limit_as_terminal(ending: str, cause: str, success: NDArray[np.bool_], n: int, horizon: int) -> bool:
    """Whether a time limit is stored as a true end: no success there, and the cause or the length says so."""
    at_limit = cause == TIME_LIMIT or n >= horizon
    return ending == "terminated" and at_limit and not success[-1:].any()


def cut_at_success(ending: str, success: NDArray[np.bool_], n: int, horizon: int) -> bool:
    """Whether recording stopped in the moment of success, and the ending says that values go on after it."""
    first = int(success.argmax()) if success.any() else n
    return ending in ("truncated", "unknown") and first == n - 1 and n < horizon
