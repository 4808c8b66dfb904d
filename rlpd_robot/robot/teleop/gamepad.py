"""A gamepad through pygame-ce, without a window: its events are read where SDL puts them."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, MissingPackageError
from rlpd_robot.robot.teleop.axes import AxisMap, Integrator
from rlpd_robot.robot.teleop.controls import Controls
from rlpd_robot.robot.teleop.source import TeleopSample
from rlpd_robot.spec import RobotSpec

STICKS = ("left_x", "left_y", "left_trigger", "right_x", "right_y", "right_trigger")
BUTTONS = ("a", "b", "x", "y", "left_bumper", "right_bumper", "back", "start", "guide", "left_stick", "right_stick")
"""Names in the order in which Linux numbers an Xbox pad's axes and buttons; others are `axis_N`, `button_N`."""

_MAX = 32
STICK_NAMES = (*STICKS, *(f"axis_{i}" for i in range(_MAX)), "hat_x", "hat_y")
BUTTON_NAMES = (*BUTTONS, *(f"button_{i}" for i in range(_MAX)))

_ENVIRONMENT = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS": "1",  # there is no window that could have the focus
    "SDL_NO_SIGNAL_HANDLERS": "1",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}


class GamepadTeleop:
    """Sticks that move a robot by rates, and buttons.

    Args:
        spec: of the robot.
        axes: see `AxisMap`.
        sticks, buttons, dead_zone: see `Controls`; names are those of `STICK_NAMES` and `BUTTON_NAMES`.
        index: which gamepad; none: whatever sends events, also one that is plugged in later.
        clock: monotonic [s].

    Raises:
        MissingPackageError: pygame-ce is not installed.
        ConfigError: there is no such gamepad, or a map is wrong.
    """

    name = "gamepad"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        axes: Mapping[str, Mapping[str, float]],
        sticks: Mapping[str, object],
        buttons: Mapping[str, str],
        dead_zone: float = 0.1,
        index: int | None = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        axis_map = AxisMap(axes, spec)
        self._controls = Controls(axis_map, sticks, buttons, dead_zone, (STICK_NAMES, BUTTON_NAMES))
        self._integrator, self._clock = Integrator(axis_map, spec), clock
        if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
            raise ConfigError("teleop.index", index, "a number from 0, or null for any gamepad")
        self._pygame = _start()
        self._pads: dict[int, Any] = {}
        try:
            if index is not None:
                self._open(index)
        except BaseException:
            self.close()
            raise
        self._only = set(self._pads) if index is not None else None
        self._raw: dict[str, float] = {}
        self._held: dict[str, None] = {}
        self._stamp, self._gone, self._count = clock(), False, 0

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`."""
        self._integrator.begin(action)

    def rest(self, action: NDArray[np.float32]) -> None:
        """See `Resting`."""
        self._integrator.begin(action)

    def follow(self, action: NDArray[np.float32]) -> None:
        """See `Following`."""
        self._integrator.follow(action)

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        pressed: list[str] = []
        for event in self._pygame.event.get():
            self._count += 1
            self._take(event, pressed)
        if not self._gone:
            self._stamp = self._clock()
        enabled = self._controls.enabled(self._held) and not self._gone
        action = self._integrator.move(self._controls.deflections(self._raw, self._held) if enabled else {})
        return TeleopSample(action, enabled, self._controls.events(pressed), self._stamp)

    def help(self) -> Mapping[str, str]:
        """See `TeleopSource`."""
        return self._controls.help()

    def stats(self) -> Mapping[str, float]:
        """Events that came."""
        return {"gamepad_events": float(self._count)}

    def close(self) -> None:
        """Release the gamepad."""
        self._pads.clear()
        self._pygame.joystick.quit()
        self._pygame.display.quit()

    def _open(self, index: int) -> None:
        count = self._pygame.joystick.get_count()
        if not 0 <= index < count:
            found = f"there are {count}" if count else "no gamepad is connected (or you may not read /dev/input)"
            raise ConfigError("teleop.index", index, f"the number of a gamepad, counted from 0; {found}")
        pad = self._pygame.joystick.Joystick(index)
        self._pads[pad.get_instance_id()] = pad

    def _plugged(self, index: int) -> None:
        """One was plugged in, and may have gone by now."""
        try:
            self._open(index)
        except (ConfigError, self._pygame.error):
            return
        self._only = None if self._only is None else set(self._pads)
        self._gone = False

    def _take(self, event: Any, pressed: list[str]) -> None:
        pygame = self._pygame
        pad = getattr(event, "instance_id", None)
        if event.type == pygame.JOYDEVICEADDED and (self._only is None or self._gone):
            self._plugged(event.device_index)
        elif self._only is not None and pad not in self._only:
            return
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._pads.pop(event.instance_id, None)
            self._raw.clear()
            self._held.clear()
            self._gone = not self._pads
        elif event.type == pygame.JOYAXISMOTION:
            self._raw[_name(STICKS, "axis", event.axis)] = self._raw[f"axis_{event.axis}"] = event.value
        elif event.type == pygame.JOYHATMOTION:
            self._raw["hat_x"], self._raw["hat_y"] = map(float, event.value)
        elif event.type in (pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP):
            for name in dict.fromkeys((_name(BUTTONS, "button", event.button), f"button_{event.button}")):
                self._held.pop(name, None)
                if event.type == pygame.JOYBUTTONDOWN:
                    self._held[name] = None
                    pressed.append(name)


def _name(names: tuple[str, ...], kind: str, number: int) -> str:
    return names[number] if number < len(names) else f"{kind}_{number}"


def _start() -> Any:
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    try:
        import pygame
    except ImportError as error:
        raise MissingPackageError("pygame-ce", "a gamepad", "teleop") from error
    pygame.display.init()  # events go through it; the dummy driver shows nothing
    pygame.joystick.init()
    return pygame
