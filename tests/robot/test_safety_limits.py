"""Limits as people write them."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from rlpd_robot.config import load
from rlpd_robot.errors import ConfigError, SpecError
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.safety_limits import SafetyLimits, SafetySettings
from rlpd_robot.spec import Field, RobotSpec

ROOT = Path(__file__).parents[2]

ARM = RobotSpec(
    "arm",
    0.01,
    (
        Field("joints", (2,), "float64", "rad"),
        Field("opening", (), "float64", "m"),
        Field("far", (), "float64", "rad"),
        Field("torque", (2,), "float64", "N m"),
    ),
    (
        Field("joint_targets", (2,), "float64", "rad", (-1, -1), (1, 1)),
        Field("grip", (), "float64", "m", (0,), (0.08,)),
    ),
)
MEASURED = {"joint_targets": "joints", "grip": "opening"}


def entry(limit, unit, margin=0.0):
    return {"limit": limit, "unit": unit, "margin": margin, "source": "made up"}


def box(unit, margin=0.0, **ends):
    return {"unit": unit, "margin": margin, "source": "made up", **ends}


def limits(**settings):
    return SafetyLimits.from_settings(SafetySettings(**settings), ARM)


WHOLE = {
    "range": {"joint_targets": box("rad", 0.05)},
    "workspace": {"grip": box("m", 0.25, low=0.0, high=0.04)},
    "max_speed": {"joint_targets": entry([2.0, 3.0], "rad/s", 0.5), "grip": entry(0.1, "m/s")},
    "max_acceleration": {"joint_targets": entry(10, "rad/s²"), "grip": entry(1.0, "m/s^2")},
    "max_jerk": {"joint_targets": entry(100, "rad/s^3"), "grip": {"none_because": "it stops by itself"}},
    "max_step": {"joint_targets": entry(0.2, "rad"), "grip": entry(0.02, "m")},
    "measured": MEASURED,
    "hard": {"joints": box("rad", low=-1.1, high=[1.1, 1.2]), "opening": box("m", low=-0.01, high=0.09)},
    "effort": {"joint_targets": {"field": "torque", "soft": 8, "hard": 20, **box("Nm", 0.1)}},
}


def test_a_whole_file_in_numbers():
    got = limits(**WHOLE)
    np.testing.assert_allclose(got.low, [-0.9, -0.9, 0.01])
    np.testing.assert_allclose(got.high, [0.9, 0.9, 0.03])
    np.testing.assert_array_equal(got.cartesian, [False, False, True])
    np.testing.assert_allclose(got.max_speed, [1.0, 1.5, 0.1])
    np.testing.assert_allclose(got.max_acceleration, [10, 10, 1])
    np.testing.assert_allclose(got.max_jerk, [100, 100, np.inf])
    np.testing.assert_allclose(got.max_step, [0.2, 0.2, 0.02])
    (elements, field, soft), *others = got.effort
    assert (elements, field, soft.tolist(), others) == (slice(0, 2), "torque", [7.2, 7.2], [])
    boxes = {b.name: (b.low.tolist(), b.high.tolist()) for b in got.hard}
    assert boxes == {
        "joints": ([-1.1, -1.1], [1.1, 1.2]),
        "opening": ([-0.01], [0.09]),
        "torque": ([-18, -18], [18, 18]),
    }


def test_margin_is_taken_off_both_ends():
    got = SafetyLimits.from_settings(SafetySettings(margin=0.1), fake_spec())
    np.testing.assert_allclose(got.low, -0.8)
    np.testing.assert_allclose(got.high, 0.8)
    assert np.isinf(got.max_speed).all()
    assert got.braking is None


def test_one_number_is_for_every_field():
    np.testing.assert_array_equal(limits(max_speed={"grip": 0.1, "joint_targets": 2}).max_speed, [2, 2, 0.1])
    np.testing.assert_array_equal(limits(max_speed=0.5).max_speed, [0.5, 0.5, 0.5])


def change(key, name, **parts):
    """WHOLE with parts of one entry replaced; None takes a part away."""
    changed = {k: v for k, v in {**WHOLE[key][name], **parts}.items() if v is not None}
    return {**WHOLE, key: {**WHOLE[key], name: changed}}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"margin": 0.5}, r"Setting 'safety.margin' must be a part of the range in \[0, 0.5\). Received 0.5."),
        ({"margin": math.nan}, "Setting 'safety.margin'"),
        (
            {"max_speed": 0.0},
            "Setting 'safety.max_speed.joint_targets' must be positive numbers in rad/s: one, or 2 in",
        ),
        ({"max_speed": math.nan}, "Setting 'safety.max_speed.joint_targets' must be positive numbers"),
        ({"max_speed": True}, "Setting 'safety.max_speed.joint_targets' must be positive numbers"),
        ({"max_speed": {"grip": 1.0}}, r"one for each of the command fields \['joint_targets', 'grip'\]"),
        ({"max_speed": {"grp": 1.0, "joint_targets": 1.0}}, "Setting 'safety.max_speed' must be one number"),
        ({"max_speed": 1e-9}, "Setting 'safety.max_speed' must be at least 2e-07, or rounding would hide it"),
        ({"max_excess": 0.0}, "Setting 'safety.max_excess' must be above 0"),
        ({"measured": {"grip": "opening"}}, "Setting 'safety.measured' must be a state field for each"),
        ({"measured": {**MEASURED, "grip": "far"}}, "Received 'far .1 elements in rad.'"),
        ({"max_acceleration": 1.0}, "Setting 'safety.measured' must be given where max_acceleration is"),
        (change("max_speed", "grip", unit="rad/s"), "'safety.max_speed.grip.unit' must be 'm/s', as the robot desc"),
        (change("max_speed", "grip", source=None), "'safety.max_speed.grip.source' must be given: each limit has its"),
        (change("max_speed", "grip", source=" "), "'safety.max_speed.grip.source' must be a sentence"),
        (
            change("max_speed", "grip", margin=1),
            r"'safety.max_speed.grip.margin' must be a part of the limit in \[0, 1",
        ),
        (change("max_speed", "grip", limit=[1, 2]), "'safety.max_speed.grip.limit' must be .* one, or 1 in a list"),
        (change("max_speed", "grip", max=2), "Setting 'safety.max_speed.grip.max' must be one of the keys limit, unit"),
        (change("max_jerk", "grip", none_because=""), "'safety.max_jerk.grip.none_because' must be a sentence"),
        (
            change("range", "joint_targets", high=2),
            r"'safety.range.joint_targets' must be inside the robot's own range",
        ),
        (change("workspace", "grip", high=-1.0), "'safety.workspace.grip' must be low < high for every element"),
        (change("workspace", "grip", margin=0.5), "'safety.workspace.grip.margin' must be a part of the range in"),
        ({**WHOLE, "range": {"grip": box("m")}}, "'safety.workspace' must be command fields of .* each in range or in"),
        ({"range": {"elbow": box("m")}}, "Setting 'safety.range' must be command fields of"),
        (change("hard", "opening", low=None), "Setting 'safety.hard.opening.low' must be given"),
        (change("effort", "joint_targets", soft=21), "'safety.effort.joint_targets' must be .* with soft at most hard"),
        (change("effort", "joint_targets", field=None), "Setting 'safety.effort.joint_targets' must be field, soft"),
        ({"effort": {"elbow": {}}}, "Setting 'safety.effort' must be some of the command fields"),
    ],
)
def test_settings_that_are_wrong_are_named(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        limits(**settings)


@pytest.mark.parametrize("settings", [{"measured": {**MEASURED, "grip": "nowhere"}}, {"hard": {"nowhere": box("m")}}])
def test_a_measuring_field_must_exist(settings):
    with pytest.raises(SpecError, match="it measures no 'nowhere'"):
        limits(**settings)


def test_a_robot_with_whole_limits_starts():
    for simulated in (False, True):
        SafetyLimits.of_robot(SafetySettings(**WHOLE), ARM, simulated)


def test_only_a_simulation_starts_without_limits_and_only_with_a_reason():
    none = SafetySettings("none", none_because="it is simulated")
    SafetyLimits.of_robot(none, ARM, simulated=True)
    with pytest.raises(ConfigError) as caught:
        SafetyLimits.of_robot(none, ARM, simulated=False)
    assert str(caught.value) == (
        "Setting 'safety.max_speed.joint_targets' must be an entry of limit, unit, margin and source, or of "
        "none_because, before this robot starts (11 things are missing). Received None."
    )
    with pytest.raises(ConfigError, match="or, for a simulated robot, none_because"):
        SafetyLimits.of_robot(replace(none, none_because=" "), ARM, simulated=True)


@pytest.mark.parametrize("name", ["range", "max_speed", "max_acceleration", "max_jerk", "max_step", "hard"])
def test_a_real_robot_lacks_nothing(name):
    less = {k: v for k, v in WHOLE[name].items() if k not in ("grip", "opening")}
    settings = {**WHOLE, name: less, **({"workspace": {}, "range": {}} if name == "range" else {})}
    if name.startswith("max"):
        settings[name] = {**less, "grip": 1.0}  # a number without its source
    with pytest.raises(ConfigError, match=rf"Setting 'safety\.{name}\..*before"):
        SafetyLimits.of_robot(SafetySettings(**settings), ARM, simulated=False)


def test_the_simulated_hand_says_that_it_has_none():
    for choice, speed in (("adroit", None), ("adroit_careful", 3.2)):
        safety = load("train", [f"safety={choice}"])[0].safety
        assert "simulation" in safety.none_because
        assert (safety.margin, safety.max_step, safety.measured, safety.hard) == (0.0, None, {}, {})
        assert (safety.max_speed or {}).get("joint_target", {}).get("limit") == speed


def test_the_file_in_the_documentation_is_whole():
    text = (ROOT / "docs" / "safety.md").read_text()
    data = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    spec = RobotSpec(
        "example",
        0.01,
        (
            Field("joint_position", (6,), "float64", "rad"),
            Field("joint_effort", (6,), "float64", "N m"),
            Field("gripper_opening", (), "float64", "m"),
        ),
        (
            Field("joint_target", (6,), "float64", "rad", (-6.28,) * 6, (6.28,) * 6),
            Field("gripper_target", (), "float64", "m", (0.0,), (0.085,)),
        ),
    )
    got = SafetyLimits.of_robot(SafetySettings(**data), spec, simulated=False)
    assert got.braking is not None
