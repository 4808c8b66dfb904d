"""Two joints that go where they are told, 20 times a second, served as docs/own_robot.md says: what the check of the
robot profile has for a robot.

    python arm.py tcp://127.0.0.1:5560 BOOK [KEYS]
"""

import sys
from pathlib import Path

import numpy as np

from rlpd_robot.robot.server import serve
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.wire.security import Security

JOINTS = ("shoulder", "elbow")


class Arm:
    """What the server asks of a robot."""

    spec = RobotSpec(
        name="arm",
        period_s=0.05,
        state=(Field("joint_position", (2,), "float64", "rad", labels=JOINTS),),
        command=(Field("joint_target", (2,), "float64", "rad", (-1.5,) * 2, (1.5,) * 2, JOINTS),),
    )

    def __init__(self) -> None:
        self.joints = self.target = np.array([-0.2, 0.2])

    def read(self) -> dict[str, np.ndarray]:
        """Half of the way each time."""
        self.joints = self.joints + 0.5 * (self.target - self.joints)
        return {"joint_position": self.joints}

    def write(self, values: np.ndarray) -> None:
        """Go there."""
        self.target = values

    def stop(self) -> None:
        """Stay here."""
        self.target = self.joints


if __name__ == "__main__":
    address, book, *keys = sys.argv[1:]
    serve(Arm(), address, False, stop_on_signals(), Security(keys=keys[0] if keys else None), Path(book))
