import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpd_robot.errors import ConfigError, DataError, FaultError, SpecError
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.safety import NON_FINITE, POSITION, VELOCITY, SafetyLimits, SafetySettings, filter_command
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import Command, RobotState

C = 3
STATE = RobotState({}, 0, 0.0, 0.0)
ANY = arrays(np.float64, C, elements=st.floats(allow_nan=True, allow_infinity=True))
FINITE = arrays(np.float64, C, elements=st.floats(-1e6, 1e6))


@st.composite
def limits_of_a_robot(draw):
    middle = draw(arrays(np.float64, C, elements=st.floats(-100, 100)))
    half = draw(arrays(np.float64, C, elements=st.floats(0.01, 10)))
    speed = draw(arrays(np.float64, C, elements=st.one_of(st.floats(0.01, 100), st.just(math.inf))))
    return SafetyLimits(middle - half, middle + half, speed)


def inside(limits, values):
    return np.clip(values, limits.low, limits.high)


@settings(max_examples=150, deadline=None)
@given(limits_of_a_robot(), FINITE, ANY, st.floats(1e-3, 1.0))
def test_output_is_finite_in_range_and_within_speed_whatever_comes(limits, previous, desired, dt):
    previous = inside(limits, previous)
    safe, report = filter_command(limits, Command(previous), Command(desired), STATE, dt)
    assert np.isfinite(safe.values).all()
    assert (safe.values >= limits.low).all()
    assert (safe.values <= limits.high).all()
    step = limits.max_speed * dt
    assert (np.abs(safe.values - previous) <= step * (1 + 1e-9) + 1e-9 * np.abs(previous)).all()
    assert report.changed == bool(report.causes)
    assert bool(report.causes & NON_FINITE) == (not np.isfinite(desired).all())


@settings(max_examples=100, deadline=None)
@given(limits_of_a_robot(), FINITE, ANY)
def test_filtering_twice_changes_nothing_more(limits, previous, desired):
    before = Command(inside(limits, previous))
    once, _ = filter_command(limits, before, Command(desired), STATE, 0.01)
    twice, report = filter_command(limits, before, once, STATE, 0.01)
    np.testing.assert_array_equal(twice.values, once.values)
    assert report.causes == 0


@settings(max_examples=100, deadline=None)
@given(limits_of_a_robot(), FINITE, arrays(np.float64, C, elements=st.floats(-1, 1)))
def test_a_safe_command_passes_bit_for_bit(limits, previous, direction):
    previous = inside(limits, previous)
    step = np.minimum(limits.max_speed * 0.01, 1.0) * 0.999
    desired = inside(limits, previous + direction * step)
    safe, report = filter_command(limits, Command(previous), Command(desired), STATE, 0.01)
    np.testing.assert_array_equal(safe.values, desired)
    assert not report.changed


@settings(max_examples=100, deadline=None)
@given(limits_of_a_robot(), arrays(np.float32, C, elements=st.floats(-1, 1, width=32)))
def test_an_action_in_range_is_never_called_filtered(limits, action):
    spec = RobotSpec(
        "r", 0.01, (Field("s", (), "float64", "-"),), (Field("c", (C,), "float64", "m", limits.low, limits.high),)
    )
    whole = SafetyLimits.from_settings(SafetySettings(), spec)
    safe, report = filter_command(whole, None, ActionMap.of(spec).to_command(action), STATE, 0.01)
    assert not report.changed
    np.testing.assert_allclose(ActionMap.of(spec).to_action(safe), action, atol=1e-6)


def unit_limits(max_speed=math.inf):
    return SafetyLimits(-np.ones(2), np.ones(2), np.full(2, max_speed))


def test_range_and_speed_in_numbers():
    safe, report = filter_command(unit_limits(2.0), Command(np.zeros(2)), Command(np.array([5.0, -0.01])), STATE, 0.1)
    np.testing.assert_array_equal(safe.values, [0.2, -0.01])
    assert report.causes == POSITION | VELOCITY


def test_without_a_previous_command_only_the_range_holds():
    safe, report = filter_command(unit_limits(2.0), None, Command(np.array([5.0, 0.9])), STATE, 0.1)
    np.testing.assert_array_equal(safe.values, [1.0, 0.9])
    assert report.causes == POSITION


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_element_holds_the_whole_previous_command(bad):
    previous = np.array([0.3, -0.4])
    safe, report = filter_command(unit_limits(), Command(previous), Command(np.array([bad, 0.9])), STATE, 0.1)
    np.testing.assert_array_equal(safe.values, previous)
    assert report.causes == NON_FINITE


def test_nan_with_nothing_to_hold_is_a_fault():
    with pytest.raises(FaultError) as caught:
        filter_command(unit_limits(), None, Command(np.array([0.0, math.nan])), STATE, 0.1)
    assert str(caught.value) == (
        "Robot stopped: the first command of the episode is not finite at element 1. "
        "Nothing has been sent. Look at the policy that asked for it."
    )


