"""A teleoperation source as the control loop's policy: dead-man, clutch and silence are judged here."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, FaultError
from rlpd_robot.policy.base import NO_VERSION
from rlpd_robot.robot.teleop.source import Event, Following, Resting, Seeing, TeleopSample, TeleopSource
from rlpd_robot.robot.watchdog import DEAD_MAN, REMEDY

HOLD, STOP = "hold", "stop"
"""What a released dead-man switch does: the robot holds its last command, or is stopped by a fault."""


class Pilot:
    """`rlpd_robot.policy.base.Policy` on a source. Every action still passes the safety filter.

    Args:
        source: of one robot; the caller closes it.
        tell: is called with each of the person's words, from `act` and `look`.
        stance: the action (A,) that holds the robot where it stands; asked at the first `act` after `begin`.
        release: "hold" or "stop".
        silent_s: a device that has not been known to be well for so long is a released dead-man switch, and a fault
            whatever `release` says [s].
        clock: monotonic [s].

    Attributes:
        enabled: whether the person held the switch at the last poll.
        version: of the snapshot behind the source; -1 where a person acts.

    Raises:
        ConfigError: another `release`.
    """

    def __init__(
        self,
        source: TeleopSource,
        tell: Callable[[Event], None],
        stance: Callable[[], NDArray[np.float32]],
        release: str = HOLD,
        silent_s: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if release not in (HOLD, STOP):
            raise ConfigError("record.release", release, f"'{HOLD}' or '{STOP}'")
        self.enabled = False
        self.version = int(getattr(source, "version", NO_VERSION))
        self._source, self._tell, self._stance, self._release = source, tell, stance, release
        self._silent_s, self._clock = silent_s, clock
        self._sees = source if isinstance(source, Seeing) else None
        self._follows = source if isinstance(source, Following) else None
        self._rests = source if isinstance(source, Resting) else None
        self._held: NDArray[np.float32] | None = None
        self._executed: NDArray[np.float32] | None = None
        self._engaged = self._was_held = False  # the switch: at the last `act`; ever since the episode began

    def begin(self) -> None:
        """An episode is about to begin: the next `act` is its first."""
        self._held = self._executed = None
        self._engaged = self._was_held = False

    def act(self, observation: NDArray[np.float32], explore: bool) -> NDArray[np.float32]:
        """(A,) what the person asks for; while the switch is released, what the robot did when it was let go.

        Raises:
            FaultError: the device is silent; or the switch was let go and `release` is "stop".
        """
        if self._held is None:
            self._held = self._stance()
            self._source.begin(self._held)
        if self._sees is not None:
            self._sees.see(observation)
        before = self._engaged
        sample = self.look()
        self._engaged = sample.enabled
        if sample.enabled:
            self._held, self._was_held = sample.action, True
        elif self._release == STOP and self._was_held:
            raise FaultError(f"{DEAD_MAN}: the switch of '{self._source.name}' was let go", REMEDY)
        elif before:
            self._let_go()
        return self._held

    def executed(self, action: NDArray[np.float32]) -> None:
        """The robot followed this action (A,), after the safety filter, in the period that is over."""
        self._executed = action
        if self._follows is not None:
            self._follows.follow(action)

    def look(self) -> TeleopSample:
        """Poll, and pass on the person's words; between episodes too.

        Raises:
            FaultError: the device is silent.
        """
        sample = self._source.poll()
        self.enabled = sample.enabled
        for event in sample.events:
            self._tell(event)
        silent_s = self._clock() - sample.stamp
        if silent_s > self._silent_s:
            self.enabled = False
            raise FaultError(f"{DEAD_MAN}: '{self._source.name}' has been silent for {silent_s:.1f} s", REMEDY)
        return sample

    def _let_go(self) -> None:
        """The robot may lag behind what was asked for, held back by the safety filter: it must not go on to there."""
        if self._executed is not None:
            self._held = self._executed
        assert self._held is not None
        if self._rests is not None:
            self._rests.rest(self._held)
