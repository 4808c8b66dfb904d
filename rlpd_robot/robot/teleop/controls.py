"""From the sticks and buttons of a device to axes, to a dead-man switch and to a person's words, as YAML has them:

sticks: {left_y: -forward, right_x: {axis: roll, dead_zone: 0.2, scale: 0.5}, left_trigger: {axis: grip, rest: -1}}
buttons: {a: start, right_bumper: dead_man, x: grip, y: -grip}
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.axes import AxisMap, check_shape, shape
from rlpd_robot.robot.teleop.source import Event

DEAD_MAN = "dead_man"
_KEYS = ("axis", "dead_zone", "scale", "rest")


@dataclass(frozen=True)
class Stick:
    """What one stick moves.

    Attributes:
        axis: of the `AxisMap`.
        dead_zone: see `axes.shape`.
        scale: sign included.
        rest: -1 for a trigger, whose raw values run from there when let go to +1; 0 for others.
    """

    axis: str
    dead_zone: float
    scale: float
    rest: float

    def value(self, raw: float) -> float:
        """The deflection that counts."""
        return shape(raw if self.rest == 0 else max(0.0, (raw + 1) / 2), self.dead_zone, self.scale)


class Controls:
    """The whole of a device.

    Args:
        axes: of the robot.
        sticks: stick → "axis", "-axis", or a mapping of `axis`, and where wanted `dead_zone`, `scale` and `rest`.
        buttons: button → "axis", "-axis" (full deflection while it is held), an event, or "dead_man".
        dead_zone: of sticks that do not say their own.
        known: names that the device has: sticks and buttons.

    Raises:
        ConfigError: a name that the device has not got, an axis or a word that does not exist, a number out of range.
    """

    def __init__(
        self,
        axes: AxisMap,
        sticks: Mapping[str, object],
        buttons: Mapping[str, str],
        dead_zone: float,
        known: tuple[Iterable[str], Iterable[str]],
    ) -> None:
        check_shape("teleop", dead_zone, 1.0)
        for key, names, given in zip(("sticks", "buttons"), known, (sticks, buttons), strict=True):
            if not isinstance(given, Mapping):
                raise ConfigError(f"teleop.{key}", given, f"a mapping from some of {list(names)}")
            for name in given:
                if str(name) not in names:
                    raise ConfigError(f"teleop.{key}", name, f"one of {list(names)}")
        self._sticks = {str(n): _stick(axes, f"teleop.sticks.{n}", s, dead_zone) for n, s in sticks.items()}
        self._events: dict[str, Event] = {}
        self._moves: dict[str, tuple[str, float]] = {}
        self._dead_man: set[str] = set()
        for name, meaning in buttons.items():
            if str(meaning) == DEAD_MAN:
                self._dead_man.add(str(name))
            elif str(meaning) in set(Event):
                self._events[str(name)] = Event(str(meaning))
            else:
                self._moves[str(name)] = _move(axes, f"teleop.buttons.{name}", meaning)

    def deflections(self, raw: Mapping[str, float], held: Iterable[str]) -> dict[str, float]:
        """By axis, from the raw value of each stick and the buttons that are held; never beyond ±1."""
        total: dict[str, float] = {}
        for name, stick in self._sticks.items():
            total[stick.axis] = total.get(stick.axis, 0.0) + stick.value(raw.get(name, stick.rest))
        for name in held:
            if name in self._moves:
                axis, sign = self._moves[name]
                total[axis] = total.get(axis, 0.0) + sign
        return {axis: max(-1.0, min(1.0, value)) for axis, value in total.items()}

    def enabled(self, held: Iterable[str]) -> bool:
        """Whether the dead-man switch is held; always, where no button is one."""
        return not self._dead_man or any(name in self._dead_man for name in held)

    def events(self, pressed: Iterable[str]) -> tuple[Event, ...]:
        """What newly pressed buttons say."""
        return tuple(self._events[name] for name in pressed if name in self._events)

    def help(self) -> dict[str, str]:
        """By stick or button, what it does."""
        sticks = {name: ("-" if stick.scale < 0 else "+") + stick.axis for name, stick in self._sticks.items()}
        moves = {name: ("-" if sign < 0 else "+") + axis for name, (axis, sign) in self._moves.items()}
        dead_man = dict.fromkeys(sorted(self._dead_man), "dead-man")
        return {**sticks, **moves, **dead_man, **{name: str(event) for name, event in self._events.items()}}


def _move(axes: AxisMap, key: str, meaning: object) -> tuple[str, float]:
    try:
        return axes.parse(key, meaning)
    except ConfigError:
        words = [DEAD_MAN, *map(str, Event)]
        expected = f"an axis of teleop.axes, with or without '-' (one of {list(axes.names)}), or one of {words}"
        raise ConfigError(key, meaning, expected) from None


def _stick(axes: AxisMap, key: str, given: object, dead_zone: float) -> Stick:
    told = dict(given) if isinstance(given, Mapping) else {"axis": given}
    for name in told:
        if name not in _KEYS:
            raise ConfigError(f"{key}.{name}", told[name], f"one of the keys {list(_KEYS)}")
    axis, sign = axes.parse(f"{key}.axis", told.get("axis"))
    zone, scale = check_shape(key, told.get("dead_zone", dead_zone), told.get("scale", 1.0))
    rest = told.get("rest", 0)
    if isinstance(rest, bool) or rest not in (0, -1):
        raise ConfigError(f"{key}.rest", rest, "0, or -1 for a trigger")
    return Stick(axis, zone, sign * scale, float(rest))
