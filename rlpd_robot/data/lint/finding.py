"""What a check says, and where."""

from dataclasses import dataclass
from enum import StrEnum

MAX_PLACES = 200
"""Places of one finding that are kept; the rest is counted."""


class Severity(StrEnum):
    """How bad it is, the worst first."""

    ERROR = "error"  # such data cannot be trained on
    WARNING = "warning"  # it will teach something wrong, or slowly
    HINT = "hint"  # look at it; it may be meant


@dataclass(frozen=True)
class Place:
    """Some steps of one episode.

    Attributes:
        episode: its number in the store.
        first, last: steps, both included; all places in between need not be meant.
        count: how many are.
        whole: whether the episode as such is meant.
    """

    episode: int
    first: int
    last: int
    count: int
    whole: bool = False

    def __str__(self) -> str:
        if self.whole:
            return f"episode {self.episode}"
        if self.first == self.last:
            return f"episode {self.episode} step {self.first}"
        return f"episode {self.episode} steps {self.first}-{self.last}" + (
            f" ({self.count} of them)" if self.count <= self.last - self.first else ""
        )


@dataclass(frozen=True)
class Finding:
    """One thing that one check found in one dimension, or in the store as a whole.

    Attributes:
        check: name of the check.
        severity: how bad it is.
        dimension: name of the number meant, or None.
        what: in a sentence, figures included.
        places: at most `MAX_PLACES`, those with the most steps first; all of them where it is fixable.
        count: steps or episodes in all.
        why: it hurts learning.
        fix: what helps.
        fixable: whether `demos lint --fix` does it.
    """

    check: str
    severity: Severity
    dimension: str | None
    what: str
    places: tuple[Place, ...]
    count: int
    why: str
    fix: str
    fixable: bool = False