def test_safe_memory_is_its_own_and_read_only():
    desired = np.array([0.1, 0.2])
    safe, _ = filter_command(unit_limits(), None, Command(desired), STATE, 0.1)
    desired[:] = 99
    np.testing.assert_array_equal(safe.values, [0.1, 0.2])
    with pytest.raises(ValueError, match="read-only"):
        safe.values[0] = 99


@pytest.mark.parametrize("dt", [0.0, -0.1, math.nan, math.inf])
def test_dt_must_be_a_time(dt):
    with pytest.raises(DataError, match="Expected a positive time in seconds"):
        filter_command(unit_limits(1.0), Command(np.zeros(2)), Command(np.ones(2)), STATE, dt)


def test_shape_is_checked():
    with pytest.raises(DataError, match=r"Desired command: its shape is \(3,\). Expected \(2,\)."):
        filter_command(unit_limits(), None, Command(np.zeros(3)), STATE, 0.1)


def test_margin_is_taken_off_both_ends():
    limits = SafetyLimits.from_settings(SafetySettings(margin=0.1), fake_spec())
    np.testing.assert_allclose(limits.low, -0.8)
    np.testing.assert_allclose(limits.high, 0.8)
    assert np.isinf(limits.max_speed).all()


TWO_FIELDS = RobotSpec(
    "arm",
    0.01,
    (Field("joints", (2,), "float64", "rad"), Field("opening", (), "float64", "m"), Field("far", (), "float64", "rad")),
    (
        Field("joint_targets", (2,), "float64", "rad", (-1, -1), (1, 1)),
        Field("grip", (), "float64", "m", (0,), (0.08,)),
    ),
)


def test_speed_by_field_is_spread_over_its_elements():
    limits = SafetyLimits.from_settings(SafetySettings(max_speed={"grip": 0.1, "joint_targets": 2}), TWO_FIELDS)
    np.testing.assert_array_equal(limits.max_speed, [2, 2, 0.1])
    limits = SafetyLimits.from_settings(SafetySettings(max_speed=0.5), TWO_FIELDS)
    np.testing.assert_array_equal(limits.max_speed, [0.5, 0.5, 0.5])


MEASURED = {"joint_targets": "joints", "grip": "opening"}


def arm_state(joints=(0.0, 0.5), opening=0.09):
    return RobotState({"joints": np.array(joints), "opening": np.array(opening), "far": np.array(0.0)}, 1, 0.0, 0.0)


def test_the_first_command_is_held_to_speed_from_where_the_robot_stands():
    limits = SafetyLimits.from_settings(SafetySettings(max_speed=1.0, measured=MEASURED), TWO_FIELDS)
    safe, report = filter_command(limits, None, Command(np.array([1.0, 0.505, 0.0])), arm_state(), 0.01)
    np.testing.assert_allclose(safe.values, [0.01, 0.505, 0.07])  # the gripper measures a little beyond its range
    assert report.causes == VELOCITY


def test_nan_at_first_holds_where_the_robot_stands():
    limits = SafetyLimits.from_settings(SafetySettings(measured=MEASURED), TWO_FIELDS)
    safe, _ = filter_command(limits, None, Command(np.full(3, math.nan)), arm_state(), 0.01)
    np.testing.assert_array_equal(safe.values, [0.0, 0.5, 0.08])


def test_a_measurement_that_is_no_number_is_refused():
    limits = SafetyLimits.from_settings(SafetySettings(measured=MEASURED), TWO_FIELDS)
    with pytest.raises(DataError, match="the previous command or its measurement is not finite"):
        filter_command(limits, None, Command(np.zeros(3)), arm_state(opening=math.nan), 0.01)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            SafetySettings(margin=0.5),
            r"Setting 'safety.margin' must be a part of the range in \[0, 0.5\). Received 0.5.",
        ),
        (SafetySettings(margin=math.nan), "Setting 'safety.margin'"),
        (SafetySettings(max_speed=0.0), "Setting 'safety.max_speed.joint_targets' must be a positive speed"),
        (SafetySettings(max_speed=math.nan), "Setting 'safety.max_speed.joint_targets' must be a positive speed"),
        (SafetySettings(max_speed={"grip": 1.0}), r"one for each of the command fields \['joint_targets', 'grip'\]"),
        (SafetySettings(max_speed={"grp": 1.0, "joint_targets": 1.0}), "Setting 'safety.max_speed' must be one number"),
        (SafetySettings(measured={"grip": "opening"}), "Setting 'safety.measured' must be a state field for each"),
        (SafetySettings(measured={**MEASURED, "grip": "far"}), "Received 'far .1 elements in rad.'"),
    ],
)
def test_settings_that_are_wrong_are_named(setting, sentence):
    with pytest.raises(ConfigError, match=sentence):
        SafetyLimits.from_settings(setting, TWO_FIELDS)


def test_measuring_field_must_exist():
    with pytest.raises(SpecError, match="it measures no 'nowhere'"):
        SafetyLimits.from_settings(SafetySettings(measured={**MEASURED, "grip": "nowhere"}), TWO_FIELDS)
