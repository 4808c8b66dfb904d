"""A terminal as a teleoperation device: keys move axes, other keys are a person's words. No window system is needed.

A terminal tells of presses and of repeats, never of releases. So a key counts as held for `hold_s` after each of its
presses; the repeats of a key that is really held bridge that time.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.axes import AxisMap, Integrator
from rlpd_robot.robot.teleop.source import Event, Following, Resting, Seeing, TeleopSample, TeleopSource, positive_time
from rlpd_robot.robot.teleop.terminal import NAMED_KEYS, TerminalKeys
from rlpd_robot.spec import RobotSpec

WORDS: Mapping[str, Event] = {
    "enter": Event.START,
    "1": Event.SUCCESS,
    "0": Event.FAILURE,
    "backspace": Event.DISCARD,
    "U": Event.UNDO,
    "P": Event.PAUSE,
    "A": Event.ARM,
    "Q": Event.QUIT,
}
"""The keys of a person's words. Letters are capitals: small ones move the robot."""

CLUTCH = "space"


class KeyboardTeleop:
    """Keys that move a robot by rates. Space lets go of the clutch, and takes it again.

    Args:
        spec: of the robot.
        axes: see `AxisMap`.
        keys: key → "axis" or "-axis".
        hold_s: how long a key counts as held after each press [s].
        words: key → event, in the place of `WORDS`.
        fd: terminal; standard input unless told otherwise.
        clock: monotonic [s].

    Raises:
        ConfigError: there is no terminal, a key has two meanings, or an axis does not exist.
    """

    name = "keyboard"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        axes: Mapping[str, Mapping[str, float]],
        keys: Mapping[str, str],
        hold_s: float = 0.15,
        words: Mapping[str, str] | None = None,
        fd: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        axis_map = AxisMap(axes, spec)
        self._words = check_words(words)
        self._axes = {str(key): axis_map.parse(f"teleop.keys.{key}", text) for key, text in keys.items()}
        for key in self._axes:
            _check_key(f"teleop.keys.{key}", key)
            if key in self._words or key == CLUTCH:
                taken = self._words.get(key, "the clutch")
                raise ConfigError(f"teleop.keys.{key}", key, f"another key; this one is '{taken}'")
        self._integrator = Integrator(axis_map, spec)
        self._hold_s, self._clock = positive_time("teleop.hold_s", hold_s), clock
        self._pressed: dict[str, float] = {}
        self._engaged, self._stamp, self._count = True, clock(), 0
        self._terminal = TerminalKeys(fd).__enter__()
        if not self._terminal.reads:
            raise ConfigError("teleop", self.name, "another device where no terminal is attached to read keys from")

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`. The clutch is engaged: nothing moves before a key."""
        self._pressed.clear()
        self._engaged = True
        self._integrator.begin(action)

    def rest(self, action: NDArray[np.float32]) -> None:
        """See `Resting`."""
        self._integrator.begin(action)

    def follow(self, action: NDArray[np.float32]) -> None:
        """See `Following`."""
        self._integrator.follow(action)

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        now = self._clock()
        events: list[Event] = []
        for key in self._terminal.read():
            self._count += 1
            if key in self._axes:
                self._pressed[key] = now
            elif key in self._words:
                events.append(self._words[key])
            elif key == CLUTCH:
                self._engaged = not self._engaged
                self._pressed.clear()
        if self._terminal.reads:
            self._stamp = now
        action = self._integrator.move(self._deflections(now) if self._engaged else {})
        return TeleopSample(action, self._engaged, tuple(events), self._stamp)

    def help(self) -> Mapping[str, str]:
        """See `TeleopSource`."""
        axes = {key: ("-" if sign < 0 else "+") + axis for key, (axis, sign) in self._axes.items()}
        return {**axes, CLUTCH: "clutch", **{key: str(event) for key, event in self._words.items()}}

    def stats(self) -> Mapping[str, float]:
        """Keys pressed, repeats included."""
        return {"keys": float(self._count)}

    def close(self) -> None:
        """Put the terminal back."""
        self._terminal.__exit__()

    def _deflections(self, now: float) -> dict[str, float]:
        deflections: dict[str, float] = {}
        for key, at in self._pressed.items():
            if now - at < self._hold_s:
                axis, sign = self._axes[key]
                deflections[axis] = deflections.get(axis, 0.0) + sign
        return deflections


class WithKeys:
    """Another source, and a person's words by the keys of a terminal where there is one."""

    def __init__(self, source: TeleopSource, words: Mapping[str, str] | None = None, fd: int | None = None) -> None:
        self.name, self.person = source.name, source.person
        self._source, self._words = source, check_words(words)
        self._terminal = TerminalKeys(fd).__enter__()
        self.reads = self._terminal.reads
        if isinstance(source, Seeing):
            self.see = source.see
        if isinstance(source, Resting):
            self.rest = source.rest
        if isinstance(source, Following):
            self.follow = source.follow
        self.version = getattr(source, "version", -1)

    def begin(self, action: NDArray[np.float32]) -> None:
        """As the source."""
        self._source.begin(action)

    def poll(self) -> TeleopSample:
        """As the source, with the words of the keyboard after its own."""
        sample = self._source.poll()
        events = [self._words[key] for key in self._terminal.read() if key in self._words]
        return TeleopSample(sample.action, sample.enabled, (*sample.events, *events), sample.stamp)

    def help(self) -> Mapping[str, str]:
        """Of both."""
        words = {key: str(event) for key, event in self._words.items()} if self.reads else {}
        return {**self._source.help(), **words}

    def stats(self) -> Mapping[str, float]:
        """As the source."""
        return self._source.stats()

    def close(self) -> None:
        """Close the source, and put the terminal back."""
        self._terminal.__exit__()
        self._source.close()


def check_words(words: Mapping[str, str] | None) -> dict[str, Event]:
    """Key → event as a person may set it.

    Raises:
        ConfigError: there is no such key or event.
    """
    if words is None:
        return dict(WORDS)
    for key, event in words.items():
        _check_key(f"teleop.words.{key}", str(key))
        if event not in set(Event):
            raise ConfigError(f"teleop.words.{key}", event, f"one of {[str(e) for e in Event]}")
    return {str(key): Event(event) for key, event in words.items()}


def _check_key(key: str, name: str) -> None:
    if name not in NAMED_KEYS and not (len(name) == 1 and name.isprintable()):
        raise ConfigError(key, name, f"a single character, or one of {list(NAMED_KEYS)}")
