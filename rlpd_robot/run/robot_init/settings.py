"""Words of `rlpd-robot robot-init`."""

from dataclasses import dataclass

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class InitSettings:
    """What to write where.

    Attributes:
        out: folder that gets `robot/NAME.yaml` and `safety/NAME.yaml`.
        topic: that takes commands; empty: the likeliest.
        seconds: of listening [s].
        timeout_s: longest wait for any one answer [s].
        keys: directory of `rlpd-robot keys`, for a robot behind our own protocol.
        insecure: allow a robot on another machine without keys or encryption.
    """

    out: str = "robots"
    topic: str = ""
    seconds: float = 2.0
    timeout_s: float = 5.0
    keys: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        for key in ("seconds", "timeout_s"):
            if not 0 < getattr(self, key) <= 600:
                raise ConfigError(key, getattr(self, key), "above 0 and at most 600")
        if not self.out:
            raise ConfigError("out", self.out, "a folder")
