"""The simulated hand in this process, in lock-step: for tests, benchmarks, demonstrations and quick evaluation."""

import time
from collections.abc import Mapping

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState
from sim.hand import AdroitHand


class SimDriver:
    """`rlpd_robot.robot.driver.Driver` on an `AdroitHand`, without sockets or processes.

    Each `read` simulates one control period under the command sent last. `RobotState.stamp_s` is simulated time.

    Args:
        task: see `AdroitHand`.
    """

    lockstep = True

    def __init__(self, task: str) -> None:
        self.hand = AdroitHand(task)
        self._sequence = self._commands = 0
        self._commanded = False
        self._counts = {"periods": 0.0, "resets": 0.0, "stops": 0.0}

    def connect(self, timeout_s: float) -> RobotSpec:
        """What the hand says of itself; at once."""
        return self.hand.spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """Start an episode and return its first state."""
        self.hand.reset(seed)
        self._commanded = False
        self._counts["resets"] += 1
        return self._state()

    def read(self, timeout_s: float) -> RobotState:
        """Simulate one period under the command sent last and return the state at its end.

        Raises:
            PeerTimeoutError: no command was sent since the last state, so that waiting would never end.
        """
        if not self._commanded:
            raise PeerTimeoutError(
                "the simulator", "this process", 0.0, "In lock-step it moves once per command: send one before reading."
            )
        self._commanded = False
        self.hand.advance()
        self._counts["periods"] += 1
        return self._state()

    def send(self, command: SafeCommand) -> int:
        """Set the targets for the next `read`.

        Raises:
            DataError: another shape than (C,), or a non-finite number.
        """
        self.hand.write(command.values)
        self._commanded = True
        self._commands += 1
        return self._commands

    def stop(self) -> None:
        """Hold the present position."""
        self.hand.stop()
        self._counts["stops"] += 1

    def close(self) -> None:
        """Nothing to release."""

    def stats(self) -> Mapping[str, float]:
        """Periods simulated, resets and stops."""
        return dict(self._counts)

    def _state(self) -> RobotState:
        self._sequence += 1
        return RobotState(
            values=self.hand.read(),
            sequence=self._sequence,
            stamp_s=self._sequence * self.hand.spec.period_s,
            received_s=time.monotonic(),
        )
