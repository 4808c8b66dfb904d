"""What leaves the filter, whatever comes in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpd_robot.errors import DataError, FaultError
from rlpd_robot.robot.safety import (
    ACCELERATION,
    EFFORT,
    JERK,
    NON_FINITE,
    POSITION,
    STEP,
    VELOCITY,
    WORKSPACE,
    History,
    SafetyLimits,
    SafetySettings,
    check_measured,
    filter_command,
)
from rlpd_robot.robot.safety_limits import Box
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import Command, RobotState
from tests.robot.limits import limits_of

C = 3
STATE = RobotState({}, 0, 0.0, 0.0)
ANY = arrays(np.float64, C, elements=st.floats(allow_nan=True, allow_infinity=True))


def vector(low, high):
    return arrays(np.float64, C, elements=st.floats(low, high))


@st.composite
def limits_of_a_robot(draw, rates=True):
    """Ranges far from zero and near it, rates from sluggish to hardly a limit, some of them infinite."""
    middle = draw(vector(-100, 100))
    half = draw(vector(0.01, 10))
    period_s = draw(st.sampled_from([0.002, 0.01, 0.1, 1.0]))
    margin = half * draw(st.sampled_from([0.0, 0.1]))
    speed = half / (period_s * draw(vector(0.3, 60)))
    acceleration = speed / (period_s * draw(vector(0.3, 20)))
    jerk = acceleration / (period_s * draw(vector(0.3, 20)))
    chosen = {"speed": speed, "acceleration": acceleration, "jerk": jerk} if rates else {"speed": speed}
    for name in chosen:
        chosen[name] = np.where(draw(arrays(np.bool_, C)), chosen[name], np.inf)
    return limits_of(
        middle - half + margin,
        middle + half - margin,
        own_low=middle - half,
        own_high=middle + half,
        period_s=period_s,
        **chosen,
    )


def start(limits, share):
    """A history at rest somewhere in the robot's own range, its margin included."""
    return History.at_rest(limits.own_low + share * limits.width)


def desires(limits, history, kind, draw, random):
    """The next desired command: anything, a push into one end, a leap from end to end, or a small step."""
    if kind == "any":
        return draw(ANY)
    if kind == "leap":
        return np.where(random.random(C) < 0.5, limits.own_low, limits.own_high) * random.choice([1.0, 1.5])
    if kind == "high":
        return limits.high + random.random(C)
    if kind == "on":
        return history.position + 1.5 * history.velocity + np.where(random.random(C) < 0.1, np.nan, 0.0)
    return history.position + random.normal(size=C) * np.minimum(limits.max_speed * limits.period_s, limits.width)


KINDS = st.sampled_from(["any", "leap", "high", "on", "step"])


def test_a_robot_that_stands_beyond_its_range_by_rounding_is_held_inside():
    limits = limits_of(np.full(C, -1.0), np.full(C, 1.0), period_s=0.01)
    beyond = History.at_rest(np.nextafter(limits.high, 2.0))
    for asked in (1.0, 3.0):
        safe, _, _ = filter_command(limits, beyond, Command(np.full(C, asked)), STATE)
        assert (safe.values == 1.0).all()


@settings(max_examples=40, deadline=None)
@given(st.data(), limits_of_a_robot(), vector(0, 1), st.integers(0, 1 << 30))
def test_whatever_is_asked_for_the_output_is_finite_and_inside_every_limit(data, limits, share, seed):
    random = np.random.default_rng(seed)
    history = start(limits, share)
    sent = [history.position] * 3
    for _ in range(12):
        kind = data.draw(KINDS)
        for _ in range(1 if kind == "any" else int(random.integers(1, 12))):
            desired = desires(limits, history, kind, data.draw, random)
            safe, report, history = filter_command(limits, history, Command(desired), STATE)
            inside(limits, [*sent, safe.values])
            sent = [*sent[1:], safe.values]
            assert bool(report.causes & NON_FINITE) == (not np.isfinite(desired).all())
            assert report.changed == bool(report.causes)


