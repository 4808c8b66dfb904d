"""A source that moves every joint a little, smoothly: `rlpd-robot identify` learns a robot from such motion."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.source import TeleopSample
from rlpd_robot.spec import RobotSpec

_SLOWEST_HZ = 0.2
_TONES = 5
_RISE_S = 1.0  # in which it begins
_STREAM = 0x3A


class WanderTeleop:
    """Sums of sines of different frequencies in each joint, around the place where the episode begins.

    Args:
        spec: of the robot.
        reach: farthest from the start, as part of half the command range.
        quickest_hz: highest frequency in the motion [Hz]. The safety filter slows down what is too fast for the robot.
        seed: of frequencies and phases; each episode has others.
        joints: names of those that move, the others hold their start; none: all.

    Raises:
        ConfigError: a value that means nothing.
    """

    name = "wander"
    person = False

    def __init__(
        self,
        spec: RobotSpec,
        reach: float = 0.15,
        quickest_hz: float = 4.0,
        seed: int = 0,
        joints: Sequence[str] | None = None,
    ) -> None:
        if not 0 < reach <= 1:
            raise ConfigError("teleop.reach", reach, "above 0 and at most 1")
        if not _SLOWEST_HZ < quickest_hz <= 0.5 / spec.period_s:
            most = 0.5 / spec.period_s
            raise ConfigError("teleop.quickest_hz", quickest_hz, f"above {_SLOWEST_HZ:g} and at most {most:g} Hz")
        names = [label for f in spec.command for label in (f.labels or ("",) * f.size)]
        for joint in joints or ():
            if joint not in names:
                raise ConfigError("teleop.joints", joint, f"some of the robot's joints {list(filter(None, names))}")
        self._moves = np.array([not joints or name in joints for name in names])
        self._size, self._period_s, self._reach = spec.command_size, spec.period_s, reach
        self._range, self._rng = (np.log(_SLOWEST_HZ), np.log(quickest_hz)), np.random.default_rng([seed, _STREAM])
        self.begin(np.zeros(self._size, np.float32))

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`. Where the start is near an end of the range, the motion is around a place further in."""
        self._start = np.asarray(action, np.float64)
        self._middle = np.clip(self._start, -1 + self._reach, 1 - self._reach)
        self._hz = np.exp(self._rng.uniform(*self._range, (_TONES, self._size)))
        self._phase = self._rng.uniform(0, 2 * np.pi, (_TONES, self._size))
        self._ticks, self._fresh = 0, False

    def see(self, observation: NDArray[np.float32]) -> None:
        """A control period has passed."""
        self._ticks += self._fresh
        self._fresh = True

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        now_s = self._ticks * self._period_s
        waves = np.sin(2 * np.pi * self._hz * now_s + self._phase).mean(axis=0)
        share = min(1.0, now_s / _RISE_S)
        way = np.where(self._moves, self._middle + self._reach * waves - self._start, 0.0)
        action = self._start + share * way
        return TeleopSample(np.clip(action, -1, 1).astype(np.float32), True, (), time.monotonic())

    def help(self) -> Mapping[str, str]:
        """Nothing: nobody is asked."""
        return {}

    def stats(self) -> Mapping[str, float]:
        """Control periods of this episode."""
        return {"ticks": float(self._ticks)}

    def close(self) -> None:
        """Nothing to release."""
