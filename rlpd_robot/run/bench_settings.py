"""Settings of benches."""

from dataclasses import dataclass

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class LearnerBenchSettings:
    """`rlpd-robot bench learner`.

    Attributes:
        seconds: of learning at each configuration [s].
        demo_rows: transitions of the prior data.
        ring_rows: transitions in the live ring, which is full.
        first_update: whether to time the start of two fresh processes, too.
        sweep: whether to vary ring, ensemble and width.
    """

    seconds: float = 20.0
    demo_rows: int = 5_000
    ring_rows: int = 1_000_000
    first_update: bool = True
    sweep: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise ConfigError("learner_bench.seconds", self.seconds, "above 0 and at most 3600")
        for key in ("demo_rows", "ring_rows"):
            if not 1 <= getattr(self, key) <= 1 << 31:
                raise ConfigError(f"learner_bench.{key}", getattr(self, key), "between 1 and 2,147,483,648")
