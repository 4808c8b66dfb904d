"""A robot's stand-in that another verb starts for itself, and connecting to what may not be there yet."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.run.processes import Child
from rlpd_robot.spec import RobotSpec

_LOOK_S = 1.0  # how often a wait for the robot looks whether its stand-in still runs
_END_S = 5.0


@contextmanager
def stand_in_of(words: Sequence[str]) -> Iterator[Child]:
    """`rlpd-robot sim WORDS…`, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as logs:
        child = Child("sim", ["sim", *words], Path(logs))
        try:
            yield child
        finally:
            child.end(_END_S)


def connect(driver: Driver, stand_in: Child | None, timeout_s: float) -> RobotSpec:
    """Connect to a robot, or to a stand-in that is just starting.

    Raises:
        PeerTimeoutError: nobody answered in time.
        ChildError: the stand-in ended.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            return driver.connect(min(left_s, _LOOK_S) if stand_in is not None else left_s)
        except PeerTimeoutError:
            if stand_in is not None:
                stand_in.check()
            if time.monotonic() >= deadline:
                raise
