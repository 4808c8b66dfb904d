"""The last thing between a policy and metal: a pure function from a desired command to a safe one.

Three stages: finite and shape → soft limits, which bend a command → hard limits, which stop the robot until a person
has looked. The only place where a `SafeCommand` is made. docs/safety.md says what is promised, and what is not.

**When limits contradict each other**, the first of these is kept: the robot's own range; speed; acceleration; jerk;
speed from commands that may still be under way; step from the measured state and effort, which brake the command as
hard as the rates allow. The soft range is never left; a robot that starts outside it is let in at the pace of its rates
and no further out. From the history that this filter makes there is no contradiction (`robot/braking.py` proves it):
every command that it lets through can be brought to rest inside the range within speed, acceleration and jerk. From
another history, which only a bug could make, an element that cannot be stopped in time any more is held where it is, at
once.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError, FaultError
from rlpd_robot.robot.braking import Braking, moves
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.safety_limits import SafetyLimits, SafetySettings
from rlpd_robot.types import Command, RobotState

__all__ = ["CAUSES", "History", "SafetyLimits", "SafetyReport", "SafetySettings", "filter_command"]

Floats = NDArray[np.float64]

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
_LOST = 1e-6  # of an element's range: braking that passes an end by more than this is not the filter's own rounding

_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """How the commands that the robot follows have moved: from where its next one counts.

    Attributes:
        position: (C,) the command that it follows, in the command's units.
        velocity: (C,) last first difference of its commands [unit a period].
        acceleration: (C,) last second difference [unit a period²].
        under_way: (C,) each, commands sent after `position` that the robot has not followed, and yet may: the next one
            keeps its speed from them, too.
    """

    position: Floats
    velocity: Floats
    acceleration: Floats
    under_way: Sequence[Floats] = ()

    @staticmethod
    def at_rest(position: Floats, under_way: Sequence[Floats] = ()) -> "History":
        """Of a robot that stands, or that has held the command `position` for a period."""
        still = np.zeros_like(position)
        return History(position, still, still, under_way)


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
    limits: SafetyLimits, history: History | None, desired: Command, state: RobotState
) -> tuple[SafeCommand, SafetyReport, History]:
    """The command nearest to the desired one that keeps every limit, now and until it could be brought to rest.

    Applying it twice changes nothing more, and a safe command passes bit for bit.

    Args:
        limits: of this robot.
        history: of the commands that the robot follows; None at the start of an episode.
        desired: (C,) what was asked for; with a non-finite element in it, the robot is held instead.
        state: measured now.

    Returns:
        A command of its own, read-only memory; what was done to it; and the history once the robot follows it.

    Raises:
        DataError: another shape than (C,), a non-finite measurement of where the robot stands.
        FaultError: what is measured lies outside a hard limit, or what is desired far outside the range; a non-finite
            command, and nothing to hold instead.
    """
    if history is None and (stands := limits.where(state)) is not None:
        history = History.at_rest(np.minimum(np.maximum(stands, limits.own_low), limits.own_high))
    wanted, causes = finite_and_shape(limits, history, desired)
    safe, bent = soft_limits(limits, history, wanted, state)
    hard_limits(limits, wanted, safe, state)
    safe.flags.writeable = False  # what passed here is what the robot gets
    return SafeCommand(Command(safe)), SafetyReport(causes | bent), _moved(limits, history, safe)


def finite_and_shape(limits: SafetyLimits, history: History | None, desired: Command) -> tuple[Floats, int]:
    """Stage 1, before anything is compared, since comparisons let NaN through: (C,) what to go on with, and causes."""
    wanted = desired.values
    if wanted.shape != limits.low.shape:
        raise DataError("Desired command", f"its shape is {wanted.shape}", f"{limits.low.shape}")
    if history is not None and not (np.isfinite(history.position).all() and np.isfinite(history.velocity).all()):
        raise DataError("Safety filter", "the previous command or its measurement is not finite", "finite values")
    if np.isfinite(wanted).all():
        return wanted, 0
    if history is None:
        raise FaultError(
            f"the first command of the episode is not finite at element {int(np.argmin(np.isfinite(wanted)))}",
            "Nothing has been sent. Look at the policy that asked for it.",
        )
    return history.position, NON_FINITE


def soft_limits(limits: SafetyLimits, history: History | None, wanted: Floats, state: RobotState) -> tuple[Floats, int]:
    """Stage 2: (C,) the nearest command that keeps range, rates, step, workspace and effort, and why it is another."""
    guides = _guides(limits, history, state)
    steered = wanted
    for _, low, high in guides:
        steered = _clip(steered, low, high)
    bounds = _bounds(limits, history)
    _, low, high = bounds[-1]
    safe = _clip(steered, low, high)
    if history is not None and limits.braking is not None:
        safe = _stoppable(limits, limits.braking, history, safe, bounds)
    if (safe == wanted).all():
        return wanted.copy(), 0
    return safe, _causes(limits, wanted, [*guides, *bounds], safe)


def hard_limits(limits: SafetyLimits, wanted: Floats, safe: Floats, state: RobotState) -> None:
    """Stage 3: what is measured and what was wanted may not be outrageous, and what leaves here is in range."""
    check_measured(limits, state)
    least, most = limits.outrageous
    sane = (wanted >= least) & (wanted <= most)
    if not sane.all():
        i = int(np.argmin(sane))
        own = f"[{limits.own_low[i]:g}, {limits.own_high[i]:g}]"
        raise FaultError(
            f"element {i} of the desired command is {wanted[i]:g}, which is more than {limits.max_excess:g} times the "
            f"width of the robot's own range {own} outside of it",
            "Nothing has been sent. Look at what asked for it, then arm again (`rlpd-robot arm`).",
        )
    if not ((safe >= limits.own_low) & (safe <= limits.own_high)).all():  # also for NaN; never seen
        raise FaultError("the filter's own result lies outside the robot's range", "Nothing has been sent.")


def check_measured(limits: SafetyLimits, state: RobotState) -> None:
    """Whether the robot itself is where it may be.

    Raises:
        FaultError: a measurement is outside a hard limit, or no number.
    """
    for box in limits.hard:
        values = state.values[box.name].ravel()
        inside = (values >= box.low) & (values <= box.high)  # False for NaN
        if not inside.all():
            i = int(np.argmin(inside))
            raise FaultError(
                f"measured '{box.name}' is {values[i]:g} {box.unit} at element {i}, beyond its hard limit "
                f"[{box.low[i]:g}, {box.high[i]:g}]",
                "See to the robot, then arm it again (`rlpd-robot arm`).",
            )


_Cut = tuple[int, Floats, Floats]
"""A bit of `CAUSES`, and the (C,) ends between which it wants the command."""


def _guides(limits: SafetyLimits, history: History | None, state: RobotState) -> list[_Cut]:
    """Step and effort: where to steer, as far as the limits let it."""
    found: list[_Cut] = []
    if limits.has_step and (stands := limits.where(state)) is not None:
        if not np.isfinite(stands).all():
            raise DataError("Safety filter", "the measurement of where the robot stands is not finite", "finite values")
        found.append((STEP, stands - limits.max_step, stands + limits.max_step))
    if limits.effort and history is not None:
        low, high = np.full(len(limits.low), -np.inf), np.full(len(limits.low), np.inf)
        for elements, name, soft in limits.effort:
            effort, position = state.values[name].ravel(), history.position[elements]
            high[elements] = np.where(effort > soft, position, np.inf)
            low[elements] = np.where(effort < -soft, position, -np.inf)
        found.append((EFFORT, low, high))
    return found


def _bounds(limits: SafetyLimits, history: History | None) -> list[_Cut]:
    """What one period allows, each cut within the one before: where they contradict each other, the earlier wins."""
    if history is None:
        return [(POSITION, limits.low, limits.high)]
    x, v = history.position, history.velocity
    stands = np.minimum(np.maximum(x, limits.own_low), limits.own_high)  # x but for rounding
    low, high = np.minimum(limits.low, stands), np.maximum(limits.high, stands)  # from outside only inwards
    found = [(POSITION, low, high)]
    step, bend, jerk = limits.steps
    rates: list[_Cut] = []
    if limits.has_speed:
        rates.append((VELOCITY, x - step, x + step))
    if limits.braking is not None:
        drift, unit = x + v, limits.braking.unit
        least, most = limits.braking.speed_bounds(v / unit)
        rates.append((ACCELERATION, drift - bend, drift + bend))
        rates.append((VELOCITY if limits.has_speed else JERK, drift + unit * least, drift + unit * most))
        drift = drift + history.acceleration
        rates.append((JERK, drift - jerk, drift + jerk))
    if limits.has_speed:
        rates += [(VELOCITY, sent - step, sent + step) for sent in history.under_way]
    for bit, least, most in rates:
        low, high = _clip(least, low, high), _clip(most, low, high)
        found.append((bit, low, high))
    return found


def _stoppable(limits: SafetyLimits, braking: Braking, history: History, target: Floats, bounds: list[_Cut]) -> Floats:
    """(C,) the target, or so much of it that the robot can be brought to rest before an end of its range."""
    room = limits.stopping_room
    if ((target >= limits.low + room) & (target <= limits.high - room)).all():
        return target
    over, side, ahead = _overrun(limits, braking, history, target)
    bad = over > 0
    if not bad.any():
        return target
    _, low, high = bounds[-1]
    unit = braking.unit
    slow = (
        history.position + history.velocity + unit * braking.brake(history.velocity / unit, history.acceleration / unit)
    )
    brake = _clip(slow, low, high)
    lost, _, behind = _overrun(limits, braking, history, brake, side)
    # Where braking ends is a convex function of the command. So the chord between a command that ends inside and one
    # that does not meets the end of the range no later than the function itself. The result is looked at all the same.
    spare = np.maximum(-behind, 0.0)
    part = spare / np.maximum(spare + np.maximum(ahead, 0.0), _TINY)
    cut = np.where(bad, brake + part * (target - brake), target)
    again, _, _ = _overrun(limits, braking, history, cut)
    cut = np.where(again > 0, brake, cut)
    gone = bad & (lost > _LOST * limits.width)
    return _clip(np.where(gone, history.position, cut), bounds[0][1], bounds[0][2])


def _overrun(
    limits: SafetyLimits, braking: Braking, history: History, command: Floats, side: Floats | None = None
) -> tuple[Floats, Floats, Floats]:
    """How far braking after this command passes the range, in the command's units.

    Returns:
        (C,) at all, negative where it does not; the side where it does so most, 1 for the upper; and how far on that
        side, or on the one that is given, even where nothing moves that way.
    """
    v = command - history.position
    towards, dip, end = braking.reach(v / braking.unit, (v - history.velocity) / braking.unit)
    back, forth = moves(dip, end)
    off = towards * (command - limits.middle)
    ahead = off + braking.unit * end - limits.half
    over = np.where(forth, ahead, -np.inf)
    if back.any():
        behind = -off - braking.unit * dip - limits.half
        over_back = np.where(back, behind, -np.inf)
        worse = over_back > over
        over, ahead, towards, behind = (
            np.maximum(over, over_back),
            np.where(worse, behind, ahead),
            np.where(worse, -towards, towards),
            np.where(worse, ahead, behind),
        )
    else:
        behind = -off - limits.half
    if side is None:
        return over, towards, ahead
    return over, side, np.where(side == towards, ahead, behind)


def _causes(limits: SafetyLimits, wanted: Floats, cuts: list[_Cut], safe: Floats) -> int:
    """Which of these, in turn, changed the command by more than rounding."""
    tolerance = _ROUNDING * limits.width
    causes, place = 0, np.zeros(len(wanted), np.bool_)
    for bit, low, high in cuts:
        cut = _clip(wanted, low, high)
        changed = np.abs(cut - wanted) > tolerance
        if bit == POSITION:
            place |= changed
        elif changed.any():
            causes |= bit
        wanted = cut
    place |= np.abs(safe - wanted) > tolerance  # too fast to stop in time
    if (place & ~limits.cartesian).any():
        causes |= POSITION
    return causes | WORKSPACE if (place & limits.cartesian).any() else causes


def _moved(limits: SafetyLimits, history: History | None, safe: Floats) -> History:
    """The history once the robot follows `safe`."""
    if history is None:
        return History.at_rest(safe)
    velocity = safe - history.position
    acceleration = velocity - history.velocity
    if limits.braking is not None:
        _, most, _ = limits.steps
        broken = np.abs(acceleration) > most * (1 + _LOST)  # by a history that was not this filter's; it is over now
        acceleration = np.where(broken & (velocity == 0), 0.0, _clip(acceleration, -most, most))
    return History(safe, velocity, acceleration)


def _clip(values: Floats, low: Floats, high: Floats) -> Floats:
    """`np.clip` of a few elements in a third of its time."""
    return np.minimum(np.maximum(values, low), high)
