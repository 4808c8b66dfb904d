"""Whether a served robot may move, as an explicit state machine: the robot's own watchdog.

    STOPPED ──reset──▶ FOLLOWING ──a command grows stale──▶ HOLDING ──ramp over──▶ STOPPED
                           └──────stop, bye, another controller──────────────────────▲

A robot moves only between a reset and the next stop. So whatever comes after a stop, on whichever connection, is
refused until somebody resets explicitly; nothing here goes back to FOLLOWING by itself.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.spec import RobotSpec

FRESH_PERIODS = 2.5
"""Age of the answered state [control periods] beyond which a command is stale, and silence after which to stop."""

FIRST_COMMAND_S = 1.0
"""Time after a reset in which the first command must come [s]."""


class Phase(StrEnum):
    """Where the robot stands."""

    STOPPED = "stopped"
    FOLLOWING = "following"
    HOLDING = "holding"


class Motion:
    """Judges time only; the server moves the robot.

    Args:
        spec: of the robot.
        lockstep: time means nothing.
        ramp_s: time in which commands that are rates are brought to zero before the robot is stopped [s]; positions
            are held for that long. 0: it is stopped at once.

    Attributes:
        phase: see the picture above.
        why: the cause of the last stop or hold.
        executed: number of the command that it follows; -1: none.
    """

    def __init__(self, spec: RobotSpec, lockstep: bool, ramp_s: float) -> None:
        self.phase = Phase.STOPPED
        self.why = "it has not been reset yet"
        self.executed = -1
        self._lockstep, self._ramp_s = lockstep, ramp_s
        self._fresh_s = FRESH_PERIODS * spec.period_s
        self._is_rate = np.concatenate([np.full(f.size, f.unit.endswith("/s")) for f in spec.command])
        self._last: NDArray[np.float64] | None = None
        self._until_s = self._held_s = 0.0

    def reset(self, now: float) -> None:
        """The robot stands at a start of episode, and may be moved."""
        self.phase, self.executed, self._last = Phase.FOLLOWING, -1, None
        self._until_s = now + FIRST_COMMAND_S

    def follow(self, number: int, values: NDArray[np.float64], now: float) -> None:
        """The robot was given this command (C,)."""
        self.executed, self._last = number, values
        self._until_s = now + self._fresh_s

    def stop(self, why: str) -> None:
        """The robot was stopped."""
        self.executed = -1
        if self.phase is not Phase.STOPPED:
            self.phase, self.why = Phase.STOPPED, why

    def overdue(self, now: float) -> bool:
        """Whether the next command should have come by now."""
        return self.phase is Phase.FOLLOWING and not self._lockstep and now > self._until_s

    def hold(self, now: float) -> None:
        """The command grew stale: from now on none is taken."""
        silent_ms = 1e3 * (now - self._until_s + (self._fresh_s if self._last is not None else FIRST_COMMAND_S))
        self.phase, self._held_s, self.executed = Phase.HOLDING, now, -1
        self.why = f"it stopped by itself: no fresh command for {silent_ms:.0f} ms"

    def ramp(self, now: float) -> NDArray[np.float64] | None:
        """(C,) what to follow while holding: rates on their way to zero, the rest as it was. None: it is over."""
        share = 1.0 - (now - self._held_s) / self._ramp_s if self._ramp_s > 0 else 0.0
        if share <= 0 or self._last is None:
            return None
        return np.where(self._is_rate, share * self._last, self._last)


class OwnLimits:
    """What the robot itself accepts, whoever commands.

    Args:
        spec: of the robot; gives the range.
        max_speed: (C,) fastest change of a command that a controller may allow itself [command unit/s]; None: any.
    """

    def __init__(self, spec: RobotSpec, max_speed: NDArray[np.float64] | None) -> None:
        self._low, self._high = spec.command_low, spec.command_high
        self._max_speed = np.full(self._low.shape, np.inf) if max_speed is None else np.asarray(max_speed, np.float64)
        slack = 1e-9 * (self._high - self._low)  # rounding of a filter's arithmetic
        self._lowest, self._highest = self._low - slack, self._high + slack
        self._names = [name for f in spec.command for name in _element_names(f.name, f.size)]

    def problem(self, values: NDArray[np.float64]) -> str | None:
        """Why this command cannot be followed; None: it can."""
        if values.shape != self._low.shape or values.dtype != np.float64:
            return f"a command has shape {values.shape} and dtype {values.dtype}, not {self._low.shape} and float64"
        inside = (values >= self._lowest) & (values <= self._highest)  # False for NaN
        if inside.all():
            return None
        i = int(np.argmin(inside))
        return f"command element {i} is {values[i]:g}, outside [{self._low[i]:g}, {self._high[i]:g}]"

    def mismatch(self, limits: NDArray[np.float64] | None) -> str | None:
        """What a controller's safety limits (3, C) allow that the robot's own do not; None: they lie inside."""
        if limits is None:
            return None
        if limits.shape != (3, len(self._low)) or limits.dtype != np.float64:
            return (
                f"safety limits have shape {limits.shape} and dtype {limits.dtype}, not (3, {len(self._low)}), float64"
            )
        low, high, speed = limits
        for what, theirs, ours, inside in (
            ("lower limit", low, self._low, low >= self._lowest),
            ("upper limit", high, self._high, high <= self._highest),
            ("speed limit", speed, self._max_speed, speed <= self._max_speed * (1 + 1e-9)),
        ):
            if not inside.all():  # NaN compares false
                i = int(np.argmin(inside))
                return (
                    f"the controller's {what} of '{self._names[i]}' is {theirs[i]:g}, the robot's own is {ours[i]:g}; "
                    "choose safety limits inside those of the robot"
                )
        return None


def _element_names(name: str, size: int) -> list[str]:
    return [name] if size == 1 else [f"{name}[{i}]" for i in range(size)]
