"""What is wrong with how a robot follows: pure changes of one command a control period, with what they remember."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import RobotSpec
from sim.faults.fault import Fault, at_least, is_share, joint_names

Target = NDArray[np.float64]


@dataclass(eq=False)
class ActuatorFault(Fault):
    """Changes the command (C,) that the motors get, once in each control period.

    Attributes:
        joints: names of those that it is wrong with; none: all.
    """

    joints: tuple[str, ...] = ()

    def check(self, where: str, spec: RobotSpec) -> None:
        """Find the joints."""
        names = joint_names(spec)
        for joint in self.joints:
            if joint not in names:
                raise ConfigError(f"{where}.joints", joint, f"some of the robot's joints {[n for n in names if n]}")
        self._concerned = np.array([not self.joints or name in self.joints for name in names])
        self._low, self._high = spec.command_low, spec.command_high

    def begin(self, now_s: float) -> None:
        self._last: Target | None = None

    def act(self, target: Target) -> Target:
        """(C,) what the motors follow, when they are told this."""
        acted = np.where(self._concerned, self.follow(target, target if self._last is None else self._last), target)
        self._last = acted
        return acted

    def follow(self, target: Target, last: Target) -> Target:
        """The same for all elements; `last` is what they followed in the period before."""
        raise NotImplementedError


@dataclass(eq=False)
class ActuatorDelay(ActuatorFault):
    """Motors that follow later.

    Attributes:
        periods: how much.
    """

    periods: int = 2

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        at_least(where, "periods", self.periods, 0)

    def begin(self, now_s: float) -> None:
        super().begin(now_s)
        self._told: deque[Target] = deque(maxlen=self.periods + 1)

    def follow(self, target: Target, last: Target) -> Target:
        self._told.append(target)
        return self._told[0]


@dataclass(eq=False)
class Gain(ActuatorFault):
    """Motors that go too far, or not far enough, from the zero of each joint.

    Attributes:
        factor: of the command.
    """

    factor: float = 0.85

    def follow(self, target: Target, last: Target) -> Target:
        return np.clip(self.factor * target, self._low, self._high)


@dataclass(eq=False)
class Saturation(ActuatorFault):
    """Motors too weak for the ends of their range.

    Attributes:
        share: of the range, around its middle, that is left.
    """

    share: float = 0.7

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        is_share(where, "share", self.share)

    def follow(self, target: Target, last: Target) -> Target:
        middle, half = (self._low + self._high) / 2, self.share * (self._high - self._low) / 2
        return np.clip(target, middle - half, middle + half)


@dataclass(eq=False)
class Backlash(ActuatorFault):
    """Play between motor and joint: after a turn of direction nothing moves for `width`.

    Attributes:
        width: [unit of the command].
    """

    width: float = 0.03

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        at_least(where, "width", self.width, 0.0)

    def follow(self, target: Target, last: Target) -> Target:
        return np.clip(last, target - self.width / 2, target + self.width / 2)


@dataclass(eq=False)
class Stiction(ActuatorFault):
    """Dry friction: a joint follows only what is farther than `width` from where it was sent last.

    Attributes:
        width: [unit of the command].
    """

    width: float = 0.02

    def check(self, where: str, spec: RobotSpec) -> None:
        super().check(where, spec)
        at_least(where, "width", self.width, 0.0)

    def follow(self, target: Target, last: Target) -> Target:
        return np.where(np.abs(target - last) > self.width, target, last)


@dataclass(eq=False)
class Stuck(ActuatorFault):
    """Joints that stay at the command they had when it began."""

    def follow(self, target: Target, last: Target) -> Target:
        return last
