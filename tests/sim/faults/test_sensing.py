"""What a robot tells when something is wrong with its readings, against references worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpd_robot.errors import ConfigError
from rlpd_robot.spec import Field, RobotSpec
from sim.faults.catalogue import schedule

SPEC = RobotSpec(
    name="two joints",
    period_s=0.1,
    state=(
        Field("joint_position", (3,), "float64", "rad", labels=("a", "b", "c")),
        Field("ball", (2,), "float32", "m", labels=("x", "y")),
        Field("presses", (), "int64", "-"),
    ),
    command=(Field("joint_target", (3,), "float64", "rad", (-1.0,) * 3, (1.0,) * 3, ("a", "b", "c")),),
)


def fault(kind, **settings):
    """One that is active."""
    made = schedule("here", {"kind": kind, **settings}, SPEC, (7,)).fault
    made.begin(0.0)
    return made


def told(made, joints, ball=(0.5, 0.25)):
    """What comes of one reading."""
    values = {
        "joint_position": np.array(joints, np.float64),
        "ball": np.array(ball, np.float32),
        "presses": np.array(3),
    }
    given = {name: value.copy() for name, value in values.items()}
    before = dict(values)
    made.spoil(values)
    for name, value in before.items():
        np.testing.assert_array_equal(value, given[name])  # the robot's own arrays stay
        assert values[name].dtype == value.dtype
        assert values[name].shape == value.shape
    assert values["presses"] == 3
    return values


def test_bias_and_quantised():
    assert told(fault("bias", offset=0.5), [0, 1, 2])["joint_position"].tolist() == [0.5, 1.5, 2.5]
    assert told(fault("bias", offset=0.5, fields=["ball"]), [0, 1, 2])["joint_position"].tolist() == [0, 1, 2]
    assert told(fault("quantised", step=0.5), [0.2, 0.3, -0.8])["joint_position"].tolist() == [0.0, 0.5, -1.0]


@settings(max_examples=50)
@given(arrays(np.float64, 3, elements=st.floats(-10, 10)), st.floats(1e-3, 1.0))
def test_quantised_is_near_and_on_the_grid(joints, step):
    out = told(fault("quantised", step=step), joints)["joint_position"]
    assert np.abs(out - joints).max() <= step / 2 + 1e-9
    np.testing.assert_allclose(out / step, np.round(out / step), atol=1e-9)


def test_noise_is_of_the_size_it_says_and_of_its_seed():
    made, again = fault("noise", std=0.1), fault("noise", std=0.1)
    rows = np.array([told(made, [1.0, 2.0, 3.0])["joint_position"] for _ in range(400)])
    np.testing.assert_allclose(rows.mean(axis=0), [1, 2, 3], atol=0.03)
    np.testing.assert_allclose(rows.std(axis=0), 0.1, rtol=0.2)
    np.testing.assert_array_equal(told(again, [1.0, 2.0, 3.0])["joint_position"], rows[0])


def test_frozen_tells_the_first_reading_until_it_begins_anew():
    made = fault("frozen")
    assert [told(made, [i, 0, 0], [i, 0])["joint_position"][0] for i in range(3)] == [0, 0, 0]
    made.begin(1.0)
    assert told(made, [7, 0, 0])["joint_position"][0] == 7


def test_dropout_repeats_what_was_told_last():
    made, last, repeats = fault("dropout", share=0.5), 0.0, 0
    for i in range(1, 401):
        out = told(made, [i, 0, 0])["joint_position"][0]
        assert out in (i, last)
        repeats += out != i
        last = out
    assert 150 < repeats < 250
    assert [told(fault("dropout", share=0.0), [i, 0, 0])["joint_position"][0] for i in range(3)] == [0, 1, 2]


def test_nan_of_all_or_some():
    assert np.isnan(told(fault("nan"), [1, 2, 3])["joint_position"]).all()
    some = told(fault("nan", fields=["joint_position"], elements=[1]), [1, 2, 3])
    np.testing.assert_array_equal(some["joint_position"], [1, np.nan, 3])
    assert some["ball"].tolist() == [0.5, 0.25]


def test_wrong_order_is_of_joints_only():
    out = told(fault("wrong_order"), [1, 2, 3])
    assert out["joint_position"].tolist() == [3, 1, 2]
    assert out["ball"].tolist() == [0.5, 0.25]


@given(st.integers(0, 5))
def test_sensor_delay_is_of_so_many_periods(periods):
    made = fault("sensor_delay", periods=periods)
    out = [told(made, [i, 0, 0])["joint_position"][0] for i in range(12)]
    assert out == [max(0, i - periods) for i in range(12)]


@pytest.mark.parametrize(("tells", "ball"), [("hold", [0.5, 0.25]), ("zero", [0, 0]), ("nan", [np.nan, np.nan])])
def test_tracker_dropout_leaves_the_joints(tells, ball):
    made = fault("tracker_dropout", tells=tells)
    told(made, [1, 2, 3])
    out = told(made, [4, 5, 6], [9.0, 9.0])
    assert out["joint_position"].tolist() == [4, 5, 6]
    np.testing.assert_array_equal(out["ball"], np.array(ball, np.float32))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"kind": "nois"}, "here.kind' must be one of noise, bias, "),
        (
            {"kind": "noise", "sdt": 1},
            "here.sdt' must be one of the keys kind, name, at_s, per_minute, seconds, fields",
        ),
        ({"kind": "noise", "std": -1}, "here.std' must be a finite number of at least 0"),
        ({"kind": "noise", "std": "much"}, "here' must be settings of a 'noise'"),
        ({"kind": "noise", "fields": ["joints"]}, "here.fields' must be some of the robot's readings"),
        ({"kind": "dropout", "share": 2}, "here.share' must be between 0 and 1"),
        ({"kind": "noise", "at_s": -1}, "here.at_s' must be a number of at least 0"),
        ({"kind": "noise", "at_s": 1, "per_minute": 1}, "either scripted (at_s) or random (per_minute)"),
        ({"kind": "nan", "elements": [3]}, "here.elements' must be below"),
        ({"kind": "stuck", "joints": ["d"]}, "here.joints' must be some of the robot's joints ['a', 'b', 'c']"),
        ({"kind": "loss", "way": "up"}, "here.way' must be one of both, states, commands"),
        ({"kind": "e_stop", "field": "button"}, "here.field' must be a reading of one element ['presses']"),
        ("noise", "here.kind' must be one of"),
    ],
)
def test_what_means_nothing_is_refused(entry, sentence):
    with pytest.raises(ConfigError) as info:
        schedule("here", entry, SPEC, (7,))
    assert sentence in str(info.value)
