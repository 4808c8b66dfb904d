"""Words of `rlpd-robot demos replay`."""

import math
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError

GROUPS = ("robot", "task", "safety", "link", "sim", "experiment", "watchdog", "actor")
"""Groups of the other settings that it takes."""


@dataclass(frozen=True)
class ReplaySettings:
    """How a stored episode is played.

    Attributes:
        episode: number in the store.
        actions: "executed", or "proposed": what policy or person wanted before the safety filter of then.
        near: how far the first observation may lie from the recorded one, in any of its numbers, each in its own unit.
        seed: of the reset of a stand-in; none: seeds are tried until one gives the recorded start.
        search: seeds that are tried at most.
        pace: of a stand-in in lock-step, in shares of real time; 0: as fast as it can.
    """

    episode: int = 0
    actions: str = "executed"
    near: float = 0.05
    seed: int | None = None
    search: int = 50_000
    pace: float = 0.0

    def __post_init__(self) -> None:
        if self.actions not in ("executed", "proposed"):
            raise ConfigError("actions", self.actions, "'executed' or 'proposed'")
        if not self.near >= 0:
            raise ConfigError("near", self.near, "at least 0; inf accepts any start")
        if self.seed is not None and not 0 <= self.seed < 1 << 31:
            raise ConfigError("seed", self.seed, f"between 0 and {(1 << 31) - 1}")
        if not self.search >= 1:
            raise ConfigError("search", self.search, "at least 1")
        if not 0 <= self.pace < math.inf:
            raise ConfigError("pace", self.pace, "a share of real time, or 0")
