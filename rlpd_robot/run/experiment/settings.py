"""Settings of `rlpd-robot experiment`. No JAX, no Hydra here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bounds import at_least

Measure = Literal["solved", "success", "return"]


@dataclass(frozen=True)
class StudySettings:
    """One study.

    Attributes:
        rows: what is compared, by names of the group `row`.
        row: the row of one job; each file of that group sets it.
        seeds: jobs of each row, from `run.seed` on.
        parallel: jobs at a time, each on cores of its own; none: one a core.
        eval_every: live transitions between two evaluations.
        eval_episodes: deterministic episodes of each.
        final_episodes: of the evaluation at the end.
        measure: what the table and the figure show, in percent: "solved" (normalised return: share of the horizon
            solved), "success" (share of episodes solved once) or "return" (sum of rewards, as the task gives them,
            between `low` and `high`).
        low, high: sum of rewards that counts as 0 and as 100 %; D4RL's random and expert policies, for instance.
        published: what others report for a row [%].
        source: of what was published, or what to compare with.
        keep: whether each job leaves its episodes as a store, `live.zarr`, and the policies that were evaluated, as
            `policies/TRANSITIONS.npz`: what prior data of one's own agents is made of.
        prior: commands that make or fetch the prior data, a line each; told where there is none.
    """

    rows: Sequence[str] = ("base",)
    row: str = "base"
    seeds: int = 5
    parallel: int | None = None
    eval_every: int = 5000
    eval_episodes: int = 10
    final_episodes: int = 100
    measure: str = "solved"
    low: float = 0.0
    high: float = 100.0
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    keep: bool = False
    prior: str = ""

    def __post_init__(self) -> None:
        if not self.rows or len(set(self.rows)) != len(self.rows):
            raise ConfigError("study.rows", list(self.rows), "names of the group 'row', each once")
        for key in ("seeds", "eval_every", "eval_episodes", "final_episodes"):
            at_least(f"study.{key}", getattr(self, key), 1)
        if self.parallel is not None:
            at_least("study.parallel", self.parallel, 1)
        if self.measure not in get_args(Measure):
            raise ConfigError("study.measure", self.measure, f"one of {', '.join(map(repr, get_args(Measure)))}")
        if not self.low < self.high:
            raise ConfigError("study.high", self.high, f"above study.low, {self.low}")

    def percent(self, figures: Mapping[str, float]) -> float:
        """The measure of one evaluation [%]."""
        if self.measure == "return":
            return 100 * (figures["return"] - self.low) / (self.high - self.low)
        return 100 * figures[self.measure]