def inside(limits, sent):
    """The last of four commands keeps the range and all differences."""
    x = sent[-1]
    assert np.isfinite(x).all()
    assert (x >= np.minimum(limits.low, sent[-2])).all()  # outside only further in
    assert (x <= np.maximum(limits.high, sent[-2])).all()
    rounding = 1e-15 * np.maximum(np.abs(limits.own_low), np.abs(limits.own_high))
    for order, limit in enumerate((limits.max_speed, limits.max_acceleration, limits.max_jerk), 1):
        difference = np.abs(np.diff(np.stack(sent), n=order, axis=0)[-1])
        assert (difference <= limit * limits.period_s**order * (1 + 1e-6) + 2.0**order * rounding).all(), order


@settings(max_examples=40, deadline=None)
@given(st.data(), limits_of_a_robot(), vector(0, 1), st.integers(0, 1 << 30))
def test_filtering_twice_changes_nothing_more_and_a_safe_command_passes_bit_for_bit(data, limits, share, seed):
    random = np.random.default_rng(seed)
    history = start(limits, share)
    for _ in range(20):
        desired = desires(limits, history, data.draw(st.sampled_from(["leap", "high", "step"])), data.draw, random)
        once, _, after = filter_command(limits, history, Command(desired), STATE)
        twice, report, again = filter_command(limits, history, once, STATE)
        assert twice.values.tobytes() == once.values.tobytes()
        assert report.causes == 0
        assert again.acceleration.tobytes() == after.acceleration.tobytes()
        history = after


@settings(max_examples=30, deadline=None)
@given(st.data(), limits_of_a_robot(), vector(0, 1), st.integers(0, 1 << 30))
def test_from_everything_that_it_lets_through_it_can_come_to_rest_within_every_limit(data, limits, share, seed):
    """The invariant itself: after any history of its own, holding still is reached without leaving any limit."""
    random = np.random.default_rng(seed)
    history = start(limits, share)
    sent = [history.position] * 3
    for _ in range(data.draw(st.integers(1, 40))):
        desired = desires(limits, history, data.draw(st.sampled_from(["leap", "high", "step"])), data.draw, random)
        safe, _, history = filter_command(limits, history, Command(desired), STATE)
        sent = [*sent[1:], safe.values]
    if limits.braking is None:
        return
    unit = limits.braking.unit
    for _ in range(3000):
        brake = history.position + history.velocity
        brake = brake + unit * limits.braking.brake(history.velocity / unit, history.acceleration / unit)
        safe, _, history = filter_command(limits, history, Command(brake), STATE)
        # Within the rounding of the prediction: it was possible, and it is what happens.
        np.testing.assert_allclose(safe.values, brake, atol=2e-9 * float(limits.width.max()))
        inside(limits, [*sent, safe.values])
        sent = [*sent[1:], safe.values]
        if (sent[-1] == sent[-3]).all():
            return
    raise AssertionError("it does not come to rest")


STRANGE = st.floats(-3, 3)


@settings(max_examples=40, deadline=None)
@given(limits_of_a_robot(), vector(-0.5, 1.5), arrays(np.float64, C, elements=STRANGE), vector(-9, 9), ANY)
def test_from_a_history_that_is_not_its_own_range_and_speed_are_kept(limits, share, v, a, desired):
    """Only a bug could make one. Then acceleration and jerk give way, and it is over after a few commands."""
    history = History(
        np.clip(limits.own_low + share * limits.width, limits.own_low, limits.own_high), v * limits.width, a
    )
    desired = np.where(np.isfinite(desired), np.clip(desired, limits.own_low, limits.own_high), desired)
    for _ in range(5):
        before = history.position
        safe, _, history = filter_command(limits, history, Command(desired), STATE)
        inside(replace_rates(limits), [before, before, before, safe.values])
    assert np.isfinite(history.velocity).all()
    assert np.isfinite(history.acceleration).all()


def replace_rates(limits):
    none = np.full(C, np.inf)
    return replace(limits, max_acceleration=none, max_jerk=none)


