import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.axes import AxisMap
from rlpd_robot.robot.teleop.controls import Controls
from rlpd_robot.robot.teleop.source import Event
from tests.robot.teleop.arms import AXES, SPEC

KNOWN = (("x", "y", "trigger"), ("a", "b", "c"))


def controls(sticks=None, buttons=None, dead_zone=0.0):
    return Controls(AxisMap(AXES, SPEC), sticks or {}, buttons or {}, dead_zone, KNOWN)


def test_sticks_move_axes_with_sign_scale_and_dead_zone():
    made = controls({"x": "-right", "y": {"axis": "up", "dead_zone": 0.5, "scale": 0.5}}, dead_zone=0.2)
    assert made.deflections({"x": 0.2, "y": 0.5}, ()) == {"right": 0.0, "up": 0.0}
    assert made.deflections({"x": 0.6, "y": -0.75}, ()) == pytest.approx({"right": -0.5, "up": -0.25})
    assert made.deflections({"x": 1.0, "y": 1.0}, ()) == pytest.approx({"right": -1.0, "up": 0.5})
    assert made.help() == {"x": "-right", "y": "+up"}


def test_a_trigger_rests_at_its_lower_end():
    made = controls({"trigger": {"axis": "up", "rest": -1}})
    assert made.deflections({}, ()) == {"up": 0.0}
    assert made.deflections({"trigger": -1.0}, ()) == {"up": 0.0}
    assert made.deflections({"trigger": 0.0}, ()) == {"up": 0.5}
    assert made.deflections({"trigger": 1.0}, ()) == {"up": 1.0}


def test_buttons_move_speak_and_enable():
    made = controls({"x": "right"}, {"a": "-right", "b": "start", "c": "dead_man"})
    assert made.deflections({"x": 0.25}, ("a",)) == {"right": -0.75}
    assert made.events(["b", "a", "c", "b"]) == (Event.START, Event.START)
    assert (made.enabled(("a", "b")), made.enabled(("c",))) == (False, True)
    assert controls({"x": "right"}).enabled(())  # there is no switch to hold


@given(st.floats(), st.floats(0, 0.99), st.sets(st.sampled_from("abc")))
def test_nothing_goes_beyond_full_deflection(raw, zone, held):
    made = controls({"x": {"axis": "up", "dead_zone": zone, "scale": 3.0}}, {"a": "up", "b": "-up"})
    (value,) = made.deflections({"x": raw}, held).values()
    assert math.fabs(value) <= 1  # NaN compares false
    (value,) = controls({"trigger": {"axis": "up", "rest": -1}}).deflections({"trigger": raw}, ()).values()
    assert 0 <= value <= 1


@given(st.floats(-1, 1), st.floats(0, 0.99))
def test_a_dead_zone_makes_no_step_at_its_edge(raw, zone):
    made = controls({"x": "right"}, dead_zone=zone)
    (value,) = made.deflections({"x": raw}, ()).values()
    assert value * raw >= 0
    assert abs(value) == pytest.approx(max(0.0, abs(raw) - zone) / (1 - zone))


@pytest.mark.parametrize(
    ("sticks", "buttons", "message"),
    [
        ({"z": "right"}, {}, r"'teleop.sticks' must be one of \['x', 'y', 'trigger'\]. Received 'z'"),
        ({}, {"z": "right"}, r"'teleop.buttons' must be one of \['a', 'b', 'c'\]"),
        ({"x": "down"}, {}, r"'teleop.sticks.x.axis' must be an axis of teleop.axes"),
        ({"x": {"axis": "up", "deadzone": 0.1}}, {}, r"'teleop.sticks.x.deadzone' must be one of the keys"),
        ({"x": {"axis": "up", "dead_zone": 1}}, {}, r"'teleop.sticks.x.dead_zone' must be"),
        ({"x": {"axis": "up", "scale": math.inf}}, {}, r"'teleop.sticks.x.scale' must be a finite number"),
        ({"x": {"axis": "up", "rest": 1}}, {}, r"'teleop.sticks.x.rest' must be 0, or -1 for a trigger"),
        ({"x": {}}, {}, r"'teleop.sticks.x.axis' must be an axis"),
        ({}, {"a": "explode"}, r"'teleop.buttons.a' must be an axis of teleop.axes.*'dead_man', 'start'"),
        ({}, {"a": None}, r"'teleop.buttons.a' must be an axis"),
        ({}, {"a": ["start"]}, r"'teleop.buttons.a' must be an axis"),
        (["x"], {}, r"'teleop.sticks' must be a mapping"),
        ({}, 5, r"'teleop.buttons' must be a mapping"),
    ],
)
def test_a_wrong_map_is_refused(sticks, buttons, message):
    with pytest.raises(ConfigError, match=message):
        controls(sticks, buttons)


@pytest.mark.parametrize("zone", [-0.1, 1.0, math.nan, "0.1", None])
def test_a_wrong_dead_zone_is_refused(zone):
    with pytest.raises(ConfigError, match=r"'teleop.dead_zone' must be"):
        controls(dead_zone=zone)
