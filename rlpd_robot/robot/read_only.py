"""A robot that can be watched and not moved: reads are real, whatever would move or stop it is swallowed."""

from collections.abc import Mapping

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.driver import Driver, SafeCommand
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState


class ReadOnlyDriver:
    """Wraps any real-time driver, to try a policy on live states while something else holds the robot.

    `reset` moves nothing either: it returns the newest state. `stop` is swallowed too, because whoever does control the
    robot has not asked for it.
    """

    lockstep = False

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._swallowed_commands = self._swallowed_resets = self._swallowed_stops = 0

    def connect(self, timeout_s: float) -> RobotSpec:
        """As the wrapped driver.

        Raises:
            ConfigError: the robot is in lock-step: it would wait for ever for the commands swallowed here.
        """
        spec = self._driver.connect(timeout_s)
        if self._driver.lockstep:
            self._driver.close()
            raise ConfigError("read_only", True, f"false for robot '{spec.name}', which waits for each command")
        return spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """The newest state; nothing is reset."""
        self._swallowed_resets += 1
        return self._driver.read(timeout_s)

    def read(self, timeout_s: float) -> RobotState:
        """As the wrapped driver."""
        return self._driver.read(timeout_s)

    def send(self, command: SafeCommand) -> int:
        """Count the command, and drop it."""
        self._swallowed_commands += 1
        return -1

    def stop(self) -> None:
        """Count the stop, and drop it."""
        self._swallowed_stops += 1

    def close(self) -> None:
        """As the wrapped driver."""
        self._driver.close()

    def stats(self) -> Mapping[str, float]:
        """Those of the wrapped driver, and what was swallowed."""
        return {
            **self._driver.stats(),
            "swallowed_commands": float(self._swallowed_commands),
            "swallowed_resets": float(self._swallowed_resets),
            "swallowed_stops": float(self._swallowed_stops),
        }
