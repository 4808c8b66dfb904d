"""One line of the verdict."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """What must hold, what was measured, and what to do where it does not.

    Attributes:
        name: short; unique.
        requirement: in words, with numbers and units.
        measured: likewise.
        passed: None: it was not judged, and `measured` says why.
        remedy: what to do when it failed.
    """

    name: str
    requirement: str
    measured: str
    passed: bool | None
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def is_go(checks: Sequence[Check]) -> bool:
    """Whether nothing failed."""
    return bool(checks) and all(check.passed is not False for check in checks)


def skipped(name: str, requirement: str, why: str) -> Check:
    """A check that could not be judged, or was not asked for."""
    return Check(name, requirement, f"not judged: {why}", None)
