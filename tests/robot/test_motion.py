"""The robot's own watchdog, exact in time; and what its own limits say."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.robot.motion import FIRST_COMMAND_S, FRESH_PERIODS, Motion, OwnLimits, Phase
from rlpd_robot.spec import Field, RobotSpec

PERIOD = 0.01
SPEC = RobotSpec(
    name="arm",
    period_s=PERIOD,
    state=(Field("q", (2,), "float64", "rad"),),
    command=(
        Field("target", (1,), "float64", "rad", low=(-1.0,), high=(1.0,)),
        Field("slide", (), "float64", "m/s", low=(-2.0,), high=(2.0,)),
    ),
)


def test_a_robot_that_was_never_reset_does_not_follow():
    motion = Motion(SPEC, lockstep=False, ramp_s=0.0)
    assert motion.phase is Phase.STOPPED
    assert motion.why == "it has not been reset yet"
    assert not motion.overdue(1e9)


def test_a_command_grows_stale_after_two_and_a_half_periods():
    motion = Motion(SPEC, lockstep=False, ramp_s=0.0)
    motion.reset(10.0)
    motion.follow(4, np.array([0.5, 1.0]), 10.0)
    assert motion.executed == 4
    assert not motion.overdue(10.0 + FRESH_PERIODS * PERIOD - 1e-9)
    assert motion.overdue(10.0 + FRESH_PERIODS * PERIOD + 1e-9)
    motion.hold(10.026)
    assert motion.why == "it stopped by itself: no fresh command for 26 ms"
    assert motion.executed == -1
    assert motion.ramp(10.026) is None  # without a ramp it is stopped at once


def test_the_first_command_has_more_time_and_not_for_ever():
    motion = Motion(SPEC, lockstep=False, ramp_s=0.0)
    motion.reset(10.0)
    assert not motion.overdue(10.0 + FIRST_COMMAND_S)
    assert motion.overdue(10.0 + FIRST_COMMAND_S + 1e-6)


def test_rates_go_to_zero_and_positions_are_held():
    motion = Motion(SPEC, lockstep=False, ramp_s=0.1)
    motion.reset(0.0)
    motion.follow(0, np.array([0.5, 2.0]), 0.0)
    motion.hold(1.0)
    np.testing.assert_allclose(motion.ramp(1.0), [0.5, 2.0])
    np.testing.assert_allclose(motion.ramp(1.025), [0.5, 1.5])
    np.testing.assert_allclose(motion.ramp(1.075), [0.5, 0.5])
    assert motion.ramp(1.1) is None


def test_time_means_nothing_in_lockstep():
    motion = Motion(SPEC, lockstep=True, ramp_s=0.0)
    motion.reset(0.0)
    motion.follow(0, np.zeros(2), 0.0)
    assert not motion.overdue(1e9)


@given(st.lists(st.sampled_from(["stop", "hold", "late", "ramp"]), max_size=20), st.booleans())
def test_nothing_but_a_reset_lets_a_stopped_robot_follow(calls, first_hold):
    motion = Motion(SPEC, lockstep=False, ramp_s=0.05)
    motion.reset(0.0)
    motion.follow(0, np.zeros(2), 0.0)
    if first_hold:
        motion.hold(0.1)
    else:
        motion.stop("told so")
    for i, call in enumerate(calls):
        now = 0.1 + 0.01 * i
        match call:
            case "stop":
                motion.stop("again")
            case "hold":
                if motion.overdue(now):
                    motion.hold(now)
            case "late":
                assert not motion.overdue(now)
            case "ramp":
                motion.ramp(now)
        assert motion.phase is not Phase.FOLLOWING
    motion.reset(5.0)
    assert (motion.phase, motion.executed) == (Phase.FOLLOWING, -1)


def limits(low=(-1.0, -2.0), high=(1.0, 2.0), speed=(3.0, 10.0)):
    return np.array([low, high, speed])


@pytest.mark.parametrize(
    ("theirs", "sentence"),
    [
        (limits(), None),
        (limits(low=(-0.5, 0.0), speed=(0.1, 0.1)), None),
        (limits(low=(-1.1, -2.0)), "lower limit of 'target' is -1.1, the robot's own is -1"),
        (limits(high=(1.0, 2.5)), "upper limit of 'slide' is 2.5, the robot's own is 2"),
        (limits(speed=(np.inf, 1.0)), "speed limit of 'target' is inf, the robot's own is 3"),
        (limits(speed=(np.nan, 1.0)), "speed limit of 'target' is nan"),
        (np.zeros((3, 5)), r"shape \(3, 5\)"),
        (None, None),
    ],
)
def test_a_controllers_limits_lie_inside_the_robots_own(theirs, sentence):
    problem = OwnLimits(SPEC, np.array([3.0, 10.0])).mismatch(theirs)
    assert (problem is None) == (sentence is None)
    if sentence is not None:
        assert re.search(sentence, problem)


def test_a_robot_without_a_speed_of_its_own_takes_any():
    assert OwnLimits(SPEC, None).mismatch(limits(speed=(np.inf, np.inf))) is None
