"""The checks: for each figure its bounds, what it means to leave them, and what to try. A row of metrics is enough.

No JAX here: the live view and the report read them from metrics.jsonl.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREFIX = "diagnostics/"
"""Of their keys in metrics.jsonl."""

_CRITICS = "agent.layer_norm=true, agent.target_subset=2, a larger agent.ensemble"


@dataclass(frozen=True)
class Words:
    """What to say of a figure out of bounds: a sentence, with {value} in it, and a suggestion."""

    sentence: str
    suggestion: str


@dataclass(frozen=True)
class Check:
    """One figure and the bounds within which it is well.

    Attributes:
        key: of the figure, after "diagnostics/".
        name: for people.
        form: how the figure is written: "share" (in percent) or "number".
        low, high: the bounds, themselves included.
        below, above: what to say outside them.
        after: live transitions before which the figure says nothing yet.
    """

    key: str
    name: str
    form: str = "share"
    low: float = -math.inf
    high: float = math.inf
    below: Words | None = None
    above: Words | None = None
    after: int = 0

    def write(self, value: float) -> str:
        """The figure for reading."""
        if self.form != "share":
            return f"{value:.2f}"
        small = f"{100 * value:.1f}".removesuffix(".0")
        return f"{small} %" if abs(value) < 0.1 else f"{100 * value:.0f} %"

    @property
    def bounds(self) -> str:
        """For reading: "at most 20 %"."""
        if math.isinf(self.low):
            return f"at most {self.write(self.high)}"
        if math.isinf(self.high):
            return f"at least {self.write(self.low)}"
        return f"{self.write(self.low)} to {self.write(self.high)}"

    def words(self, value: float) -> Words | None:
        """What to say of this value; None where it is well."""
        return self.below if value < self.low else self.above if value > self.high else None


@dataclass(frozen=True)
class Finding:
    """A check that has something to say."""

    check: Check
    value: float
    words: Words

    @property
    def sentence(self) -> str:
        """In plain words, with the figure."""
        return self.words.sentence.format(value=self.check.write(self.value))

    @property
    def text(self) -> str:
        """Sentence and suggestion."""
        return f"{self.sentence} {self.words.suggestion}"


CHECKS: Sequence[Check] = (
    Check(
        "reward_share",
        "reward in minibatches",
        low=0.01,
        below=Words(
            "Hardly any row of a minibatch carries reward ({value}).",
            "Add demonstrations that solve the task, or raise agent.demo_ratio; check the task's success condition.",
        ),
    ),
    Check(
        "live_reward_share",
        "reward in live data",
        low=0.005,
        below=Words(
            "The robot's own practice has hardly met any reward ({value} of its rows).",
            "Start it nearer the goal, or clone first: agent.clone_updates=3000, agent.clone_weight=200.",
        ),
        after=2000,
    ),
    Check(
        "q_outside_range",
        "values beyond the possible",
        high=0.05,
        above=Words(
            "{value} of the critics' values lie outside what any policy could earn: the critics diverge.",
            f"Try {_CRITICS}, or a lower agent.critic_rate.",
        ),
        after=500,
    ),
    Check(
        "q_above_return",
        "values above what followed",
        high=0.2,
        above=Words(
            "The critics promise more than even the best end of the episode could bring, in {value} of visited states.",
            f"Overestimation: try {_CRITICS}, or agent.reward_offset so that an untrained value of 0 is the lowest.",
        ),
        after=1000,
    ),
    Check(
        "q_below_return",
        "values below what followed",
        high=0.5,
        above=Words(
            "The critics promise less than even the worst end of the episode would bring, in {value} of visits.",
            "They have not caught up, as is usual early. If it stays: more updates (agent.utd), agent.target_subset=1, "
            "or a lower agent.discount.",
        ),
        after=2000,
    ),
    Check(
        "q_correlation",
        "values follow returns",
        form="number",
        low=0.2,
        below=Words(
            "The critics do not tell good visited states from bad ones (correlation with returns {value}).",
            "More updates (agent.utd), or observations that show what the reward depends on.",
        ),
        after=2000,
    ),
    Check(
        "policy_gap",
        "own actions valued above taken ones",
        high=0.1,
        above=Words(
            "The critics value the policy's own actions above those just taken by {value} of the possible range: the "
            "policy climbs their errors.",
            f"Try {_CRITICS}, more exploration (agent.target_entropy), or agent.clone_weight above 0.",
        ),
        after=500,
    ),
    Check(
        "ensemble_spread",
        "critics disagree",
        high=0.1,
        above=Words(
            "The critics disagree by {value} of the possible range where the policy acts.",
            "More updates (agent.utd), or more data there; a lower agent.critic_rate if it stays.",
        ),
        after=1000,
    ),
    Check(
        "dormant_critic",
        "dormant units of the critics",
        high=0.5,
        above=Words(
            "{value} of the critics' hidden units hardly ever fire: they can learn little more.",
            "Use agent.layer_norm=true, a lower agent.critic_rate or agent.utd, or start the critics anew.",
        ),
    ),
    Check(
        "dormant_actor",
        "dormant units of the actor",
        high=0.7,
        above=Words(
            "{value} of the actor's hidden units hardly ever fire: it can learn little more.",
            "Use a lower agent.actor_rate, or scale the task's observations to similar magnitudes.",
        ),
    ),
    Check(
        "layer_norm_input",
        "spread before LayerNorm",
        form="number",
        low=0.01,
        below=Words(
            "A layer's units hardly differ before LayerNorm (deviation {value}), so it enlarges noise.",
            "Scale the task's observations to about 1, and look for a sensor that is stuck.",
        ),
    ),
    Check(
        "action_saturation",
        "actions at their end stops",
        high=0.5,
        above=Words(
            "{value} of the policy's actions are at their end stops, where its gradient vanishes.",
            "If the task does not ask for that: widen the command range, raise agent.target_entropy, or scale rewards "
            "down (agent.reward_scale).",
        ),
        after=500,
    ),
    Check(
        "entropy_excess",
        "entropy above its target",
        form="number",
        low=-2.0,
        high=1.0,
        below=Words(
            "The policy is more certain than asked for (entropy {value} nat per action element from its target).",
            "Exploration has died: raise agent.initial_temperature or agent.temperature_rate, or lower the target.",
        ),
        above=Words(
            "The policy acts more at random than asked for (entropy {value} nat per action element above its target).",
            "The bonus outweighs the reward: lower agent.initial_temperature, or raise agent.temperature_rate.",
        ),
        after=3000,
    ),
    Check(
        "visited_near_demos",
        "visited states near demonstrations",
        low=0.2,
        below=Words(
            "Only {value} of visited states are like any demonstrated one.",
            "Compare how episodes begin with the demonstrations (reset, objects); record some from where it goes.",
        ),
        after=1000,
    ),
    Check(
        "demos_visited",
        "demonstrated states that are reached",
        low=0.1,
        below=Words(
            "Practice reaches only {value} of what the demonstrations show.",
            "See where its episodes end, and add demonstrations of that part, or clone first (agent.clone_updates).",
        ),
        after=1000,
    ),
    Check(
        "policy_lag",
        "policies behind",
        form="number",
        high=10.0,
        above=Words(
            "The actor acts with a policy {value} versions behind the newest.",
            "The link is slow or policies are refused: see `rlpd-robot status`.",
        ),
    ),
    Check(
        "utd_share",
        "updates done of those owed",
        low=0.9,
        below=Words(
            "The learner has done only {value} of the updates that it owes.",
            "Lower agent.utd or agent.ensemble, or learn on a GPU; practice goes on meanwhile with older policies.",
        ),
        after=1000,
    ),
)
"""In the order in which they are worth reading: data first, then critics, then the policy."""


def judge(row: Mapping[str, Any]) -> tuple[list[Finding], int]:
    """What a row of metrics says, and how many of its figures were known and old enough to say something."""
    findings, judged = [], 0
    for check in CHECKS:
        value = figure_of(row, check)
        if not math.isnan(value):
            judged += 1
            words = check.words(value)
            if words is not None:
                findings.append(Finding(check, value, words))
    return findings, judged


def figure_of(row: Mapping[str, Any], check: Check) -> float:
    """The figure of a check; NaN where the row has none, or it is too early."""
    value, steps = row.get(PREFIX + check.key), row.get("env_steps")
    early = isinstance(steps, int | float) and steps < check.after
    return math.nan if early or not isinstance(value, int | float) else float(value)


def measured(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those rows of metrics in which figures were taken anew."""
    return [row for row in rows if any(key.startswith(PREFIX) for key in row)]