@settings(max_examples=40, deadline=None)
@given(limits_of_a_robot(rates=False), arrays(np.float32, C, elements=st.floats(-1, 1, width=32)))
def test_an_action_in_range_is_never_called_filtered(limits, action):
    low, high = limits.own_low, limits.own_high
    spec = RobotSpec("r", 0.01, (Field("s", (), "float64", "-"),), (Field("c", (C,), "float64", "m", low, high),))
    whole = SafetyLimits.from_settings(SafetySettings(), spec)
    safe, report, _ = filter_command(whole, None, ActionMap.of(spec).to_command(action), STATE)
    assert not report.changed
    np.testing.assert_allclose(ActionMap.of(spec).to_action(safe), action, atol=1e-6)


def square(**options):
    return limits_of(-np.ones(2), np.ones(2), period_s=0.1, **options)


def one(limits, history, *desired, state=STATE):
    """(values, causes) of one command."""
    history = history if history is None or isinstance(history, History) else History.at_rest(np.array(history))
    safe, report, _ = filter_command(limits, history, Command(np.array(desired)), state)
    return safe.values, report.causes


def test_range_and_speed_in_numbers():
    values, causes = one(square(speed=2.0), [0.0, 0.0], 5.0, -0.01)
    np.testing.assert_array_equal(values, [0.2, -0.01])
    assert causes == POSITION | VELOCITY


def test_acceleration_in_numbers():
    """2 m/s² over 0.1 s: 0.2 m/s more in a period, 0.02 m of way."""
    limits = square(acceleration=2.0)
    values, causes = one(limits, [0.0, 0.0], 0.5, 0.01)
    np.testing.assert_allclose(values, [0.02, 0.01])
    assert causes == ACCELERATION
    history = History(np.zeros(2), np.array([0.05, 0.05]), np.zeros(2))
    values, causes = one(limits, history, 0.5, 0.06)
    np.testing.assert_allclose(values, [0.07, 0.06])


def test_jerk_in_numbers():
    """20 m/s³ over 0.1 s: 2 m/s² more, so 0.02 m."""
    values, causes = one(square(jerk=20.0), [0.0, 0.0], 0.5, -0.5)
    np.testing.assert_allclose(values, [0.02, -0.02])
    assert causes == JERK


def test_too_fast_to_stop_before_the_end_is_a_matter_of_position():
    """At 0.1 m a period and 0.01 m a period² of braking there are 0.45 m of way: 0.09, 0.08 … 0.01."""
    limits = square(acceleration=1.0)
    history = History(np.array([0.55, 0.54]), np.array([0.1, 0.1]), np.zeros(2))
    values, causes = one(limits, history, 0.65, 0.63)
    np.testing.assert_allclose(values, [0.64, 0.63])  # the first must brake with all it has
    assert causes == POSITION


def test_a_smooth_way_to_rest_at_the_end_of_the_range_passes_bit_for_bit():
    """x = (2t - sin 2t) / 6π is at rest at 1 after 3π s; its rates stay below 0.22, 0.22, 0.43."""
    limits = limits_of(-np.ones(1), np.ones(1), speed=0.22, acceleration=0.22, jerk=0.43)
    history = History.at_rest(np.zeros(1))
    for t in np.arange(1, 943) * 0.01:
        desired = np.array([(2 * t - math.sin(2 * t)) / (6 * math.pi)])
        safe, report, history = filter_command(limits, history, Command(desired), STATE)
        assert report.causes == 0
        assert safe.values.tobytes() == desired.tobytes()
    assert desired[0] > 0.99999


def test_what_cannot_be_stopped_in_time_any_more_is_held_at_once_and_then_at_rest():
    """0.1 m a period with 0.05 m left and 0.01 m a period² of braking: not a history of this filter's making."""
    history = History(np.array([0.95, 0.0]), np.array([0.1, 0.1]), np.zeros(2))
    limits = square(acceleration=1.0)
    safe, report, after = filter_command(limits, history, Command(np.array([1.0, 0.1])), STATE)
    np.testing.assert_allclose(safe.values, [0.95, 0.1])
    assert report.causes & POSITION
    np.testing.assert_allclose(after.velocity, [0.0, 0.1])
    np.testing.assert_allclose(after.acceleration, [0.0, 0.0], atol=1e-12)


