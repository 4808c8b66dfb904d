"""Words of `rlpd-robot identify`."""

from dataclasses import dataclass

from rlpd_robot.errors import ConfigError

GROUPS = ("robot", "task", "experiment")
"""Groups of the other settings that it takes."""


@dataclass(frozen=True)
class IdentifySettings:
    """How a model is fitted to a store.

    Attributes:
        out: file to write; none: twins/ROBOT.yaml.
        episodes: to use, such as 0,3-5; "all" until `periods` are reached.
        periods: of control that are used at most; time and memory grow with them.
        window: periods after which the simulation is brought to the recorded state again.
        max_delay: longest delay that is considered [control periods].
    """

    out: str | None = None
    episodes: str = "all"
    periods: int = 1500
    window: int = 25
    max_delay: float = 8.0

    def __post_init__(self) -> None:
        if not self.periods >= 20:
            raise ConfigError("periods", self.periods, "at least 20")
        if not self.window >= 5:
            raise ConfigError("window", self.window, "at least 5")
        if not 0 < self.max_delay <= 100:
            raise ConfigError("max_delay", self.max_delay, "above 0, and at most 100 control periods")
