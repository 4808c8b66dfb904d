"""What happens to a robot at once: it stops by itself, hangs, or its process dies."""

import os
import signal
import time
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import RobotSpec
from sim.faults.fault import Fault


@dataclass(eq=False)
class OwnStop(Fault):
    """The robot stops by itself, and does not move before this is over and somebody has reset it."""

    @property
    def why(self) -> str:
        """As the robot tells it."""
        raise NotImplementedError


@dataclass(eq=False)
class Reflex(OwnStop):
    """Its controller stops it, as after a collision.

    Attributes:
        reason: as the controller tells it.
    """

    reason: str = "cartesian_reflex"

    @property
    def why(self) -> str:
        return f"controller reflex ({self.reason})"


@dataclass(eq=False)
class EmergencyStop(OwnStop):
    """Somebody has pressed the button: it stops, and says so in its state where it has a field for it.

    Attributes:
        field: state field of one element, not 0 while the button is pressed; none: the robot has none.
    """

    field: str | None = None

    def check(self, where: str, spec: RobotSpec) -> None:
        if self.field is not None and self.field not in [f.name for f in spec.state if f.size == 1]:
            known = [f.name for f in spec.state if f.size == 1]
            raise ConfigError(f"{where}.field", self.field, f"a reading of one element {known}")

    @property
    def why(self) -> str:
        return "its e-stop is pressed"


@dataclass(eq=False)
class Death(Fault):
    """Its process is killed, with no chance to say anything. Whoever supervises it may start it again."""

    def strike(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(eq=False)
class Hang(Fault):
    """Its process does nothing for a while, as when it swaps or waits for a bus.

    Attributes:
        for_s: how long [s].
    """

    for_s: float = 0.7

    def strike(self) -> None:
        time.sleep(self.for_s)
