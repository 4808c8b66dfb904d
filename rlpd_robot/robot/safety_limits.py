"""What a robot may be asked to do: limits as a person writes them, and as the filter uses them.

A limits file is one YAML of `robot_configs/safety/`; docs/safety.md has one with every key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.braking import Braking
from rlpd_robot.robot.limit_entries import Floats, box, numbers, per_field, provenance
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

_RESOLUTION = 1e-9  # of a range: less in one period is lost in the rounding of positions

_RATES = ("max_speed", "max_acceleration", "max_jerk")


@dataclass(frozen=True)
class SafetySettings:
    """Limits as a person writes them. A command field's unit is u; `limit_entries.py` says what an entry is.

    Attributes:
        name: of this set of limits.
        margin: part of each command element's own range kept free at both ends, in [0, 0.5), where neither `range` nor
            `workspace` says otherwise.
        max_speed, max_acceleration, max_jerk: fastest change of a command [u/s], of that [u/s²], and of that [u/s³]:
            none, one number, or for each command field a number or an entry.
        source: of the whole set, for whoever reads it next.
        measured: command field → the state field of the same shape and unit that measures it. An episode's first
            command is held to the limits from there; without it that command may be anywhere in the range.
        range: command field → box that its values stay in; without `low` and `high` the robot's own range.
        workspace: the same for a field of Cartesian axes; reported as such.
        max_step: farthest that a command may be from what `measured` says [u]; as `max_speed`.
        effort: command field → `{field, soft, hard, unit, margin, source}`: the state field with the effort on each
            element, positive where it pushes towards larger commands; from `soft` on the command goes no further
            that way, beyond `hard` the robot is stopped.
        hard: state field → box; a measurement outside stops the robot until a person has looked.
        max_excess: a desired command farther outside the robot's own range than so many times that range stops the
            robot: it comes from something broken.
        none_because: why a simulated robot has no such limits. A real robot does not start without.
    """

    name: str = "robot range"
    margin: float = 0.0
    max_speed: Any = None
    source: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)
    max_acceleration: Any = None
    max_jerk: Any = None
    max_step: Any = None
    range: Mapping[str, Any] = field(default_factory=dict)
    workspace: Mapping[str, Any] = field(default_factory=dict)
    effort: Mapping[str, Any] = field(default_factory=dict)
    hard: Mapping[str, Any] = field(default_factory=dict)
    max_excess: float = 10.0
    none_because: str = ""


@dataclass(frozen=True, eq=False)
class Box:
    """Where one state field must be.

    Attributes:
        name: of the field.
        low, high: (N,) in its unit.
        unit: of it.
    """

    name: str
    low: Floats
    high: Floats
    unit: str = ""


@dataclass(frozen=True, eq=False)
class SafetyLimits:
    """Limits as the filter uses them, one number for each of the C command elements; inf where there is none.

    Attributes:
        low, high: (C,) range with the margin taken off, in the command's units.
        max_speed, max_acceleration, max_jerk: (C,) [command unit/s, /s², /s³].
        period_s: control period [s]. The nominal one: a late tick must not be allowed a longer step.
        own_low, own_high: (C,) the robot's own range; it follows nothing outside.
        measured: one state field for each command field in order, or () when the state does not tell them all.
        max_step: (C,) [command unit] from there.
        effort: state field with the effort on each of the elements, and (C,) bound of it where there is one.
        hard: of what is measured.
        max_excess: times the robot's own range.
        cartesian: (C,) True for an axis in space.
    """

    low: Floats
    high: Floats
    max_speed: Floats
    period_s: float
    own_low: Floats
    own_high: Floats
    max_acceleration: Floats
    max_jerk: Floats
    max_step: Floats
    cartesian: NDArray[np.bool_]
    measured: tuple[str, ...] = ()
    effort: tuple[tuple[slice, str, Floats], ...] = ()
    hard: tuple[Box, ...] = ()
    max_excess: float = np.inf

    @staticmethod
    def from_settings(settings: SafetySettings, spec: RobotSpec) -> "SafetyLimits":
        """The limits of one robot.

        Raises:
            ConfigError: a limit that leaves nothing, an unknown or forgotten field, a unit that is not the robot's.
            SpecError: the robot does not measure a field that is named.
        """
        low, high, cartesian = _ranges(settings, spec)
        speed, acceleration, jerk = (
            per_field(f"safety.{name}", getattr(settings, name), spec, i + 1) for i, name in enumerate(_RATES)
        )
        limits = SafetyLimits(
            low=low,
            high=high,
            max_speed=speed,
            period_s=spec.period_s,
            own_low=spec.command_low,
            own_high=spec.command_high,
            max_acceleration=acceleration,
            max_jerk=jerk,
            max_step=per_field("safety.max_step", settings.max_step, spec, 0),
            cartesian=cartesian,
            measured=_measured(settings.measured, spec),
            effort=_effort(settings.effort, spec),
            hard=(*_hard(settings.hard, spec), *_hard_effort(settings.effort, spec)),
            max_excess=float(numbers("safety.max_excess", settings.max_excess, 1, "above 0", positive=True)[0]),
        )
        limits._check(settings)
        return limits

    @staticmethod
    def of_robot(settings: SafetySettings, spec: RobotSpec, simulated: bool) -> "SafetyLimits":
        """The limits with which a robot may start: complete ones, or for a simulated robot the reason why not.

        Raises:
            ConfigError: they are incomplete, or as in `from_settings`.
        """
        limits = SafetyLimits.from_settings(settings, spec)
        missing = _missing(settings, spec)
        if missing and not (simulated and settings.none_because.strip()):
            more = f" ({len(missing)} things are missing)" if len(missing) > 1 else ""
            simulation = "; or, for a simulated robot, none_because" if simulated else ""
            raise ConfigError(f"safety.{missing[0][0]}", missing[0][1], f"{missing[0][2]}{more}{simulation}")
        return limits

    @cached_property
    def braking(self) -> Braking | None:
        """What acceleration and jerk allow; None where neither is limited."""
        if not (np.isfinite(self.max_acceleration).any() or np.isfinite(self.max_jerk).any()):
            return None
        rates = (self.max_speed, self.max_acceleration, self.max_jerk)
        return Braking.of(*rates, self.width, self.period_s)

    @cached_property
    def steps(self) -> tuple[Floats, Floats, Floats]:
        """(C,) each: largest first, second and third difference of the commands [command unit]."""
        dt = self.period_s
        return self.max_speed * dt, self.max_acceleration * dt**2, self.max_jerk * dt**3

    @cached_property
    def width(self) -> Floats:
        """(C,) of the robot's own range."""
        return self.own_high - self.own_low

    @cached_property
    def middle(self) -> Floats:
        """(C,) between `low` and `high`."""
        return 0.5 * (self.low + self.high)

    @cached_property
    def half(self) -> Floats:
        """(C,) from the middle to either."""
        return 0.5 * (self.high - self.low)

    @cached_property
    def has_speed(self) -> bool:
        """Whether any speed is limited."""
        return bool(np.isfinite(self.max_speed).any())

    @cached_property
    def has_step(self) -> bool:
        """Whether any distance from the measured state is limited."""
        return bool(np.isfinite(self.max_step).any())

    @cached_property
    def outrageous(self) -> tuple[Floats, Floats]:
        """(C,) each: what nobody in their senses asks for lies below the first, or above the second."""
        return self.own_low - self.max_excess * self.width, self.own_high + self.max_excess * self.width

    @cached_property
    def stopping_room(self) -> Floats:
        """(C,) farther than that no braking goes [command unit]."""
        if self.braking is None:
            return np.zeros(len(self.low))
        return np.where(np.isinf(self.max_acceleration) & np.isinf(self.max_jerk), 0.0, self.braking.farthest)

    def where(self, state: RobotState) -> Floats | None:
        """(C,) where the robot stands, in the command's units; None when the state does not tell."""
        if not self.measured:
            return None
        return np.concatenate([state.values[name].ravel() for name in self.measured], dtype=np.float64)

    def _check(self, settings: SafetySettings) -> None:
        for order, (name, step) in enumerate(zip(_RATES, self.steps, strict=True), 1):
            if (step < _RESOLUTION * self.width).any():
                least = _RESOLUTION * float(self.width.max()) / self.period_s**order
                raise ConfigError(
                    f"safety.{name}", getattr(settings, name), f"at least {least:.3g}, or rounding would hide it"
                )
        for name in ("max_acceleration", "max_jerk", "max_step"):
            if np.isfinite(getattr(self, name)).any() and not self.measured:
                raise ConfigError("safety.measured", {}, f"given where {name} is: the first command counts from there")


