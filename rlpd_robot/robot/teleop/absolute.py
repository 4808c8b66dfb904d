"""From the numbers of a device that has positions, such as a leader arm's joints, to the action that they stand for.

    unit: command                  # what a number is once it is scaled: in the unit of its command element, or "action"
    joints:                        # command element: which number of the device, times scale, plus offset
      shoulder_pan_joint: 0
      elbow_joint: {from: 2, scale: -1.0, offset: 1.57}

A command element that is left out is not moved. Without `joints` each element has its number.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.robot.teleop.axes import element_names, number
from rlpd_robot.spec import RobotSpec

COMMAND, ACTION = "command", "action"
_KEYS = ("from", "scale", "offset")
_LARGEST = 1e6  # beyond it a number is no position, and sums of such would lose what a joint moves


class AbsoluteMap:
    """Which number of a device is which element of the action.

    Args:
        spec: of the robot.
        joints: command element → a number's place, or a mapping of `from`, and where wanted `scale` and `offset`; none:
            every element in order, by its name where numbers have names.
        unit: "command" or "action".
        named: whether the device's numbers go by name, as a JointState's; otherwise by place, from 0.

    Attributes:
        sources: (N,) the name or place of each number that is used, in the order in which `action` wants them.
        moved: (A,) whether the device moves the element.

    Raises:
        ConfigError: an element that the robot has not got, a place that is none, or a number that is not finite.
    """

    def __init__(self, spec: RobotSpec, joints: object = None, unit: str = COMMAND, named: bool = False) -> None:
        if unit not in (COMMAND, ACTION):
            raise ConfigError("teleop.unit", unit, f"'{COMMAND}' or '{ACTION}'")
        elements = element_names(spec)
        if joints is None:
            joints = {name: name if named else i for i, name in enumerate(elements)}
        if not isinstance(joints, Mapping) or not joints:
            raise ConfigError("teleop.joints", joints, f"a mapping from some of {elements}")
        for name in joints:
            if name not in elements:
                raise ConfigError("teleop.joints", name, f"one of {elements}, elements of '{spec.name}'")
        parts = [_joint(f"teleop.joints.{name}", one, named) for name, one in joints.items()]
        self.sources: tuple[int | str, ...] = tuple(source for source, _, _ in parts)
        self._places = [elements.index(str(name)) for name in joints]
        self.moved = np.isin(np.arange(len(elements)), self._places)
        ranges = ActionMap.of(spec)
        by_command = unit == COMMAND
        half = ranges.half[self._places] if by_command else np.ones(len(parts))
        middle = ranges.middle[self._places] if by_command else np.zeros(len(parts))
        self._scale = np.array([scale for _, scale, _ in parts]) / half
        self._offset = (np.array([offset for _, _, offset in parts]) - middle) / half

    def action(self, numbers: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """(A,) from the numbers (N,) of `sources`, 0 where nothing moves; beyond ±1 where the device is.

        None where a number is not finite, or far beyond every range.
        """
        action = np.zeros(len(self.moved))
        action[self._places] = self._scale * numbers + self._offset
        return action if bool((np.abs(action) <= _LARGEST).all()) else None  # NaN compares false


def _joint(key: str, given: object, named: bool) -> tuple[int | str, float, float]:
    told = dict(given) if isinstance(given, Mapping) else {"from": given}
    for name in told:
        if name not in _KEYS:
            raise ConfigError(f"{key}.{name}", told[name], f"one of the keys {list(_KEYS)}")
    source = told.get("from")
    scale, offset = number(f"{key}.scale", told.get("scale", 1.0)), number(f"{key}.offset", told.get("offset", 0.0))
    if named and isinstance(source, str) and source:
        return source, scale, offset
    if not named and isinstance(source, int) and not isinstance(source, bool) and source >= 0:
        return source, scale, offset
    raise ConfigError(f"{key}.from", source, "a joint's name" if named else "a place among the numbers, from 0")


def realign_of(realign: object, absolute: AbsoluteMap, spec: RobotSpec) -> NDArray[np.float64]:
    """(A,) how far the offset of a `Clutch` shrinks in a poll, where the device moves the element at all.

    Args:
        realign: how fast device and robot come to agree [action/s].

    Raises:
        ConfigError: it is no speed.
    """
    if isinstance(realign, bool) or not isinstance(realign, int | float) or not 0 <= realign < math.inf:
        raise ConfigError("teleop.realign", realign, "a speed of at least 0 [action/s]")
    return realign * spec.period_s * absolute.moved.astype(np.float64)
