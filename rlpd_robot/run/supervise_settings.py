"""When a supervised process counts as hanging, and how often it is started again."""

import math
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class SuperviseSettings:
    """What `train` does about its processes.

    Attributes:
        seen_s: silence of a process or of one of its threads after which it is reported [s]; what declares that it
            takes longer, such as compiling, is given that long.
        killed_s: silence after which a process is killed and started again [s]; as much longer than `seen_s` for what
            has declared that it takes longer.
        start_s: longest time until a new process gives its first sign of life [s].
        backoff_s: wait before a first restart [s]; doubled with each one within `window_s`.
        backoff_max_s: longest such wait [s].
        restarts: of one process within `window_s`, before the run is given up.
        window_s: time in which restarts are counted [s].
    """

    seen_s: float = 2.0
    killed_s: float = 10.0
    start_s: float = 120.0
    backoff_s: float = 0.5
    backoff_max_s: float = 8.0
    restarts: int = 5
    window_s: float = 300.0

    def __post_init__(self) -> None:
        for key in ("seen_s", "start_s", "backoff_s", "backoff_max_s", "window_s"):
            if not 0 < getattr(self, key) < math.inf:  # NaN compares false
                raise ConfigError(f"supervise.{key}", getattr(self, key), "a positive time in seconds")
        if not self.seen_s <= self.killed_s < math.inf:
            raise ConfigError("supervise.killed_s", self.killed_s, f"at least supervise.seen_s, {self.seen_s:g} s")
        if not self.restarts >= 0:
            raise ConfigError("supervise.restarts", self.restarts, "at least 0")
