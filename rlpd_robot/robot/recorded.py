"""Any driver, and on disk what it read and what it was told: a robot as its controller sees it.

The robot's own book proves what reached it. Only the driver's side shows what a wrong name, sign or unit in the robot's
file makes of that: a dry run compares the two kinds of file.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import CommandBook, Outcome
from rlpd_robot.robot.driver import Driver, SafeCommand
from rlpd_robot.robot.state_record import StateRecord
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState

STATES, COMMANDS = "states", "commands"
"""In the folder: a `StateRecord` of what was read, a `CommandBook` of what was sent."""


class RecordedDriver:
    """Wraps a driver; what only some drivers have, it has where the wrapped one has it.

    Args:
        driver: the robot.
        folder: for the two files; made if there is none.
    """

    lockstep = False

    def __init__(self, driver: Driver, folder: Path) -> None:
        self._driver, self._folder = driver, folder
        self._boot = uuid.uuid4().hex
        self._states: StateRecord | None = None
        self._commands: CommandBook | None = None
        self._refused: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def connect(self, timeout_s: float) -> RobotSpec:
        """As the wrapped driver; then begins the files.

        Raises:
            ConfigError: they cannot be written.
        """
        spec = self._driver.connect(timeout_s)
        self.lockstep = self._driver.lockstep
        if self._states is None:
            try:
                self._commands = CommandBook(self._folder / COMMANDS, self._boot, spec.command_size)
            except OSError as error:
                expected = f"a folder to write ({error.strerror})"
                raise ConfigError("actor.record", str(self._folder), expected) from error
            self._states = StateRecord(self._folder / STATES, spec, "actor.record")
        return spec

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """As the wrapped driver."""
        self._note(Outcome.RESET)
        return self._told(self._driver.reset(seed, timeout_s))

    def read(self, timeout_s: float) -> RobotState:
        """As the wrapped driver."""
        return self._told(self._driver.read(timeout_s))

    def send(self, command: SafeCommand) -> int:
        """As the wrapped driver."""
        number = self._driver.send(command)
        self._note(Outcome.EXECUTED if number >= 0 else Outcome.STALE, number, np.asarray(command.values, np.float64))
        return number

    def stop(self) -> None:
        """As the wrapped driver, which must not raise: what the disk refuses here, the next state raises."""
        self._driver.stop()
        try:
            self._note(Outcome.STOP)
        except OSError as error:
            self._refused = error

    def close(self) -> None:
        """As the wrapped driver; then ends the files."""
        self._driver.close()
        for file in (self._states, self._commands):
            if file is not None:
                file.close()
        self._states = self._commands = None

    def stats(self) -> Mapping[str, float]:
        """As the wrapped driver."""
        return self._driver.stats()

    def _told(self, state: RobotState) -> RobotState:
        if self._refused is not None:
            raise self._refused
        if self._states is not None:
            self._states.add(state.values)
        return state

    def _note(
        self, outcome: Outcome, number: int = -1, values: np.ndarray[Any, np.dtype[np.float64]] | None = None
    ) -> None:
        if self._commands is not None:
            self._commands.add(outcome, self._boot, number, values=values)
