"""From the few axes of a device to the many elements of a command, and the integral of a rate device.

An axis is a synergy: it moves one or more command elements together, each at its own speed. Axes are written in YAML in
the robot's own words and units:

    axes:
      forward: {ARTz: 0.5}                 # [unit of the element per second] at full deflection
      grip: {FFJ2: 2.0, MFJ2: 2.0}
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.spec import RobotSpec

_LEAD_S, _LEAD_PERIODS = 0.25, 5  # the longer of the two: a command is a period or two on its way


class AxisMap:
    """Named axes of one robot.

    Args:
        axes: by axis, the speed of each command element that it moves [its unit/s] at full deflection. Elements go by
            their label, or as `field` where it has one element, or `field.i`.
        spec: of the robot.

    Attributes:
        names: of the axes, in order.
        rates_at_full: (A,) the fastest that any axis moves each element of the action [1/s].

    Raises:
        ConfigError: no axis, an element that the robot has not got, or a speed that is no finite number.
    """

    def __init__(self, axes: Mapping[str, Mapping[str, float]], spec: RobotSpec) -> None:
        if not isinstance(axes, Mapping) or not axes:
            raise ConfigError("teleop.axes", axes, "a mapping from each axis to the command elements that it moves")
        elements = element_names(spec)
        half = ActionMap.of(spec).half
        self.names = tuple(axes)
        self._rates = np.zeros((len(axes), len(elements)))  # [action/s] at full deflection
        for row, (axis, speeds) in zip(self._rates, axes.items(), strict=True):
            if not isinstance(speeds, Mapping) or not speeds:
                raise ConfigError(f"teleop.axes.{axis}", speeds, "a mapping from command elements to speeds")
            for name, speed in speeds.items():
                if name not in elements:
                    raise ConfigError(f"teleop.axes.{axis}", name, f"one of {elements}, elements of '{spec.name}'")
                row[elements.index(name)] = number(f"teleop.axes.{axis}.{name}", speed) / half[elements.index(name)]
        self.rates_at_full: NDArray[np.float64] = np.abs(self._rates).max(axis=0)

    def rates(self, deflections: Mapping[str, float]) -> NDArray[np.float64]:
        """(A,) how fast the action moves [1/s] under these deflections in [-1, 1]; axes left out are at rest."""
        amounts = np.array([deflections.get(name, 0.0) for name in self.names])
        rates: NDArray[np.float64] = amounts @ self._rates
        return rates

    def parse(self, key: str, text: object) -> tuple[str, float]:
        """An axis and a sign from "axis" or "-axis".

        Raises:
            ConfigError: there is no such axis.
        """
        name = str(text).removeprefix("-")
        if name not in self.names:
            raise ConfigError(key, text, f"an axis of teleop.axes, with or without '-': one of {list(self.names)}")
        return name, -1.0 if str(text).startswith("-") else 1.0


class Integrator:
    """The target that a rate device moves: one step of the nominal period a poll, kept within [-1, 1].

    Args:
        axes: of the robot.
        spec: gives the period.
    """

    def __init__(self, axes: AxisMap, spec: RobotSpec) -> None:
        self._axes, self._period_s = axes, spec.period_s
        self._position = np.zeros(spec.command_size)
        lead_s = max(_LEAD_S, _LEAD_PERIODS * spec.period_s)
        self._lead = np.where(axes.rates_at_full > 0, lead_s * axes.rates_at_full, np.inf)

    def begin(self, action: NDArray[np.float32]) -> None:
        """Go on from this action (A,)."""
        self._position[:] = action

    def follow(self, action: NDArray[np.float32]) -> None:
        """The robot follows this action (A,): one that cannot keep up is led by a quarter of a second at full speed.

        Otherwise the target would go on and on, and the person would have to bring it all the way back.
        """
        np.clip(self._position, action - self._lead, action + self._lead, out=self._position)

    def move(self, deflections: Mapping[str, float]) -> NDArray[np.float32]:
        """(A,) the target after one more period under these deflections."""
        self._position += self._period_s * self._axes.rates(deflections)
        np.clip(self._position, -1.0, 1.0, out=self._position)
        return self._position.astype(np.float32)


def shape(value: float, dead_zone: float, scale: float) -> float:
    """A raw deflection in [-1, 1] as it counts: 0 within the dead zone, growing from 0 at its edge, times `scale`.

    Beyond full deflection it grows no more; what is no number is 0.
    """
    beyond = max(0.0, abs(value) - dead_zone) / (1.0 - dead_zone)  # max keeps its first argument over a NaN
    return scale * math.copysign(min(beyond, 1.0), value)


def check_shape(key: str, dead_zone: object, scale: object) -> tuple[float, float]:
    """Dead zone and scale as they may be.

    Raises:
        ConfigError: a dead zone outside [0, 1), or a scale that is no finite number.
    """
    zone = number(f"{key}.dead_zone", dead_zone)
    if not 0 <= zone < 1:
        raise ConfigError(f"{key}.dead_zone", dead_zone, "a part of the deflection in [0, 1)")
    return zone, number(f"{key}.scale", scale)


def element_names(spec: RobotSpec) -> list[str]:
    """One name for each of the C command elements, in order."""
    names: list[str] = []
    for field in spec.command:
        numbered: Sequence[str] = [field.name] if field.size == 1 else [f"{field.name}.{i}" for i in range(field.size)]
        names += field.labels or numbered
    return names


def number(key: str, value: object) -> float:
    """The value as a number.

    Raises:
        ConfigError: it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(key, value, "a finite number")
    return float(value)
