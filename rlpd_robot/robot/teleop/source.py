"""What a teleoperation device is to the rest: a source of actions, of a dead-man switch, and of a person's words.

    device ──poll──▶ TeleopSample(action, enabled, events, stamp) ─▶ Pilot ─▶ control loop ─▶ safety filter ─▶ robot

A source never waits and never raises over what a person does with the device. One that cannot be had (no library, no
device) says so when it is made, in one sentence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError


class Event(StrEnum):
    """What a person says with a key or a button, beside moving the robot."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    DISCARD = "discard"
    UNDO = "undo"
    PAUSE = "pause"
    ARM = "arm"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class TeleopSample:
    """What a source tells at one moment.

    Attributes:
        action: (A,) float32 in [-1, 1] that the person asks for.
        enabled: whether the person holds the dead-man switch, or has the clutch engaged.
        events: the person's words since the last poll, in their order.
        stamp: monotonic time [s] at which the device was last known to be there and well.
    """

    action: NDArray[np.float32]
    enabled: bool
    events: tuple[Event, ...]
    stamp: float


class TeleopSource(Protocol):
    """One device, or what stands in for one. Made with `spec=` of the connected robot. Not thread-safe.

    Attributes:
        name: for people.
        person: whether a person acts through it; its transitions then count as intervened.
    """

    name: str
    person: bool

    def begin(self, action: NDArray[np.float32]) -> None:
        """An episode begins, and the robot stands where this action (A,) holds it: go on from there without a bump."""

    def poll(self) -> TeleopSample:
        """What it tells now; called once a control period during an episode, and about as often between two."""

    def help(self) -> Mapping[str, str]:
        """What moves what, by key or axis, for the person to read."""

    def stats(self) -> Mapping[str, float]:
        """Counters by name."""

    def close(self) -> None:
        """Release the device. Never raises; a second call does nothing."""


@runtime_checkable
class Seeing(Protocol):
    """A source that looks at the robot before it acts, as a policy does."""

    def see(self, observation: NDArray[np.float32]) -> None:
        """The observation (O,) that the next `poll` of the episode is to answer."""


@runtime_checkable
class Resting(Protocol):
    """A source that goes on, when the person takes the switch again, from where the robot came to rest meanwhile."""

    def rest(self, action: NDArray[np.float32]) -> None:
        """The switch was let go, and the robot is held by this action (A,): go on from there."""


@runtime_checkable
class Following(Protocol):
    """A source whose wishes must not run away from a robot that cannot follow them."""

    def follow(self, action: NDArray[np.float32]) -> None:
        """The action (A,) that the robot followed in the period that is over, after the safety filter."""


def positive_time(key: str, value: object) -> float:
    """A time as it may be set [s].

    Raises:
        ConfigError: no positive number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(key, value, "a positive time in seconds")
    return float(value)
