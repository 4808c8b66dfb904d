"""The closed form of braking against the braking itself, period by period."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.robot.braking import Braking, moves, run_out


def of(acceleration, speed=1e9):
    one = np.ones_like(acceleration)
    return Braking(one, speed * one, acceleration, np.zeros_like(one))


def reach(braking, v, a):
    """Lowest and highest displacement ahead, and whether it goes down and up at all."""
    side, dip, end = braking.reach(v, a)
    back, forth = moves(dip, end)
    up = side > 0
    return (np.where(up, dip, -end), np.where(up, end, -dip), np.where(up, back, forth), np.where(up, forth, back))


def drive(braking, v, a):
    """Displacements after each period of braking until everything stands, and the largest acceleration and jerk."""
    x, path, most_a, most_j = np.zeros_like(v), [np.zeros_like(v)], np.abs(a), 0.0
    for _ in range(3000):
        after = braking.brake(v, a)
        most_a, most_j = np.maximum(most_a, np.abs(after)), max(most_j, np.abs(after - a).max())
        v, a = v + after, after
        x = x + v
        path.append(x)
        if (np.abs(v) < 1e-9).all() and (np.abs(a) < 1e-9).all():
            return np.array(path), most_a, most_j
    raise AssertionError("it does not come to rest")


@st.composite
def moving(draw):
    """(v, a, limit of a) of some elements, on the curve between rising and falling too, in integers too."""
    n = draw(st.integers(1, 6))
    real = st.floats(0.5, 12.0)
    most = np.array(draw(st.lists(st.one_of(real, st.integers(1, 12).map(float)), min_size=n, max_size=n)))
    a = most * np.array(draw(st.lists(st.floats(-1, 1), min_size=n, max_size=n)))
    v = np.array(draw(st.lists(st.floats(-30, 30), min_size=n, max_size=n)))
    if draw(st.booleans()):
        a = np.clip(np.round(a), -most, most)
    if draw(st.booleans()):
        v = -np.copysign(run_out(np.abs(a)), a)
    return v, a, most


@settings(max_examples=60, deadline=None)
@given(moving())
def test_reach_is_where_braking_goes(case):
    v, a, most = case
    braking = of(most)
    path, most_a, most_j = drive(braking, v, a)
    assert (most_a <= most * (1 + 1e-12)).all()
    assert most_j <= 1 + 1e-9
    low, high, falls, rises = reach(braking, v, a)
    lowest, highest = path.min(0), path.max(0)
    climbed = (path - np.minimum.accumulate(path)).max(0)
    sunk = (np.maximum.accumulate(path) - path).max(0)
    np.testing.assert_array_equal(rises, climbed > 1e-6)
    np.testing.assert_array_equal(falls, sunk > 1e-6)
    tolerance = 1e-9 * (1 + np.abs(path).max(0))
    first_falls = path[1] < 0
    np.testing.assert_array_less(np.abs(np.where(rises & (high >= 0), high - highest, 0.0)), tolerance)
    np.testing.assert_array_less(np.abs(np.where(falls & (low <= 0), low - lowest, 0.0)), tolerance)
    # A rise after a dip ends below the start at times: then `high` is the end, and so mirrored.
    np.testing.assert_array_less(np.abs(np.where(rises & (high < 0) & first_falls, high - path[-1], 0.0)), tolerance)
    np.testing.assert_array_less(np.abs(np.where(falls & (low > 0) & ~first_falls, low - path[-1], 0.0)), tolerance)


@settings(max_examples=60, deadline=None)
@given(moving(), st.floats(0.1, 100.0))
def test_after_an_acceleration_within_the_speed_bounds_the_speed_is_kept_for_good(case, speed):
    v, a, most = case
    v = np.clip(v, -speed, speed)
    braking = of(most, speed)
    least, largest = braking.speed_bounds(v)
    for after in (least, largest):
        np.testing.assert_array_less(np.abs(v + after + np.copysign(run_out(np.abs(after)), after)), speed * (1 + 1e-9))
    over = np.maximum(largest + 0.01, 0.0)
    assert (v + over + run_out(over) > speed).all()  # the bound is the bound


def test_in_numbers():
    """From speed 6, jerk 1: accelerations -1, -2, -2, -1, 0, so speeds 5, 3, 1, 0, 0; their sum is the way."""
    v, a = np.array([6.0]), np.array([0.0])
    path, *_ = drive(of(np.array([12.0])), v, a)
    np.testing.assert_allclose(np.diff(path[:, 0]), [5, 3, 1, 0, 0], atol=1e-12)
    assert reach(of(np.array([12.0])), v, a)[1] == pytest.approx(9)
    # With at most 1 of acceleration: 5, 4, 3, 2, 1, 0, and one more to have no acceleration.
    path, *_ = drive(of(np.array([1.0])), v, a)
    np.testing.assert_allclose(np.diff(path[:, 0]), [5, 4, 3, 2, 1, 0, 0], atol=1e-12)


def test_without_a_jerk_limit_braking_is_by_acceleration_alone():
    """Speed 1 m/s, 5 m/s², 0.1 s: 0.5, 0 m/s, so 0.05 m."""
    inf = np.array([np.inf])
    braking = Braking.of(inf, np.array([5.0]), inf, np.array([100.0]), 0.1)
    _, high, _, _ = reach(braking, np.array([0.1]) / braking.unit, np.zeros(1))
    assert high * braking.unit == pytest.approx(0.05)
    assert (braking.speed_bounds(np.zeros(1))[1] == np.inf).all()


@settings(max_examples=60, deadline=None)
@given(moving(), st.floats(0.5, 50.0))
def test_nothing_goes_farther_than_the_farthest(case, speed):
    v, a, most = case
    braking = of(most, speed)
    least, largest = braking.speed_bounds(np.clip(v, -speed, speed))
    a = np.clip(np.clip(a, least, largest), -most, most)
    v = np.clip(np.clip(v, -speed, speed) + a, -speed, speed)
    low, high, _, _ = reach(braking, v, a)
    assert (np.maximum(-low, high) <= braking.farthest).all()