def _ranges(settings: SafetySettings, spec: RobotSpec) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """(C,) each: low, high, and whether it is an axis in space."""
    if not (isinstance(settings.margin, int | float) and 0 <= settings.margin < 0.5):
        raise ConfigError("safety.margin", settings.margin, "a part of the range in [0, 0.5)")
    names = [f.name for f in spec.command]
    for key in ("range", "workspace"):
        for name in getattr(settings, key):
            if name not in names or (key == "workspace" and name in settings.range):
                raise ConfigError(f"safety.{key}", name, f"command fields of {names}, each in range or in workspace")
    boxes = [_range(settings, f) for f in spec.command]
    low, high = (np.concatenate([b[i] for b in boxes]) for i in (0, 1))
    cartesian = np.concatenate([np.full(f.size, f.name in settings.workspace) for f in spec.command])
    return low, high, cartesian


def _range(settings: SafetySettings, of: Field) -> tuple[Floats, Floats]:
    own_low, own_high = np.array(of.low, np.float64), np.array(of.high, np.float64)
    key = "workspace" if of.name in settings.workspace else "range"
    entry = getattr(settings, key).get(of.name)
    if entry is None:
        margin = settings.margin * (own_high - own_low)
        return own_low + margin, own_high - margin
    low, high = box(f"safety.{key}.{of.name}", entry, of, ends=False)
    if not ((low >= own_low) & (high <= own_high)).all():
        own = f"inside the robot's own range {own_low.tolist()} to {own_high.tolist()}"
        raise ConfigError(f"safety.{key}.{of.name}", dict(entry), own)
    return low, high


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


