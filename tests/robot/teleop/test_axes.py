import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.axes import AxisMap, Integrator, check_shape, element_names, shape
from rlpd_robot.spec import Field, RobotSpec

SPEC = RobotSpec(
    name="arm",
    period_s=0.1,
    state=(Field("position", (4,), "float64", "rad"),),
    command=(
        Field("slide", (1,), "float64", "m", (-0.5,), (1.5,)),
        Field("joint", (2,), "float64", "rad", (-2.0, -4.0), (2.0, 4.0), ("shoulder", "elbow")),
        Field("jaw", (2,), "float64", "m", (0.0, 0.0), (1.0, 1.0)),
    ),
)
AXES = {"forward": {"slide": 0.5}, "lift": {"shoulder": 1.0, "elbow": -2.0}, "grip": {"jaw.0": 1.0, "jaw.1": 1.0}}


def test_elements_go_by_label_or_field() -> None:
    assert element_names(SPEC) == ["slide", "shoulder", "elbow", "jaw.0", "jaw.1"]


def test_speeds_are_physical() -> None:
    """At full deflection `forward` goes 0.5 m/s; an action unit of the slide is 1 m, of the elbow 4 rad."""
    axes = AxisMap(AXES, SPEC)
    assert axes.rates({"forward": 1.0}).tolist() == [0.5, 0, 0, 0, 0]
    assert axes.rates({"lift": -0.5}).tolist() == [0, -0.25, 0.25, 0, 0]
    assert axes.rates({"grip": 1.0, "forward": -1.0}).tolist() == [-0.5, 0, 0, 2, 2]


def test_the_integral_begins_where_it_is_told_and_stays_in_range() -> None:
    target = Integrator(AxisMap(AXES, SPEC), SPEC)
    start = np.array([0.9, 0, 0, -1, -1], np.float32)
    target.begin(start)
    assert np.array_equal(target.move({}), start)
    assert target.move({"forward": 1.0})[0] == np.float32(0.95)
    for _ in range(5):
        moved = target.move({"forward": 1.0})
    assert moved[0] == 1.0
    assert target.move({"forward": -1.0})[0] == np.float32(0.95)  # nothing is wound up beyond the end


def test_a_robot_that_cannot_follow_is_not_led_far_ahead() -> None:
    """At 0.5 m/s and 10 Hz, five periods are 0.25 m; an action unit of the slide is 1 m."""
    target = Integrator(AxisMap(AXES, SPEC), SPEC)
    start = np.array([0.0, 0.5, 0.0, -1.0, -1.0], np.float32)
    target.begin(start)
    for _ in range(20):  # blocked, and so much further than it is
        target.follow(start)
        moved = target.move({"forward": 1.0})
    assert moved[0] == pytest.approx(0.25 + 0.05)
    assert moved[1:].tolist() == start[1:].tolist()
    target.begin(start)
    places = []
    for _ in range(10):  # one that follows two periods later is not slowed down
        places.append(target.move({"forward": 1.0}))
        target.follow(places[max(0, len(places) - 3)])
    assert places[-1][0] == pytest.approx(0.5)


@given(st.floats(-1, 1), st.floats(0, 0.9), st.floats(0.1, 2))
def test_a_dead_zone_is_still_and_the_rest_is_continuous_and_odd(value: float, zone: float, scale: float) -> None:
    assert shape(value, zone, scale) == -shape(-value, zone, scale)
    assert abs(shape(value, zone, scale)) <= scale
    if abs(value) <= zone:
        assert shape(value, zone, scale) == 0
    assert math.isclose(shape(1.0, zone, scale), scale)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "teleop.axes"),
        (["forward"], "'teleop.axes' must be a mapping from each axis"),
        ({"a": {}}, "'teleop.axes.a' must be a mapping from command elements"),
        ({"a": 3}, "'teleop.axes.a' must be a mapping from command elements"),
        ({"a": {"wrist": 1.0}}, r"must be one of \['slide', 'shoulder'.*Received 'wrist'"),
        ({"a": {"slide": math.nan}}, "'teleop.axes.a.slide' must be a finite number"),
        ({"a": {"slide": True}}, "'teleop.axes.a.slide' must be a finite number"),
        ({"a": {"slide": "fast"}}, "'teleop.axes.a.slide' must be a finite number"),
    ],
)
def test_a_wrong_map_is_refused(axes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AxisMap(axes, SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize("zone", [-0.1, 1.0, math.nan, "wide"])
def test_a_wrong_dead_zone_is_refused(zone: object) -> None:
    with pytest.raises(ConfigError, match=r"teleop.x.dead_zone"):
        check_shape("teleop.x", zone, 1.0)
