"""Which command really acted over a control period: what the robot says it followed, not what was sent."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import Command, RobotState

_KEPT = 64  # commands; a robot that answers is never that far behind
_UNDER_WAY = 3  # of them; what is older than 2.5 periods a robot refuses


class SentCommands:
    """The commands of one episode by number.

    The rule is simple: the command of a transition is the one that the robot was following when the next state was
    measured. A command that was late, dropped or refused thus shows as the one before it, held; on a link whose delay
    carries each command past the robot's next measurement, every one shows a period later, as it happened.

    Attributes:
        not_executed: transitions since the start whose command was another than the one sent for them.
    """

    def __init__(self) -> None:
        self.not_executed = 0
        self._followed = -1
        self._sent: deque[tuple[int, Command]] = deque(maxlen=_KEPT)

    def begin(self) -> None:
        """An episode begins: the robot stands where its reset put it, under no command."""
        self._followed = -1
        self._sent.clear()

    def add(self, number: int, command: Command) -> bool:
        """Note what `Driver.send` returned. False when the command was dropped: the robot will not have it."""
        if number >= 0:
            self._sent.append((number, command))
        return number >= 0

    def acted(self, command: Command, next_state: RobotState) -> Command | None:
        """What acted until `next_state`; None when the robot has followed no command of this episode yet.

        Args:
            command: sent last; it is believed to have acted where the robot does not say.
            next_state: measured afterwards.
        """
        if next_state.executed is None:
            return command
        acted = self._of(next_state.executed)
        self.not_executed += acted is not None and acted is not command
        return acted

    def held(self, next_state: RobotState) -> Command | None:
        """The command that the robot went on following over the whole last period, though a newer one was sent.

        None where it took the newer one, has followed none yet, or does not say. To be asked once a state.
        """
        before, now = self._followed, next_state.executed
        if now is None:
            return None
        self._followed = now
        return self._of(now) if now == before and self._sent and self._sent[-1][0] != now else None

    def under_way(self) -> list[NDArray[np.float64]]:
        """(C,) each, the newest of those sent after the one that the robot follows: late, or lost."""
        return [command.values for number, command in self._sent if number > self._followed][-_UNDER_WAY:]

    def _of(self, number: int) -> Command | None:
        return next((sent for n, sent in self._sent if n == number), None)