def _hard(setting: Mapping[str, Any], spec: RobotSpec) -> tuple[Box, ...]:
    fields = [spec.state_field(name) for name in setting]
    return tuple(Box(f.name, *box(f"safety.hard.{f.name}", setting[f.name], f), f.unit) for f in fields)


_EFFORT = ("field", "soft", "hard")


def _effort(setting: Mapping[str, Any], spec: RobotSpec) -> tuple[tuple[slice, str, Floats], ...]:
    """Of each field that has one: its elements in the command, the state field, and (N,) its soft limit."""
    names, found, start = [f.name for f in spec.command], [], 0
    if not set(setting) <= set(names):
        raise ConfigError("safety.effort", sorted(setting), f"some of the command fields {names}")
    for command in spec.command:
        elements = slice(start, start := start + command.size)
        if command.name in setting:
            key, entry = f"safety.effort.{command.name}", setting[command.name]
            measured, soft, hard = _effort_entry(key, entry, spec)
            if measured.size != command.size or (soft > hard).any():
                expected = f"a state field of {command.size} elements, with soft at most hard"
                raise ConfigError(key, dict(entry), expected)
            found.append((elements, measured.name, soft))
    return tuple(found)


def _hard_effort(setting: Mapping[str, Any], spec: RobotSpec) -> tuple[Box, ...]:
    entries = [_effort_entry(f"safety.effort.{name}", entry, spec) for name, entry in setting.items()]
    return tuple(Box(measured.name, -hard, hard, measured.unit) for measured, _, hard in entries)


def _effort_entry(key: str, entry: Any, spec: RobotSpec) -> tuple[Field, Floats, Floats]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("field"), str):
        raise ConfigError(key, entry, "field, soft, hard, unit, margin and source")
    measured = spec.state_field(entry["field"])
    share = provenance(key, entry, _EFFORT, measured.unit)
    what = f"positive numbers in {measured.unit}"
    soft, hard = (numbers(f"{key}.{end}", entry[end], measured.size, what, positive=True) for end in ("soft", "hard"))
    return measured, soft * (1 - share), hard * (1 - share)


def _missing(settings: SafetySettings, spec: RobotSpec) -> list[tuple[str, object, str]]:
    """(key, what stands there, what should) of everything that keeps these limits from being complete."""
    found: list[tuple[str, object, str]] = []
    for name in (*_RATES, "max_step"):
        entries = getattr(settings, name)
        for f in spec.command:
            entry = entries.get(f.name) if isinstance(entries, Mapping) else entries
            if not isinstance(entry, Mapping):
                expected = "an entry of limit, unit, margin and source, or of none_because, before this robot starts"
                found.append((f"{name}.{f.name}", entry, expected))
    for f in spec.command:
        if f.name not in settings.range and f.name not in settings.workspace:
            expected = "an entry of unit, margin and source (and low, high), in range or workspace, before it starts"
            found.append((f"range.{f.name}", None, expected))
    if not settings.measured:
        found.append(("measured", {}, "the state field that measures each command field, before this robot starts"))
    for name in dict.fromkeys(settings.measured.values()):
        if name not in settings.hard:
            found.append((f"hard.{name}", None, "the box beyond which the robot is stopped, before it starts"))
    return found
