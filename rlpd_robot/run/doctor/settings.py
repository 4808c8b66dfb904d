"""Settings of `rlpd-robot doctor`."""

from dataclasses import dataclass

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class DoctorSettings:
    """How long to look, and how little to move.

    Attributes:
        seconds: of measuring rates and ages [s].
        timeout_s: longest wait for any one answer [s].
        echoes: round trips measured.
        answer_s: longest wait for a person's answer [s].
        move_share: with --move, how far a joint goes: this part of its range …
        move_max: … and at most so far [rad, m]; for a rate so fast [rad/s, m/s].
        move_s: time for going there and back [s].
    """

    seconds: float = 5.0
    timeout_s: float = 5.0
    echoes: int = 200
    answer_s: float = 60.0
    move_share: float = 0.03
    move_max: float = 0.06
    move_s: float = 3.0

    def __post_init__(self) -> None:
        for key, low, high in (
            ("seconds", 0, 600),
            ("timeout_s", 0, 600),
            ("echoes", 0, 100_000),
            ("answer_s", 0, 3600),
            ("move_share", 0, 0.25),
            ("move_max", 0, 0.5),
            ("move_s", 0.5, 60),
        ):
            value = getattr(self, key)
            if not (low <= value <= high and value > 0):
                raise ConfigError(f"doctor.{key}", value, f"above 0, at least {low} and at most {high}")
