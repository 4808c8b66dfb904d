"""A robot of two axes behind the robot link, in a process of its own: the fake driver's point, served."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from sim.faults.server import serve_robot_with_faults


class PointRobot:
    """As `FakeDriver`: velocity = 5/s · (target - position), one Euler step a period."""

    def __init__(self, dies_after: int | None = None, period_s: float = 0.01) -> None:
        self.spec = fake_spec(period_s)
        self._position, self._velocity, self._target = np.zeros((3, 2))
        self._periods_left = dies_after

    def read(self) -> dict[str, NDArray[np.float64]]:
        return {"position": self._position.copy(), "velocity": self._velocity.copy()}

    def write(self, values: NDArray[np.float64]) -> None:
        self._target = np.array(values)

    def advance(self) -> None:
        if self._periods_left is not None:
            self._periods_left -= 1
            if self._periods_left < 0:
                raise RuntimeError("the point fell off the plane")
        self._velocity = 5.0 * (self._target - self._position)
        self._position = self._position + self._velocity * self.spec.period_s

    def reset(self, seed: int | None) -> None:
        self._position = np.random.default_rng(seed).uniform(-0.5, 0.5, 2)
        self._velocity, self._target = np.zeros(2), self._position.copy()

    def stop(self) -> None:
        self._target = self._position.copy()


def serve_point(
    address: str,
    lockstep: bool,
    stop: threading.Event,
    security: Security = LOOPBACK_ONLY,
    dies_after: int | None = None,
    book: str | None = None,
    period_s: float = 0.01,
    faults: Mapping[str, Any] | None = None,
) -> None:
    """The recipe of the stand-in in `configs/robot/point.yaml`."""
    path = Path(book) if book is not None else None
    serve_robot_with_faults(PointRobot(dies_after, period_s), address, lockstep, stop, security, path, faults)
