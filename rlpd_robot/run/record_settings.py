"""Settings of `rlpd-robot record`."""

import math
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError

_CHOICES = {
    "reset": ("prompt", "auto"),
    "judge": ("task", "person"),
    "release": ("hold", "stop"),
    "keep_partial": ("ask", "keep", "discard"),
    "failures": ("keep", "hide"),
}


@dataclass(frozen=True)
class RecordSettings:
    """`rlpd-robot record`: a person, or what stands in for one, moves the robot; the episodes become a store.

    Attributes:
        out: path of the store; one that exists must be of this robot and task, and is appended to.
        episodes: to record in this session, hidden ones not counted; 0: until a person quits.
        reset: "prompt": a person starts each episode; "auto": the next one begins by itself.
        judge: "task": success and reward are the task's; a person's word only ends the episode. "person": the word
            decides: success is the last transition alone, rewards are success - 1, and success terminates.
        release: what a released dead-man switch does: "hold": the robot holds its last command; "stop": a fault.
        silent_s: a device without signs of life for so long is a fault [s].
        keep_partial: what becomes of an episode that was cut short by a kill or by quitting: "ask", "keep" or
            "discard". A discarded one is in the store, hidden.
        failures: whether episodes that a person calls a failure are kept visible: "keep" or "hide".
        max_steps: longest episode [control periods]; 0: the task's.
        pace: of a stand-in in lock-step, in shares of real time: 0.1 is slow motion; 0: as fast as it can.
        seed: of the resets of a stand-in; they count up.
        bell: ring the terminal's bell when an episode begins and when it is saved.
        say: a program that is given each cue to speak, such as spd-say or espeak; none: silence.
        plain: lines instead of the live view, also on a terminal.
    """

    out: str | None = None
    episodes: int = 0
    reset: str = "prompt"
    judge: str = "task"
    release: str = "hold"
    silent_s: float = 0.5
    keep_partial: str = "ask"
    failures: str = "keep"
    max_steps: int = 0
    pace: float = 1.0
    seed: int = 0
    bell: bool = False
    say: str | None = None
    plain: bool = False

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ConfigError(f"record.{key}", getattr(self, key), f"one of {', '.join(map(repr, choices))}")
        for key in ("episodes", "max_steps"):
            if not getattr(self, key) >= 0:
                raise ConfigError(f"record.{key}", getattr(self, key), "at least 0")
        if not 0 <= self.seed < 1 << 31:
            raise ConfigError("record.seed", self.seed, f"between 0 and {(1 << 31) - 1}")
        if not 0 < self.silent_s < math.inf:
            raise ConfigError("record.silent_s", self.silent_s, "a positive time in seconds")
        if not 0 <= self.pace <= 100:
            raise ConfigError("record.pace", self.pace, "a share of real time between 0 and 100")
