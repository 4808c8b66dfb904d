"""The checks of undisturbed stages, each on evidence in which one thing is wrong."""

import numpy as np
import pytest

from rlpd_robot.robot.book import Outcome, record_dtype
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.robot.safety_limits import SafetyLimits
from rlpd_robot.run.dry_run import checks as c
from rlpd_robot.run.dry_run.check import is_go
from rlpd_robot.run.dry_run.growth import check_disk
from rlpd_robot.spec import Field, RobotSpec

J, PERIOD_S = 4, 0.01
LABELS = ("a", "b", "c", "d")
SPEC = RobotSpec(
    name="four joints",
    period_s=PERIOD_S,
    state=(
        Field("joint_position", (J,), "float64", "rad", labels=LABELS),
        Field("joint_velocity", (J,), "float64", "rad/s", labels=LABELS),
    ),
    command=(Field("joint_target", (J,), "float64", "rad", (-1.0,) * J, (1.0,) * J, LABELS),),
)
PAIRS = c.joint_pairs(SPEC, ())
FIGURES = {
    "nominal_period_ms": 10.0,
    "period_ms": 10.01,
    "steps": 1000.0,
    "deadline_misses": 0.0,
    "lateness_ms_p50": 0.1,
    "lateness_ms_p99": 1.0,
    "lateness_ms_max": 3.0,
    "response_ms_p50": 0.4,
    "response_ms_p99": 1.0,
    "filtered": 0.0,
}


def episode(steps=300, seed=0, step=np.inf):
    """A book and readings of a robot that follows random commands: a quarter of the way each period.

    `step`: the farthest that a command goes from the one before, as behind a filter of speed.
    """
    rng = np.random.default_rng(seed)
    book = np.zeros(steps + 1, record_dtype(J))
    book["outcome"] = Outcome.EXECUTED
    book["outcome"][0] = Outcome.RESET
    book["server"], book["controller"] = b"s", b"c"
    book["number"] = book["state"] = np.arange(steps + 1)
    book["answers"] = book["state"]
    book["stamp_s"] = np.arange(steps + 1) * PERIOD_S + 0.002
    wanted = rng.uniform(-1, 1, (steps, J))
    for k in range(steps):
        book["values"][k + 1] = book["values"][k] + np.clip(wanted[k] - book["values"][k], -step, step)
    places = np.zeros((steps + 2, J))
    for k in range(1, steps + 2):
        target = book["values"][k - 1] if k > 1 else np.zeros(J)
        places[k] = places[k - 1] + 0.25 * (target - places[k - 1])
    stamps = (np.arange(steps + 2) * PERIOD_S)[:, None]
    return book, {"stamp_s": stamps, "joint_position": places, "joint_velocity": places}


def limits(**settings):
    return SafetyLimits.from_settings(SafetySettings(**settings), SPEC)


def test_joints_are_paired_by_name_and_unit_or_by_what_measures_them():
    assert {i: ("joint_position", i) for i in range(J)} == PAIRS
    assert c.joint_pairs(SPEC, ("joint_position",)) == PAIRS


def test_healthy_joints_follow_their_own_commands():
    book, readings = episode()
    check = c.check_joints(readings, book, SPEC, PAIRS)
    assert (check.passed, check.measured) == (True, "4 of 4 joints follow their own commands")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda q: np.roll(q, 1, axis=1), "4 joints in the wrong order: the command of a moves the reading of b"),
        (lambda q: q[:, [1, 0, 2, 3]], "2 joints in the wrong order: the command of a moves the reading of b"),
        (lambda q: q * [1, -1, 1, 1], "the wrong way round: b"),
    ],
)
def test_sabotaged_joints_are_named(spoil, told):
    book, readings = episode()
    check = c.check_joints({**readings, "joint_position": spoil(readings["joint_position"])}, book, SPEC, PAIRS)
    assert check.passed is False
    assert told in check.measured


@pytest.mark.parametrize("step", [0.005, 0.05, np.inf])
def test_healthy_joints_are_never_told_to_be_wrong_however_slow_they_are(step):
    for seed in range(12):
        book, readings = episode(steps=int(60 + 40 * seed), seed=seed, step=step)
        check = c.check_joints(readings, book, SPEC, PAIRS)
        assert check.passed is not False, check.measured


def test_a_joint_that_does_not_move_is_no_wrong_order():
    book, readings = episode()
    readings["joint_position"][:, 2] = 0.5
    check = c.check_joints(readings, book, SPEC, PAIRS)
    assert check.passed
    assert "too little to tell: c" in check.measured


def test_joints_are_not_judged_from_nothing():
    book, readings = episode(steps=20)
    assert c.check_joints(readings, book, SPEC, PAIRS).passed is None
    assert c.check_joints(readings, book, SPEC, {}).passed is None


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({}, []),
        ({"period_ms": 10.5}, ["loop rate"]),
        ({"lateness_ms_p99": 6.0}, ["lateness"]),
        ({"deadline_misses": 20.0}, ["lateness"]),
    ],
)
def test_rate_and_lateness(changes, failed):
    assert [k.name for k in c.check_rate({**FIGURES, **changes}, late=0.005) if not k.passed] == failed


