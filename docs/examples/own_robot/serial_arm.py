"""A robot of three joints on a serial line, served to rlpd-robot: python serial_arm.py /dev/ttyUSB0

Its firmware speaks lines of text: `?` is answered by the three angles, `t A B C` sets targets, `h` holds. [rad]
"""

import sys

import numpy as np
import serial  # pip install pyserial

from rlpd_robot.robot.server import serve
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.spec import Field, RobotSpec


class SerialArm:
    """What the server asks of a robot: what it is, `read`, `write` and `stop`."""

    spec = RobotSpec(
        name="serial_arm",
        period_s=0.05,
        state=(Field("joint_position", (3,), "float64", "rad"),),
        command=(Field("joint_target", (3,), "float64", "rad", low=(-1.5,) * 3, high=(1.5,) * 3),),
    )
    max_speed = np.full(3, 2.0)  # [rad/s] no controller may allow itself more

    def __init__(self, port: str) -> None:
        self.line = serial.Serial(port, 115200, timeout=0.1, write_timeout=0.1)

    def read(self) -> dict[str, np.ndarray]:
        self.line.write(b"?\n")
        angles = self.line.readline().split()  # nothing within 0.1 s: the next line refuses it, and the server stops
        return {"joint_position": np.array(angles, np.float64).reshape(3)}

    def write(self, values: np.ndarray) -> None:
        self.line.write(b"t %.5f %.5f %.5f\n" % tuple(values))

    def stop(self) -> None:
        self.line.write(b"h\n")


if __name__ == "__main__":
    address = sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5560"
    serve(SerialArm(sys.argv[1]), address, lockstep=False, stop=stop_on_signals())
