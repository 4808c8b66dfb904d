"""The seam between this toolkit and any robot: six methods that differ between real, simulated and recorded robots."""

from collections.abc import Mapping
from typing import NewType, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import Command, RobotState

SafeCommand = NewType("SafeCommand", Command)
"""A command that passed the safety filter. Only `robot/safety.py` makes one (held by mypy and by a test)."""


@runtime_checkable
class Declaring(Protocol):
    """A driver whose robot compares the controller's safety limits with its own."""

    def declare(self, limits: NDArray[np.float64]) -> None:
        """(3, C) lowest and highest value and fastest change [1/s] that the controller's safety filter lets through."""


class Driver(Protocol):
    """One robot. Not thread-safe: one thread owns it.

    Attributes:
        lockstep: known after `connect`. True: the robot (a simulator) waits for each command and `read` returns the
            state that followed it. False: the robot moves by the wall clock and `read` returns the newest state.
    """

    lockstep: bool

    def connect(self, timeout_s: float) -> RobotSpec:
        """Open the link, shake hands, and return what the robot says of itself.

        Raises:
            PeerTimeoutError: nobody answered in time.
            PeerVersionError, PeerRefusedError: somebody did, and cannot work with us.
        """

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """Bring the robot to a start of episode and return its first state. `seed` matters to simulators only."""

    def read(self, timeout_s: float) -> RobotState:
        """The newest state, waiting up to `timeout_s` for one not returned before.

        Raises:
            PeerTimeoutError: no new state came in time.
        """

    def send(self, command: SafeCommand) -> int:
        """Hand over one command without waiting; a command that cannot leave at once is dropped and counted.

        Returns:
            Its number, which counts up and which `RobotState.executed` names; -1: it was dropped.
        """

    def stop(self) -> None:
        """Ask the robot to stop, by whatever means it has; repeats are harmless. Never raises."""

    def close(self) -> None:
        """Release the link. Never raises; a second call does nothing."""

    def stats(self) -> Mapping[str, float]:
        """Counters and gauges by name."""
