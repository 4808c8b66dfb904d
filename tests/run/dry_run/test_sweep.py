"""What is swept, and what it says of a policy."""

from dataclasses import replace

import pytest
import yaml

from rlpd_robot.config import load
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.dry_run.lockstep import as_word
from rlpd_robot.run.dry_run.sweep import NOMINAL, TOGETHER, Point, cases, check_sweep, parse_imperfections

ENTRIES = [
    {"name": "late", "fault": {"kind": "actuator_delay"}, "key": "periods", "sizes": [1, 2], "unit": "periods"},
    {"name": "noise", "fault": {"kind": "noise", "fields": ["ball"]}, "key": "std", "sizes": [0.1]},
]


def points(solved):
    """By (name, size), solved of ten; all the others ten."""
    tried = [point for point, _ in cases(parse_imperfections(ENTRIES))]
    return [replace(p, solved=solved.get((p.name, p.size), 10), episodes=10) for p in tried]


def test_each_size_alone_and_all_together_by_their_rank():
    tried = cases(parse_imperfections(ENTRIES))
    assert [(p.name, p.size, p.delay, p.rank) for p, _ in tried] == [
        (NOMINAL, "", False, -1),
        ("late", "1 periods", True, 0),
        ("late", "2 periods", True, 1),
        ("noise", "0.1", False, 0),
        (TOGETHER, "size 1", False, 0),
        (TOGETHER, "size 2", False, 1),
    ]
    late, noise = ({"kind": "actuator_delay", "periods": 2}, {"kind": "noise", "fields": ["ball"], "std": 0.1})
    assert [faults for _, faults in tried][:1] == [[]]
    assert tried[2][1] == [late]
    assert tried[-1][1] == [late, noise]  # the largest where there are fewer


@pytest.mark.parametrize(
    ("solved", "passed", "told"),
    [
        ({}, True, "bears all of 3"),
        ({("late", "2 periods"): 7}, True, "from here on: late 2 periods: 7 of 10"),
        ({("late", "1 periods"): 7, ("late", "2 periods"): 0}, False, "from here on: late 1 periods: 7 of 10"),
        ({("noise", "0.1"): 0}, False, "noise 0.1: 0 of 10"),
        ({(TOGETHER, "size 1"): 0}, True, "all together size 1: 0 of 10"),
        ({(NOMINAL, ""): 0}, False, "as it is: 0 of 10"),
    ],
)
def test_what_a_policy_must_bear(solved, passed, told):
    check = check_sweep(points(solved), 0.8)
    assert check.passed is passed
    assert told in check.measured
    assert ("does not bear delay" in check.remedy) == any(name == "late" for name, _ in solved)


def test_a_point_tells_its_interval():
    point = Point("late", "1", True, 0, 9, 10, 60.0)
    assert point.interval == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert point.to_json()["success_ci95"] == list(point.interval)
    assert (point.bears(0.9), point.bears(0.91)) == (True, False)


def test_what_means_nothing_is_refused():
    for entry in (
        {"name": "x"},
        {**ENTRIES[0], "size": 1},
        {**ENTRIES[0], "sizes": []},
        {**ENTRIES[0], "sizes": ["a"]},
    ):
        with pytest.raises(ConfigError, match=r"dry_run.imperfections\[0\]"):
            parse_imperfections([entry])


def test_the_shipped_ones_are_faults_of_the_hand_and_can_be_said_as_words():
    entries = load("dry_run", [])[0].dry_run.imperfections
    faults = [fault for _, several in cases(parse_imperfections(entries)) for fault in several]
    settings, _ = load("sim", [f"sim.faults.script={as_word(faults)}"])
    assert settings.robot.stand_in is not None
    assert settings.robot.stand_in["faults"]["script"] == faults
    assert yaml.safe_load(as_word({"a": [True, None, 1.5, "b c"]}).replace(":", ": ")) == {
        "a": [True, None, 1.5, "b c"]
    }
