"""The last thing between a policy and metal: a pure function from a desired command to a safe one.

Stages, in order: finite → range with margin → speed. The only place where a `SafeCommand` is made.

Why a command was changed is a bit mask, stored with its transition as `safety` (uint16):

| bit | name | meaning |
|---|---|---|
| 1 | not recorded | changed, in a store from before this mask |
| 2 | non-finite | NaN or infinity was asked for |
| 4 | position | beyond the range, or too fast to stop before its end |
| 8 | velocity | |
| 16 | acceleration | |
| 32 | jerk | |
| 64 | step | too far from the measured state |
| 128 | workspace | a Cartesian axis beyond its box, or too fast to stop before its side |
| 256 | effort | |
| 512 | late | the action missed its deadline; `actor.deadline_miss` was asked for instead (`robot/deadline.py`) |
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, DataError, FaultError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import Command, RobotState

NOT_RECORDED, NON_FINITE, POSITION, VELOCITY, ACCELERATION, JERK, STEP, WORKSPACE, EFFORT = (1 << i for i in range(9))
LATE = 1 << 9  # of the control loop's making, not the filter's
CAUSES: Mapping[int, str] = {
    NOT_RECORDED: "not recorded",
    NON_FINITE: "non-finite",
    POSITION: "position",
    VELOCITY: "velocity",
    ACCELERATION: "acceleration",
    JERK: "jerk",
    STEP: "step",
    WORKSPACE: "workspace",
    EFFORT: "effort",
    LATE: "late",
}
"""Names of the bits of `SafetyReport.causes`."""

_ROUNDING = 1e-9  # of an element's range: the way action → command → limit rounds, which is no intervention


@dataclass(frozen=True)
class SafetySettings:
    """Limits as a person writes them.

    Attributes:
        name: of this set of limits.
        margin: part of each command element's range kept free at both ends, in [0, 0.5).
        max_speed: fastest change of a command [its unit/s]: one number, one for each command field, or none.
        source: where the numbers come from (a data sheet, a measurement), for whoever reads them next.
        measured: command field → the state field of the same shape and unit that measures it. The first command of an
            episode is held to `max_speed` from there; without it that command may be anywhere in the range.
    """

    name: str = "robot range"
    margin: float = 0.0
    max_speed: Mapping[str, float] | float | None = None
    source: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SafetyLimits:
    """Limits as the filter uses them, one number for each of the C command elements.

    Attributes:
        low, high: (C,) range with the margin taken off, in the command's units.
        max_speed: (C,) [command unit/s]; inf where there is none.
        measured: one state field for each command field in order, or () when the state does not tell them all.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    max_speed: NDArray[np.float64]
    measured: tuple[str, ...] = ()

    @staticmethod
    def from_settings(settings: SafetySettings, spec: RobotSpec) -> "SafetyLimits":
        """The limits of one robot.

        Raises:
            ConfigError: a margin that leaves no range, a speed that is not positive, an unknown or forgotten field.
        """
        if not (isinstance(settings.margin, int | float) and 0 <= settings.margin < 0.5):
            raise ConfigError("safety.margin", settings.margin, "a part of the range in [0, 0.5)")
        margin = settings.margin * (spec.command_high - spec.command_low)
        return SafetyLimits(
            low=spec.command_low + margin,
            high=spec.command_high - margin,
            max_speed=_max_speed(settings.max_speed, spec),
            measured=_measured(settings.measured, spec),
        )


@dataclass(frozen=True, slots=True)
class SafetyReport:
    """What the filter did.

    Attributes:
        causes: bits of `CAUSES`: why the safe command differs from the desired one by more than rounding; 0: it does
            not.
    """

    causes: int

    @property
    def changed(self) -> bool:
        """Whether the filter intervened."""
        return self.causes != 0


def cause_name(bit: int) -> str:
    """The name of one bit of a mask."""
    return CAUSES.get(bit, f"bit {bit}")


