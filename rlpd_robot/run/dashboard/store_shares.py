"""How often a person acted, and how often and why the safety filter did, read from the run's own store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.opening import open_store, read_rows
from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.robot.safety import cause_name

LIVE = "live.zarr"
"""In a run's directory."""

_EVERY_S = 10.0
_ROWS = 4000  # the newest, at most


@dataclass(frozen=True)
class Shares:
    """Of the newest transitions.

    Attributes:
        transitions: that were looked at.
        intervened: share in which a person acted.
        filtered: share of which the safety filter changed the command.
        reasons: by its reason, the share.
    """

    transitions: int
    intervened: float
    filtered: float
    reasons: dict[str, float]


class StoreWatch:
    """Looks into a store that grows, every ten seconds at most, while somebody looks at the page.

    Args:
        directory: of the run.
        now: monotonic time [s].
    """

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self._path, self._now = directory / LIVE, now
        self._due_s = -1.0
        self._shares: Shares | None = None

    def look(self) -> Shares | None:
        """What it held lately; None: nothing, or it cannot be read at present."""
        now = self._now()
        if now >= self._due_s:
            self._due_s = now + _EVERY_S
            self._shares = shares_of(self._path)
        return self._shares


def shares_of(path: Path) -> Shares | None:
    """Of the newest committed transitions of a store; None where there is none that can be read."""
    if not path.is_dir():
        return None
    try:
        opened = open_store(path)
        first = max(0, opened.rows - _ROWS)
        valid, intervened, safety = (
            read_rows(opened, f"data/{name}", first, opened.rows) for name in ("valid", "intervened", "safety")
        )
    except (RlpdRobotError, OSError, KeyError):  # being made, or damaged: `demos validate` tells which
        return None
    return _shares(intervened[valid], safety[valid]) if valid.any() else None


def _shares(intervened: NDArray[Any], safety: NDArray[Any]) -> Shares:
    reasons = {
        cause_name(b): float(np.mean(safety & b != 0)) for b in (1 << i for i in range(16)) if (safety & b).any()
    }
    return Shares(len(safety), float(np.mean(intervened)), float(np.mean(safety != 0)), reasons)
