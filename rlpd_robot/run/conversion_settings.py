"""Settings of `rlpd-robot demos import` and `demos export`; their words need no group name in front."""

from dataclasses import dataclass, field

from rlpd_robot.errors import ConfigError


@dataclass(frozen=True)
class ImportSettings:
    """`rlpd-robot demos import SOURCE OUT`.

    Attributes:
        like: store of the robot and task that the source was recorded on.
        problem: YAML file that describes them, where there is no such store.
        format: name of the source's format; none: told by its content.
        rewards: `source`; `task`: those of the group `task=`; `last`: 0 in the last transition, -1 before.
        unknown: how an episode ended whose source does not say, `truncated` or `terminated`.
        final: where the final observation is absent, `drop` the last transition or `repeat` the last observation.
        actions: whether the source holds `action`, in [-1, 1], or `command`, in the robot's units.
        observations: names of the source's arrays that make the observation, in order; none: its only one.
        actions_from: names of the source's arrays whose next row is the action, for sources without commands.
        topics: YAML file that says which topics of a recording hold what.
    """

    like: str | None = None
    problem: str | None = None
    format: str | None = None
    rewards: str = "source"
    unknown: str = "truncated"
    final: str = "drop"
    actions: str = "action"
    observations: list[str] = field(default_factory=list)
    actions_from: list[str] = field(default_factory=list)
    topics: str | None = None

    def __post_init__(self) -> None:
        if (self.like is None) == (self.problem is None):
            both = "one" if self.like else None
            expected = "a store of the same robot and task, or problem= a YAML file that describes them; exactly one"
            raise ConfigError("like", both and f"{self.like}, and problem={self.problem}", expected)


@dataclass(frozen=True)
class ExportSettings:
    """`rlpd-robot demos export STORE OUT`.

    Attributes:
        format: name of the format to write.
    """

    format: str | None = None