def filter_command(
    limits: SafetyLimits, previous: Command | None, desired: Command, state: RobotState, dt: float
) -> tuple[SafeCommand, SafetyReport]:
    """The command nearest to the desired one that is finite, in range, and not too far from the one before.

    Applying it twice changes nothing more, and a safe command passes bit for bit.

    Args:
        limits: of this robot.
        previous: the command sent one period before; None at the start of an episode.
        desired: (C,) what was asked for; non-finite elements make it hold the previous command whole.
        state: measured now; tells where the robot stands when there is no previous command.
        dt: control period [s]. The nominal one: a late tick must not be allowed a longer step.

    Returns:
        A command of its own, read-only memory, and what was done to it.

    Raises:
        DataError: another shape than (C,), a `dt` that is not a positive time, a non-finite measurement.
        FaultError: a non-finite command, and nothing to hold instead.
    """
    wanted = desired.values
    if wanted.shape != limits.low.shape:
        raise DataError("Desired command", f"its shape is {wanted.shape}", f"{limits.low.shape}")
    if not 0 < dt < math.inf:
        raise DataError("Safety filter", f"dt is {dt!r}", "a positive time in seconds")
    reference = _reference(limits, previous, state)
    causes = 0
    if not np.isfinite(wanted).all():  # first of all: comparisons and clip let NaN through
        if reference is None:
            raise FaultError(
                f"the first command of the episode is not finite at element {int(np.argmin(np.isfinite(wanted)))}",
                "Nothing has been sent. Look at the policy that asked for it.",
            )
        wanted, causes = reference, NON_FINITE
    in_range = np.clip(wanted, limits.low, limits.high)
    safe = in_range
    if reference is not None:
        step = limits.max_speed * dt
        safe = np.clip(in_range, reference - step, reference + step)
    tolerance = _ROUNDING * (limits.high - limits.low)
    if (np.abs(in_range - wanted) > tolerance).any():
        causes |= POSITION
    if (np.abs(safe - in_range) > tolerance).any():
        causes |= VELOCITY
    safe.flags.writeable = False  # what passed here is what the robot gets
    return SafeCommand(Command(safe)), SafetyReport(causes)


def _reference(limits: SafetyLimits, previous: Command | None, state: RobotState) -> NDArray[np.float64] | None:
    """(C,) where speed counts from, inside the range so that range and speed can always both be kept."""
    if previous is not None:
        values = previous.values
    elif limits.measured:
        values = np.concatenate([state.values[name].ravel() for name in limits.measured])
    else:
        return None
    if not np.isfinite(values).all():
        raise DataError("Safety filter", "the previous command or its measurement is not finite", "finite values")
    return np.clip(values, limits.low, limits.high)


def _max_speed(setting: Mapping[str, float] | float | None, spec: RobotSpec) -> NDArray[np.float64]:
    if setting is None:
        return np.full(spec.command_size, np.inf)
    names = [f.name for f in spec.command]
    speeds = dict(setting) if isinstance(setting, Mapping) else dict.fromkeys(names, setting)
    if set(speeds) != set(names):
        raise ConfigError("safety.max_speed", speeds, f"one number, or one for each of the command fields {names}")
    for name, speed in speeds.items():
        if not (isinstance(speed, int | float) and speed > 0):  # NaN compares false
            raise ConfigError(f"safety.max_speed.{name}", speed, "a positive speed in the field's unit per second")
    return np.concatenate([np.full(f.size, float(speeds[f.name])) for f in spec.command])


def _measured(setting: Mapping[str, str], spec: RobotSpec) -> tuple[str, ...]:
    if not setting:
        return ()
    names = [f.name for f in spec.command]
    if set(setting) != set(names):
        raise ConfigError("safety.measured", dict(setting), f"a state field for each of the command fields {names}")
    for command in spec.command:
        state = spec.state_field(setting[command.name])
        if (state.size, state.unit) != (command.size, command.unit):
            raise ConfigError(
                f"safety.measured.{command.name}",
                f"{state.name} ({state.size} elements in {state.unit})",
                f"a state field of {command.size} elements in {command.unit}",
            )
    return tuple(setting[name] for name in names)
