"""How large an imperfection a policy bears: success against the size of each, one at a time and all together.

In lock-step, so that only the imperfection counts and not this machine. The first of them are delays of whole control
periods: how sensitive the policy is to timing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.dry_run.lockstep import Lockstep, as_word
from rlpd_robot.run.dry_run.stage import stand_in_recipe
from rlpd_robot.run.statistics import wilson_interval

ROBUSTNESS = "robustness"
NOMINAL, TOGETHER = "as it is", "all together"

_KEYS = ("name", "fault", "key", "sizes", "unit")
_DELAYS = ("actuator_delay", "sensor_delay")


@dataclass(frozen=True)
class Imperfection:
    """One way in which a robot may differ from the one of training, in several sizes, the smallest first.

    Attributes:
        name: for people.
        fault: entry for the stand-in, without the size.
        key: of the size in that entry.
        sizes: to try.
        unit: of them.
    """

    name: str
    fault: Mapping[str, Any]
    key: str
    sizes: tuple[float, ...]
    unit: str = ""

    def entry(self, rank: int) -> dict[str, Any]:
        """The fault in its size of this rank, the largest where there are fewer."""
        return {**self.fault, self.key: self.sizes[min(rank, len(self.sizes) - 1)]}


@dataclass(frozen=True)
class Point:
    """What came of one size of one imperfection.

    Attributes:
        name, size: of it.
        delay: whether it is one of timing alone.
        rank: of the size, 0 the smallest; -1: there is none.
        solved, episodes: counts.
        normalized_return: [%].
    """

    name: str
    size: str
    delay: bool
    rank: int
    solved: int
    episodes: int
    normalized_return: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the success."""
        return wilson_interval(self.solved, self.episodes)

    def bears(self, bar: float) -> bool:
        """Whether success reaches the bar."""
        return self.solved >= bar * self.episodes

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "success_ci95": list(self.interval)}


def parse_imperfections(entries: Any) -> list[Imperfection]:
    """From `dry_run.imperfections`: `{name, fault, key, sizes, unit}`.

    Raises:
        ConfigError: an entry that means nothing.
    """
    found = []
    for i, entry in enumerate(entries or ()):
        where = f"dry_run.imperfections[{i}]"
        if not isinstance(entry, Mapping) or not set(entry) <= set(_KEYS) or not set(_KEYS[:4]) <= set(entry):
            raise ConfigError(where, entry, f"an entry of the keys {', '.join(_KEYS)}")
        sizes = entry["sizes"]
        if not isinstance(sizes, list) or not sizes or not all(isinstance(size, int | float) for size in sizes):
            raise ConfigError(f"{where}.sizes", sizes, "a list of numbers")
        unit = str(entry.get("unit", ""))
        found.append(Imperfection(str(entry["name"]), dict(entry["fault"]), str(entry["key"]), tuple(sizes), unit))
    return found


def cases(imperfections: Sequence[Imperfection]) -> list[tuple[Point, list[dict[str, Any]]]]:
    """What is to be tried, as points without figures, each with its faults."""
    found: list[tuple[Point, list[dict[str, Any]]]] = [(Point(NOMINAL, "", False, -1, 0, 0, 0.0), [])]
    for one in imperfections:
        for rank, size in enumerate(one.sizes):
            text = f"{size:g} {one.unit}".strip()
            point = Point(one.name, text, one.fault.get("kind") in _DELAYS, rank, 0, 0, 0.0)
            found.append((point, [one.entry(rank)]))
    for rank in range(max((len(one.sizes) for one in imperfections), default=0)):
        entries = [one.entry(rank) for one in imperfections]
        found.append((Point(TOGETHER, f"size {rank + 1}", False, rank, 0, 0, 0.0), entries))
    return found


def try_case(stand_in: Lockstep, faults: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> tuple[int, float]:
    """Deterministic episodes under these faults: solved, mean normalised return [%].

    Raises:
        ChildError, PeerTimeoutError: the stand-in cannot be started.
        RlpdRobotError: robot and policy cannot go on together.
    """
    recipe = stand_in_recipe(stand_in.settings) or {}
    own = recipe["faults"].get("script") or []
    result = stand_in.evaluate([f"sim.faults.script={as_word([*own, *faults])}"], seeds)
    return result.successes, float(result.to_json()["normalized_return"])


def check_sweep(points: Sequence[Point], bar: float) -> Check:
    """Whether the policy bears the smallest size of each imperfection, and from where on it does not."""
    failed = [p for p in points if not p.bears(bar)]
    required = [p for p in failed if p.rank <= 0 and p.name != TOGETHER]
    first = {p.name: p for p in reversed(failed)}  # the smallest of each
    breaks = "; ".join(f"{p.name} {p.size}: {p.solved} of {p.episodes}".replace(" :", ":") for p in first.values())
    names = {p.name for p in points}
    borne = f"bears all of {len(names) - 1}" if not failed else f"no longer solved from here on: {breaks}"
    remedy = "Train with these imperfections (`experiment=dry_run/…`), or reduce them on the robot."
    if any(p.delay for p in failed):
        remedy = (
            "It does not bear delay: put the last actions into the observation, train with it, or lower the rate. "
            + remedy
        )
    return Check(
        ROBUSTNESS,
        f"at least {100 * bar:g} % solved as it is, and with the smallest size of each imperfection",
        borne,
        not required,
        remedy,
    )
