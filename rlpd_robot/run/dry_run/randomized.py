"""The policy on another robot in each episode: masses, gains, friction, places and delays drawn from ranges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.run.dry_run.lockstep import Lockstep, as_word
from rlpd_robot.run.dry_run.stage import stand_in_recipe
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.statistics import wilson_interval

NAME = "success under randomisation"
_NO_RANGES = ("seed", "widen")


@dataclass(frozen=True)
class Randomized:
    """What came of it.

    Attributes:
        ranges: drawn from, by name.
        returns: normalised, one an episode [%].
        solved: one an episode.
    """

    ranges: Mapping[str, Sequence[float]]
    returns: tuple[float, ...]
    solved: tuple[bool, ...]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the success."""
        return wilson_interval(sum(self.solved), len(self.solved))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        counts = {"solved": sum(self.solved), "episodes": len(self.solved), "success_ci95": list(self.interval)}
        return {"ranges": {key: list(value) for key, value in self.ranges.items()}, **counts, "returns": self.returns}


def ranges_of(settings: Settings) -> dict[str, Sequence[float]]:
    """What the run itself draws from, where it does; else what the dry run asks for. None: nothing can be drawn."""
    stand_in = stand_in_recipe(settings) or {}
    if "randomize" not in stand_in:
        return {}
    own = _given(stand_in["randomize"] or {})
    return own or _given(settings.dry_run.randomize or {})


def _given(settings: Mapping[str, Any]) -> dict[str, Sequence[float]]:
    return {key: value for key, value in settings.items() if value is not None and key not in _NO_RANGES}


def try_randomized(stand_in: Lockstep) -> Randomized | None:
    """Deterministic episodes, each on another robot; None: nothing is to be drawn.

    Raises:
        ChildError, PeerTimeoutError: the stand-in cannot be started.
    """
    ranges, count = ranges_of(stand_in.settings), stand_in.settings.dry_run.randomized_episodes
    if not ranges or not count or not stand_in.possible:
        return None
    words = [f"sim.randomize.{key}={as_word(value)}" for key, value in ranges.items()]
    result = stand_in.evaluate([*words, "sim.randomize.widen=0"], stand_in.seeds(count))
    returns = tuple(100 * episode.solved_fraction for episode in result.episodes)
    return Randomized(ranges, returns, tuple(bool(episode.success) for episode in result.episodes))


def check_randomized(found: Randomized | None, bar: float, has_policy: bool) -> Check:
    """Whether enough of them may be solved: no go where the interval lies below the bar, and not by chance."""
    requirement = (
        f"the 95 % interval reaches {100 * bar:g} % of the episodes solved, another robot in each (dry_run.randomize)"
    )
    if not has_policy:
        return skipped(NAME, requirement, "no policy was given")
    if found is None:
        return skipped(NAME, requirement, "the stand-in cannot be randomised in lock-step, or nothing is to be drawn")
    low, high = found.interval
    solved, count = sum(found.solved), len(found.solved)
    return Check(
        NAME,
        requirement,
        f"{solved} of {count} (95 % interval {100 * low:.0f} to {100 * high:.0f} %)",
        high >= bar,
        "It holds for one robot only. Train with `+experiment/dry_run@_global_=randomized`; `sweep=true` tells what it "
        "cannot bear, `rlpd-robot identify` how far the robot is from its model.",
    )