def test_the_end_is_reached_quickly_and_without_overshoot():
    """Rest to rest over 1 m at 1 m/s, 5 m/s², 50 m/s³ takes 1/1 + 1/5 + 5/50 = 1.3 s at best."""
    limits = limits_of(-np.ones(1), np.ones(1), speed=1.0, acceleration=5.0, jerk=50.0)
    history, path = History.at_rest(np.zeros(1)), []
    for _ in range(135):
        safe, _, history = filter_command(limits, history, Command(np.ones(1)), STATE)
        path.append(float(safe.values[0]))
    assert (np.diff(path) >= -1e-12).all()
    assert path[-1] == pytest.approx(1.0, abs=1e-9)
    assert path[120] < 0.999


def test_a_margin_that_the_robot_starts_in_is_left_at_the_pace_of_the_rates():
    limits = replace(square(speed=1.0), own_low=np.full(2, -2.0), own_high=np.full(2, 2.0))
    values, causes = one(limits, [1.8, -1.5], 2.0, 0.0)
    np.testing.assert_allclose(values, [1.8, -1.4])  # no further out, and no jump in
    assert causes == POSITION | VELOCITY


def test_without_a_history_only_the_range_holds():
    values, causes = one(square(speed=2.0), None, 5.0, 0.9)
    np.testing.assert_array_equal(values, [1.0, 0.9])
    assert causes == POSITION


def test_an_axis_in_space_says_workspace():
    limits = replace(square(), cartesian=np.array([True, False]))
    assert one(limits, None, 5.0, 0.9) == (pytest.approx([1.0, 0.9]), WORKSPACE)
    assert one(limits, None, 5.0, -9.0)[1] == WORKSPACE | POSITION


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_element_holds_the_whole_previous_command(bad):
    values, causes = one(square(), [0.3, -0.4], bad, 0.9)
    np.testing.assert_array_equal(values, [0.3, -0.4])
    assert causes == NON_FINITE


def test_nan_while_moving_brakes():
    history = History(np.zeros(2), np.array([0.05, 0.0]), np.zeros(2))
    values, causes = one(square(acceleration=2.0), history, math.nan, 0.0)
    np.testing.assert_allclose(values, [0.03, 0.0])
    assert causes == NON_FINITE | ACCELERATION


def test_nan_with_nothing_to_hold_is_a_fault():
    with pytest.raises(FaultError) as caught:
        one(square(), None, 0.0, math.nan)
    assert str(caught.value) == (
        "Robot stopped: the first command of the episode is not finite at element 1. "
        "Nothing has been sent. Look at the policy that asked for it."
    )


def test_what_is_outrageous_is_a_fault():
    limits = replace(square(), max_excess=10.0)
    assert one(limits, None, 20.9, 0.0)[1] == POSITION
    with pytest.raises(FaultError, match=r"element 0 of the desired command is -21.1, which is more than 10 times"):
        one(limits, None, -21.1, 0.0)


def test_safe_memory_is_its_own_and_read_only():
    desired = np.array([0.1, 0.2])
    safe, _, _ = filter_command(square(), None, Command(desired), STATE)
    desired[:] = 99
    np.testing.assert_array_equal(safe.values, [0.1, 0.2])
    with pytest.raises(ValueError, match="read-only"):
        safe.values[0] = 99


def test_shape_is_checked():
    with pytest.raises(DataError, match=r"Desired command: its shape is \(3,\). Expected \(2,\)."):
        one(square(), None, 0.0, 0.0, 0.0)


MEASURED = {"joint_targets": "joints", "grip": "opening"}
ARM = RobotSpec(
    "arm",
    0.01,
    (
        Field("joints", (2,), "float64", "rad"),
        Field("opening", (), "float64", "m"),
        Field("torque", (2,), "float64", "N m"),
    ),
    (
        Field("joint_targets", (2,), "float64", "rad", (-1, -1), (1, 1)),
        Field("grip", (), "float64", "m", (0,), (0.08,)),
    ),
)


def arm(joints=(0.0, 0.5), opening=0.09, torque=(0.0, 0.0)):
    values = {"joints": np.array(joints), "opening": np.array(opening), "torque": np.array(torque)}
    return RobotState(values, 1, 0.0, 0.0)


