"""How many undisturbed episodes a policy solved, and how many must be seen to say so."""

from collections.abc import Sequence

from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.run.statistics import wilson_interval

MORE = 3
"""So many times the episodes are made where the first ones leave it open whether the bar is reached."""

Ended = tuple[int, bool, int]
"""(number, solved, steps)."""


def deciding(episodes: Sequence[Ended], count: int, bar: float) -> list[Ended] | None:
    """Those to judge by, or None: more are needed.

    A policy that solves 95 % solves fewer than seven of eight in one trial of seventeen, by chance alone. Where the
    first episodes fall short of the bar, and their 95 % interval does not, `MORE` times as many decide instead; they
    are judged at that number only, not at whichever first looks well.

    Args:
        episodes: those that have ended.
        count: of the first.
        bar: part that shall be solved.
    """
    first = list(episodes[:count])
    if len(first) < count:
        return None
    solved = sum(good for _, good, _ in first)
    if solved >= bar * count or wilson_interval(solved, count)[1] < bar:
        return first
    return list(episodes[: MORE * count]) if len(episodes) >= MORE * count else None


def check_success(episodes: Sequence[Ended], bar: float, has_policy: bool) -> Check:
    """Undisturbed episodes of the policy without exploration."""
    requirement = f"at least {100 * bar:g} % of the undisturbed episodes solved (eval.min_success)"
    if not has_policy:
        return skipped("success", requirement, "no policy was given; the actions were random")
    if not episodes:
        return Check("success", requirement, "no episode ended", False, "See why the robot did not go on.")
    solved = sum(good for _, good, _ in episodes)
    return Check(
        "success",
        requirement,
        f"{solved} of {len(episodes)}",
        solved >= bar * len(episodes),
        "The policy does not bear this robot as it is now: its rate, limits, delays. Train on, or train with them.",
    )