def test_ages():
    good = np.full(100, 0.008)
    assert [k.passed for k in c.check_ages(good, FIGURES, PERIOD_S)] == [True, True]
    assert [k.passed for k in c.check_ages(good, {}, PERIOD_S)] == [None, True]  # it was killed
    assert [k.passed for k in c.check_ages(good, {**FIGURES, "response_ms_p99": 11.0}, PERIOD_S)] == [False, True]
    assert [k.passed for k in c.check_ages(good + 0.015, FIGURES, PERIOD_S)] == [True, False]
    assert [k.passed for k in c.check_ages(np.array([*good, 0.05]), FIGURES, PERIOD_S)] == [True, False]


def test_what_must_not_be_executed():
    book, _ = episode()
    assert c.check_stale([book]).passed
    old = book.copy()
    old["answers"][50] -= 4
    assert "1 stale, 0 twice, 0 after a stop" in c.check_stale([old]).measured
    twice = book.copy()
    twice["number"][50] = 49
    assert "0 stale, 1 twice, 0 after a stop" in c.check_stale([twice]).measured
    stopped = book.copy()
    stopped["outcome"][298] = Outcome.HELD
    check = c.check_stale([stopped])
    assert "0 stale, 0 twice, 2 after a stop" in check.measured
    assert check.passed is False
    assert c.check_stale([book[:1]]).passed is False  # nothing was executed: nothing is shown


def test_limits_by_the_robots_own_book():
    book, _ = episode()
    assert c.check_limits([book], limits()).passed
    assert "0 outside, 300 too fast" not in c.check_limits([book], limits()).measured
    narrow = c.check_limits([book], limits(margin=0.1))
    assert narrow.passed is False
    assert "outside" in narrow.measured
    assert not narrow.measured.startswith("0 outside")
    fast = c.check_limits([book], limits(max_speed=10.0))
    assert fast.passed is False
    assert fast.measured.startswith("0 outside, 299 too fast")
    slow = book.copy()
    slow["values"][1:] = np.cumsum(np.full((300, J), 1e-3), axis=0)
    assert c.check_limits([slow], limits(max_speed=0.1)).passed
    slow["outcome"][9] = Outcome.STALE  # one that was refused: the next may be two steps away
    assert c.check_limits([slow], limits(max_speed=0.1)).passed
    slow["outcome"][7] = Outcome.INVALID
    assert "1 refused" in c.check_limits([slow], limits(max_speed=0.1)).measured


def test_a_robot_without_a_watchdog_may_rest_and_go_on():
    book, _ = episode()
    book["outcome"][[0, 150]] = Outcome.IDLE
    assert c.check_stale([book]).passed
    book["outcome"][0] = Outcome.EXECUTED  # nobody has said that it may move
    assert "after a stop" in c.check_stale([book]).measured
    old = book[1:].copy()
    old["outcome"][0], old["answers"][50] = Outcome.IDLE, old["state"][50] - 12
    assert c.check_stale([old]).passed is False
    assert c.check_stale([old], states_per_period=4).passed


def test_the_way_back_to_where_it_stands_is_no_quick_step():
    book, _ = episode(step=0.05)
    book["controller"] = c.NO_NUMBERS
    book["number"] = 0
    stamps, places = np.arange(400) * PERIOD_S, np.full((400, J), np.nan)
    slow = limits(max_speed=6.0)
    assert c.check_limits([book], slow, [(stamps, places)]).passed
    book["values"][200:] = book["values"][200:] + 0.5  # a jump, to where nothing is
    assert "1 too fast" in c.check_limits([book], slow, [(stamps, places)]).measured
    assert c.check_limits([book], slow, []).passed  # a stage with faults: not judged
    places[150:250] = book["values"][200]
    assert c.check_limits([book], slow, [(stamps, places)]).passed  # it had stood there
    book["number"][200:] = 11  # ten came in between, and the robot took the newest
    places[:] = np.nan
    assert c.check_limits([book], slow, [(stamps, places)]).passed


def test_filter_success_and_disk():
    assert c.check_filter(FIGURES, 0.2, "x").passed
    assert c.check_filter({**FIGURES, "filtered": 300.0}, 0.2, "narrow").remedy.startswith("The limits 'narrow'")
    assert c.check_filter({**FIGURES, "filtered": 300.0}, 0.2, "narrow").passed is False
    assert c.check_filter({}, 0.2, "x").passed is None
    assert check_disk(1000, 1.0, 28_800_000, 8.0).passed
    assert check_disk(1000, 1.0, 28_700_000, 8.0).passed is False


def test_the_verdict_needs_checks_and_no_failure():
    book, _ = episode()
    good, bad = c.check_stale([book]), c.check_stale([book[:1]])
    assert (is_go([]), is_go([good]), is_go([good, bad])) == (False, True, False)
