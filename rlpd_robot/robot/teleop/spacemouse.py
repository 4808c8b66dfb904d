"""A SpaceMouse through pyspacemouse, read in a thread of its own: a report is handled when it comes."""

import contextlib
import io
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, MissingPackageError
from rlpd_robot.robot.teleop.axes import AxisMap, Integrator
from rlpd_robot.robot.teleop.controls import Controls
from rlpd_robot.robot.teleop.reader import Reader
from rlpd_robot.robot.teleop.source import TeleopSample, positive_time
from rlpd_robot.spec import RobotSpec

STICK_NAMES = ("x", "y", "z", "roll", "pitch", "yaw")
"""x to the right, y away from the person, z up; turns about them, right-handed."""

BUTTON_NAMES = tuple(f"button_{i}" for i in range(32))

_LOOK_S = 0.002
_HANG_S = 0.1  # a reader that has not come round for so long hangs in the device
_PRESSES_KEPT = 64


class _Reading(NamedTuple):
    """What the mouse said last, and when; and when it was last looked at."""

    raw: dict[str, float]
    held: tuple[str, ...]
    said: float
    at: float


class SpaceMouseTeleop:
    """Six axes that move a robot by rates, and buttons.

    While it is moved, a mouse reports every 8 to 16 ms, also when it is held still off its centre, and then zeros. So
    one that falls silent off its centre, as a radio link does that breaks, moves nothing after `hold_s`.

    Args:
        spec: of the robot.
        axes: see `AxisMap`.
        sticks, buttons, dead_zone: see `Controls`; names are those of `STICK_NAMES` and `BUTTON_NAMES`.
        device: its name as pyspacemouse has it; none: the first.
        index: which of several interfaces of that name, counted from 0; a radio receiver has one for each mouse.
        hold_s: how long a deflection counts after its last report [s].
        clock: monotonic [s].

    Raises:
        MissingPackageError: pyspacemouse is not installed.
        ConfigError: there is no such device, it may not be read, or a map is wrong.
    """

    name = "spacemouse"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        axes: Mapping[str, Mapping[str, float]],
        sticks: Mapping[str, object],
        buttons: Mapping[str, str],
        dead_zone: float = 0.1,
        device: str | None = None,
        index: int = 0,
        hold_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        axis_map = AxisMap(axes, spec)
        self._controls = Controls(axis_map, sticks, buttons, dead_zone, (STICK_NAMES, BUTTON_NAMES))
        self._integrator, self._clock = Integrator(axis_map, spec), clock
        self._hold_s = positive_time("teleop.hold_s", hold_s)
        self._device = _open(device, index)
        self._reading = _Reading({}, (), clock(), clock())
        self._pressed: deque[str] = deque(maxlen=_PRESSES_KEPT)  # since the last poll; the reader appends
        self._count, self._last = 0, -1.0
        self._reader = Reader("The SpaceMouse", self._look, _LOOK_S)

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
        reading, now = self._reading, self._clock()
        pressed = [self._pressed.popleft() for _ in range(len(self._pressed))]
        read = self._reader.alive and now - reading.at <= _HANG_S
        enabled = read and self._controls.enabled(reading.held)
        raw = reading.raw if now - reading.said <= self._hold_s else {}
        action = self._integrator.move(self._controls.deflections(raw, reading.held) if enabled else {})
        return TeleopSample(action, enabled, self._controls.events(pressed), reading.at)

    def help(self) -> Mapping[str, str]:
        """See `TeleopSource`."""
        return self._controls.help()

    def stats(self) -> Mapping[str, float]:
        """Reports that came."""
        return {"spacemouse_reports": float(self._count)}

    def close(self) -> None:
        """Release the device."""
        if self._reader.close():
            with contextlib.suppress(Exception):  # it may have gone
                self._device.close()

    def _look(self) -> bool:
        """In the reader's thread. Never waits for the mouse, which may say nothing for hours."""
        state = self._device.read()
        if state.t == self._last:
            self._reading = self._reading._replace(at=self._clock())
            return False
        self._last, before, now = state.t, self._reading.held, self._clock()
        held = tuple(f"button_{i}" for i, down in enumerate(state.buttons) if down)
        self._pressed.extend(name for name in held if name not in before)
        self._reading = _Reading({name: float(getattr(state, name)) for name in STICK_NAMES}, held, now, now)
        self._count += 1
        return True


def _open(device: str | None, index: int) -> Any:
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ConfigError("teleop.index", index, "a number from 0")
    try:
        import pyspacemouse

        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it finds
            return pyspacemouse.open(
                device=device, device_index=index, axis_convention=pyspacemouse.AxisConvention.HID_Z_UP
            )
    except ImportError as error:
        raise MissingPackageError("pyspacemouse", "a SpaceMouse", "teleop") from error
    except (RuntimeError, ValueError, OSError, AttributeError) as error:
        reason = " ".join(str(error).split())
        expected = (
            f"a SpaceMouse that is connected and may be read ({reason}); on Linux that wants Debian's libhidapi-hidraw0"
            " and a udev rule for its /dev/hidraw*"
        )
        raise ConfigError("teleop.device", device, expected) from error
