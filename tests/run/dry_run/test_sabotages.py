"""A robot with one thing wrong, and all that is looked at in undisturbed stages: exactly its own check fails."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from rlpd_robot.robot.book import Outcome
from rlpd_robot.run.dry_run import checks as c
from rlpd_robot.run.dry_run.growth import check_disk, check_memory
from rlpd_robot.run.dry_run.policy_checks import Training, check_finite, check_range
from rlpd_robot.run.dry_run.randomized import Randomized, check_randomized
from rlpd_robot.run.dry_run.success import check_success
from tests.policy.networks import snapshot
from tests.run.dry_run.test_checks import FIGURES, PAIRS, PERIOD_S, SPEC, episode, limits

ROWS = 200
TRAINING = Training(("a store",), None, np.full(4, -1, np.float32), np.ones(4, np.float32))  # type: ignore[arg-type]


@dataclass
class Robot:
    """What is known of one that is well, after random commands and after the policy's episodes."""

    babble: tuple = field(default_factory=lambda: episode(step=0.2))
    figures: dict = field(default_factory=lambda: dict(FIGURES))
    ages_s: np.ndarray = field(default_factory=lambda: np.full(ROWS, 0.008))
    seen: np.ndarray = field(default_factory=lambda: np.random.default_rng(0).uniform(-1, 1, (ROWS, 4)))
    solved: tuple = (True,) * 8
    policy: object = field(default_factory=lambda: snapshot((4, 8), 2))
    others: tuple = (True,) * 20
    limits: object = field(default_factory=lambda: limits(max_speed=25.0))
    disk_bytes: float = 1e6
    memory: list = field(default_factory=lambda: [(float(i), 80.0) for i in range(30)])

    def checks(self):
        """By name."""
        book, readings = self.babble
        found = [
            c.check_joints(readings, book, SPEC, PAIRS),
            *c.check_rate(self.figures, 0.005),
            *c.check_ages(self.ages_s, self.figures, PERIOD_S),
            c.check_filter(self.figures, 0.2, "narrow"),
            c.check_limits([book], self.limits),
            c.check_stale([book]),
            check_success([(i, good, 200) for i, good in enumerate(self.solved)], 0.8, True),
            check_range(TRAINING, np.split(self.seen.astype(np.float32), 8), 0.05, 0.1),
            check_finite(self.policy, TRAINING, list(self.seen.astype(np.float32))),
            check_randomized(Randomized({"mass": (0.8, 1.2)}, (0.0,) * 20, self.others), 0.5, True),
            check_disk(int(self.disk_bytes), 10.0, 10e9, 8.0),
            check_memory(self.memory, 1e9, 8.0),
        ]
        assert len({check.name for check in found}) == len(found)
        return {check.name: check for check in found}

    def readings(self, spoil) -> "Robot":
        book, readings = self.babble
        return replace(self, babble=(book, {**readings, "joint_position": spoil(readings["joint_position"])}))

    def book(self, spoil) -> "Robot":
        book, readings = self.babble
        book = book.copy()
        spoil(book)
        return replace(self, babble=(book, readings))

    def told(self, **figures) -> "Robot":
        return replace(self, figures={**self.figures, **figures})


def _shift(column, by):
    def spoil(values):
        moved = values.copy()
        moved[:, column] += by
        return moved

    return spoil


def _set(name, index, value):
    return lambda book: book[name].__setitem__(index, value)


SABOTAGES = {
    "two joints swapped": (lambda r: r.readings(lambda q: q[:, [1, 0, 2, 3]]), "joint order", "wrong order"),
    "all joints shifted": (
        lambda r: r.readings(lambda q: np.roll(q, 1, axis=1)),
        "joint order",
        "4 joints in the wrong",
    ),
    "a joint mounted backwards": (lambda r: r.readings(lambda q: q * [1, 1, -1, 1]), "joint order", "way round: c"),
    "half the rate": (lambda r: r.told(period_ms=20.0), "loop rate", "20.000 ms"),
    "a busy core": (lambda r: r.told(lateness_ms_p99=8.0), "lateness", "p99 8.00"),
    "missed ticks": (lambda r: r.told(deadline_misses=50.0), "lateness", "5.00 %"),
    "too large a network": (lambda r: r.told(response_ms_p99=14.0), "state age", "p99 14.00 ms"),
    "a slow link": (lambda r: replace(r, ages_s=r.ages_s + 0.016), "command age", "p99 24.00"),
    "limits too narrow for the policy": (lambda r: r.told(filtered=400.0), "filter interventions", "40.0 %"),
    "limits narrower than what was sent": (
        lambda r: replace(r, limits=limits(margin=0.2)),
        "commands within limits",
        "outside",
    ),
    "a speed limit that was not kept": (
        lambda r: replace(r, limits=limits(max_speed=5.0)),
        "commands within limits",
        "fast",
    ),
    "a command the robot refused": (
        lambda r: r.book(_set("outcome", 9, Outcome.INVALID)),
        "commands within limits",
        "1 refused",
    ),
    "an old command followed": (lambda r: r.book(_set("answers", 50, 44)), "no stale command", "1 stale"),
    "a command followed twice": (lambda r: r.book(_set("number", 50, 49)), "no stale command", "1 twice"),
    "moves after a stop": (lambda r: r.book(_set("outcome", 290, Outcome.STOP)), "no stale command", "10 after a stop"),
    "a sensor's zero": (lambda r: replace(r, seen=_shift(2, 1.0)(r.seen)), "training range", "elements [2]"),
    "a sensor's unit": (lambda r: replace(r, seen=r.seen * [1, 57.3, 1, 1]), "training range", "elements [1]"),
    "a policy that cannot": (lambda r: replace(r, solved=(True, False) * 4), "success", "4 of 8"),
    "a policy of one robot alone": (
        lambda r: replace(r, others=(True,) + (False,) * 19),
        "success under randomisation",
        "1 of 20",
    ),
    "a disk too small": (lambda r: replace(r, disk_bytes=1e8), "disk", "36000 MB/h"),
    "a leak": (lambda r: replace(r, memory=[(float(i), 80.0 + i) for i in range(30)]), "memory", "3600 MB/h"),
}


def test_a_robot_that_is_well_passes_everything() -> None:
    assert {name: check.passed for name, check in Robot().checks().items()} == dict.fromkeys(Robot().checks(), True)


@pytest.mark.parametrize(("solved", "passed"), [(20, True), (8, True), (6, True), (5, False), (0, False)])
def test_success_under_randomisation_is_judged_by_its_interval(solved: int, passed: bool) -> None:
    found = Randomized({"mass": (0.8, 1.2)}, (0.0,) * 20, (True,) * solved + (False,) * (20 - solved))
    assert check_randomized(found, 0.5, True).passed is passed


@pytest.mark.parametrize("name", SABOTAGES)
def test_each_sabotage_fails_exactly_its_own_check(name: str) -> None:
    spoil, own, told = SABOTAGES[name]
    found = spoil(Robot()).checks()
    failed = {other for other, check in found.items() if check.passed is not True}
    assert failed == {own}, [found[other].measured for other in failed]
    assert told in found[own].measured
    assert found[own].remedy