def limits_of_the_arm(**settings):
    return SafetyLimits.from_settings(SafetySettings(**settings), ARM)


def test_the_first_command_is_held_to_the_rates_from_where_the_robot_stands():
    limits = limits_of_the_arm(max_speed=1.0, measured=MEASURED)
    values, causes = one(limits, None, 1.0, 0.505, 0.0, state=arm())
    np.testing.assert_allclose(values, [0.01, 0.505, 0.07])  # the gripper measures a little beyond its range
    assert causes == VELOCITY


def test_nan_at_first_holds_where_the_robot_stands():
    values, _ = one(limits_of_the_arm(measured=MEASURED), None, math.nan, math.nan, math.nan, state=arm())
    np.testing.assert_array_equal(values, [0.0, 0.5, 0.08])


def test_a_measurement_that_is_no_number_is_refused():
    limits = limits_of_the_arm(measured=MEASURED)
    with pytest.raises(DataError, match="the previous command or its measurement is not finite"):
        one(limits, None, 0.0, 0.0, 0.0, state=arm(opening=math.nan))


def test_a_command_stays_near_what_is_measured():
    limits = limits_of_the_arm(max_step=0.1, measured=MEASURED)
    values, causes = one(limits, [0.25, 0.5, 0.05], 0.3, 0.45, 0.05, state=arm((0.1, 0.5), 0.05))
    np.testing.assert_allclose(values, [0.2, 0.45, 0.05])
    assert causes == STEP
    with pytest.raises(DataError, match="where the robot stands is not finite"):
        one(limits, [0.0, 0.5, 0.05], 0.3, 0.45, 0.05, state=arm(opening=math.nan))


def test_the_step_bends_the_command_only_as_fast_as_the_rates_allow():
    limits = limits_of_the_arm(max_step=0.1, max_speed=1.0, measured=MEASURED)
    values, causes = one(limits, [0.25, 0.5, 0.05], 0.3, 0.5, 0.05, state=arm((0.1, 0.5), 0.05))
    np.testing.assert_allclose(values, [0.24, 0.5, 0.05])
    assert causes == STEP | VELOCITY


TORQUE = {"field": "torque", "soft": 10.0, "hard": 20.0, "unit": "N m", "margin": 0.0, "source": "made up"}


def test_effort_beyond_its_soft_limit_bars_one_direction():
    limits = limits_of_the_arm(effort={"joint_targets": TORQUE})
    values, causes = one(limits, [0.2, 0.2, 0.0], 0.3, 0.3, 0.01, state=arm(torque=(10.5, -10.5)))
    np.testing.assert_allclose(values, [0.2, 0.3, 0.01])
    assert causes == EFFORT
    values, causes = one(limits, [0.2, 0.2, 0.0], 0.1, 0.1, 0.01, state=arm(torque=(10.5, -10.5)))
    np.testing.assert_allclose(values, [0.1, 0.2, 0.01])
    assert one(limits, [0.2, 0.2, 0.0], 0.3, 0.3, 0.01, state=arm(torque=(9.0, -9.0)))[1] == 0


def test_effort_beyond_its_hard_limit_is_a_fault():
    limits = limits_of_the_arm(effort={"joint_targets": TORQUE})
    sentence = r"measured 'torque' is -20.5 N m at element 1, beyond its hard limit \[-20, 20\]"
    with pytest.raises(FaultError, match=sentence):
        one(limits, [0.2, 0.2, 0.0], 0.2, 0.2, 0.0, state=arm(torque=(0.0, -20.5)))


@pytest.mark.parametrize("value", [1.3, -1.3, math.nan])
def test_a_measurement_beyond_a_hard_limit_is_a_fault(value):
    box = Box("joints", np.full(2, -1.2), np.full(2, 1.2), "rad")
    limits = replace(limits_of_the_arm(), hard=(box,))
    check_measured(limits, arm((1.2, -1.2)))
    with pytest.raises(FaultError, match=rf"measured 'joints' is {value} rad at element 0, beyond its hard limit"):
        one(limits, None, 0.0, 0.0, 0.0, state=arm((value, 0.0)))
