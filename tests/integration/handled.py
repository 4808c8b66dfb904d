"""The point with what a person has at hand: an e-stop, a dead-man switch, sensors that freeze or break; and a record.

Each is a file in a folder that exists or does not. The record is the robot's own: a line for each thing done to it.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.server import serve
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from tests.integration.point import PointRobot

PERIOD_S = 0.2
"""Long, so that a busy machine is no cause of its own."""


def handled_spec() -> RobotSpec:
    """The point's, with two inputs of a person."""
    spec = PointRobot().spec
    inputs = (Field("e_stop", (), "bool", "-"), Field("grip", (), "bool", "-"))
    return RobotSpec("handled", PERIOD_S, (*spec.state, *inputs), spec.command)


class HandledRobot(PointRobot):
    """Files in `folder`: "e_stop", "released", "frozen", "nan". It writes "record" there."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.spec = handled_spec()
        self._folder, self._periods = folder, 0
        self._seen: dict[str, NDArray[np.float64]] = super().read()
        self._record = os.open(folder / "record", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def read(self) -> dict[str, NDArray[Any]]:
        if not (self._folder / "frozen").exists():
            self._seen = super().read()
        values: dict[str, NDArray[Any]] = {name: value.copy() for name, value in self._seen.items()}
        if (self._folder / "nan").exists():
            values["velocity"][1] = np.nan
        values["e_stop"] = np.array((self._folder / "e_stop").exists())
        values["grip"] = np.array(not (self._folder / "released").exists())
        return values

    def write(self, values: NDArray[np.float64]) -> None:
        super().write(values)
        self._note("write")

    def advance(self) -> None:
        super().advance()
        self._periods += 1

    def reset(self, seed: int | None) -> None:
        super().reset(seed)
        self._note("reset")

    def stop(self) -> None:
        super().stop()
        self._note("stop")

    def _note(self, what: str) -> None:
        line = json.dumps({"what": what, "period": self._periods, "pid": os.getpid()})
        os.write(self._record, line.encode() + b"\n")


def serve_handled(
    address: str, lockstep: bool, stop: threading.Event, folder: str, security: Security = LOOPBACK_ONLY
) -> None:
    """The recipe of the stand-in in `configs/robot/handled.yaml`."""
    serve(HandledRobot(Path(folder)), address, lockstep, stop, security)
