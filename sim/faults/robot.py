"""Any robot, with faults: tells other readings than it measures, follows other commands than it is told."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.server import Robot
from sim.faults.acting import ActuatorFault
from sim.faults.events import EmergencyStop, OwnStop
from sim.faults.plan import Plan
from sim.faults.sensing import SensorFault


class FaultyRobot:
    """Wraps a `rlpd_robot.robot.server.Robot`, and is one. Faults of link and clock need `faults.server.FaultyServer`.

    A command reaches the wrapped robot at the beginning of the next control period, as a simulator would notice it
    anyway. Faults are counted in time since the first period.

    Args:
        robot: to be wrapped.
        plan: what goes wrong.
        now: monotonic time [s]; none: time is counted in control periods, as in lock-step.

    Attributes:
        spec: of the wrapped robot.
        plan: as given.
    """

    def __init__(self, robot: Robot, plan: Plan, now: Callable[[], float] | None = None) -> None:
        self.spec, self.plan = robot.spec, plan
        self.ramp_s: float = getattr(robot, "ramp_s", 0.0)
        self.max_speed: NDArray[np.float64] | None = getattr(robot, "max_speed", None)
        self._robot, self._now = robot, now
        self._began_s: float | None = None
        self._periods = 0
        self._target: NDArray[np.float64] | None = None
        self._advance: Callable[[], None] | None = getattr(robot, "advance", None)
        self._reset: Callable[[int | None], None] | None = getattr(robot, "reset", None)

    @property
    def stopped_because(self) -> str:
        """Why it has stopped by itself; "" while it has not."""
        for fault in self.plan.active(OwnStop):
            return fault.why
        return str(getattr(self._robot, "stopped_because", ""))

    def read(self) -> dict[str, NDArray[Any]]:
        """What it tells of itself."""
        values = {name: np.array(value) for name, value in self._robot.read().items()}  # faults remember them
        for fault in self.plan.active(SensorFault):
            fault.spoil(values)
        for pressed in self.plan.active(EmergencyStop):
            if pressed.field is not None:
                values[pressed.field] = np.ones_like(values[pressed.field])
        if self.plan.record is not None:
            self.plan.record.add(values)
        return values

    def write(self, values: NDArray[np.float64]) -> None:
        """Follow this command (C,) from the next control period on."""
        self._target = np.array(values, np.float64)

    def advance(self) -> None:
        """One control period: what goes wrong in it, the command as it reaches the motors, and what comes of it."""
        begun = self.plan.step(self._time())
        if any(isinstance(fault, OwnStop) for fault in begun):
            self.stop()
        if self._target is not None and not self.stopped_because:
            self._robot.write(self._acted(self._target))
        if self._advance is not None:
            self._advance()
        self._periods += 1

    def reset(self, seed: int | None) -> None:
        """Go to a start of episode, if the wrapped robot knows one."""
        self._forget()
        if self._reset is not None:
            self._reset(seed)

    def stop(self) -> None:
        """Stop at once, whatever else is wrong."""
        self._forget()
        self._robot.stop()

    def _forget(self) -> None:
        self._target = None
        for fault in self.plan.active(ActuatorFault):
            fault.begin(self._time())

    def _acted(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        for fault in self.plan.active(ActuatorFault):
            target = fault.act(target)
        return target

    def _time(self) -> float:
        """Since the first control period [s]."""
        if self._now is None:
            return self._periods * self.spec.period_s
        if self._began_s is None:
            self._began_s = self._now()
        return self._now() - self._began_s
