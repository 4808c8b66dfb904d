"""What a robot is sent when an action comes too late: an action answers a state, and that state is gone by then."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import Command

MISSES = ("hold", "reuse", "decay")

_FADE = 0.5  # of the motion before, in each period that "decay" bridges


@dataclass(frozen=True)
class Deadline:
    """When an action is late, and what is sent then in its place.

    | miss | a place, unit m or rad | a rate, unit …/s | anything else |
    |---|---|---|---|
    | hold | as sent last | 0 | as sent last |
    | reuse | as sent last | as sent last | as sent last |
    | decay | goes on by half of its last step | half of what was sent last | as sent last |

    Attributes:
        miss: one of these.
        periods: an action that comes longer than this after its state is late [control periods].

    Raises:
        ConfigError: an unknown word, or a time that no command would survive: robots refuse what is 2.5 periods old.
    """

    miss: str = "hold"
    periods: float = 1.0

    def __post_init__(self) -> None:
        if self.miss not in MISSES:
            raise ConfigError("actor.deadline_miss", self.miss, f"one of {', '.join(map(repr, MISSES))}")
        if not 0 < self.periods <= FRESH_PERIODS:  # NaN compares false
            raise ConfigError("actor.deadline", self.periods, f"above 0 and at most {FRESH_PERIODS} control periods")


class Substitute:
    """The command that takes a late action's place. It passes the safety filter like any other.

    Args:
        miss: which.
        spec: of the robot.

    Attributes:
        count: commands made since the start.
    """

    def __init__(self, miss: str, spec: RobotSpec) -> None:
        self.count = 0
        self._miss = miss
        self._is_place = np.concatenate([np.full(f.size, f.unit in ("m", "rad")) for f in spec.command])
        self._is_rate = np.concatenate([np.full(f.size, f.unit.endswith("/s")) for f in spec.command])
        self._last: NDArray[np.float64] | None = None
        self._step: NDArray[np.float64]
        self.begin()

    def begin(self) -> None:
        """An episode begins: nothing has been sent, and the robot stands."""
        self._last, self._step = None, np.zeros(len(self._is_rate))

    def sent(self, command: Command) -> None:
        """What was sent last, whoever wanted it."""
        if self._last is not None:
            self._step = command.values - self._last
        self._last = command.values

    def command(self) -> Command | None:
        """(C,) what to ask the safety filter for; None before the first command of an episode: nothing is sent."""
        if self._last is None:
            return None
        self.count += 1
        match self._miss:
            case "hold":
                return Command(np.where(self._is_rate, 0.0, self._last))
            case "reuse":
                return Command(self._last.copy())
            case _:
                faded = np.where(self._is_rate, _FADE * self._last, self._last)
                return Command(np.where(self._is_place, self._last + _FADE * self._step, faded))
