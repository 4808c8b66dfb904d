"""One thing that goes wrong, and when."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import RobotSpec


class Fault:
    """What goes wrong while it is active. Its settings are the fields of its dataclass, all in SI units.

    Attributes:
        rng: of its own; set when it is scheduled.
    """

    rng: np.random.Generator

    def check(self, where: str, spec: RobotSpec) -> None:
        """Make ready for this robot.

        Raises:
            ConfigError: a setting that means nothing, or that this robot has nothing for.
        """

    def begin(self, now_s: float) -> None:
        """It becomes active: what it remembered is forgotten. More than once, when it is random."""

    def strike(self) -> None:
        """What it does at once, in the robot's thread, as it becomes active."""


@dataclass(eq=False)
class Scheduled:
    """A fault with its time: from `at_s` on, or at random, `per_minute` times on average; for `seconds` each.

    Attributes:
        name: for the log.
        at_s: since the stand-in's first control period [s]; NaN: it is random.
        until_s: end of the present activity [s]; NaN: it is not active.
    """

    fault: Fault
    name: str
    at_s: float = 0.0
    per_minute: float = 0.0
    seconds: float = math.inf
    until_s: float = field(default=math.nan, init=False)
    _done: bool = field(default=False, init=False)

    @property
    def active(self) -> bool:
        """Whether it is going on."""
        return not math.isnan(self.until_s)

    def is_due(self, now_s: float, period_s: float) -> bool:
        """Whether it begins in this control period."""
        if self.active:
            return False
        if math.isnan(self.at_s):
            return bool(self.fault.rng.random() < self.per_minute * period_s / 60)
        return not self._done and now_s >= self.at_s

    def begin(self, now_s: float) -> None:
        """It becomes active."""
        self._done, self.until_s = True, now_s + self.seconds
        self.fault.begin(now_s)

    def end(self) -> None:
        """It is over."""
        self.until_s = math.nan


def at_least(where: str, name: str, value: float, low: float) -> None:
    """Refuse a setting below `low`, or no finite number."""
    if not (math.isfinite(value) and value >= low):
        raise ConfigError(f"{where}.{name}", value, f"a finite number of at least {low:g}")


def is_share(where: str, name: str, value: float) -> None:
    """Refuse what is no part of a whole."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{where}.{name}", value, "between 0 and 1")


def joint_names(spec: RobotSpec) -> list[str]:
    """(C,) of the commanded joints; "" for an element without a label."""
    return [label for f in spec.command for label in (f.labels or ("",) * f.size)]


def one_of(where: str, name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is not among these."""
    if value not in known:
        raise ConfigError(f"{where}.{name}", value, f"one of {', '.join(known)}")
