"""A robot made of joint names, ranges and units."""

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.spec import Field, RobotSpec
from sim.joints import JointsRobot

NAMES = ("a", "b")


def robot(unit: str, low: float, high: float, **start: float) -> JointsRobot:
    state = (
        Field("place", (3,), "float64", "rad", labels=("b", "a", "free")),
        Field("rate", (2,), "float32", "rad/s", labels=NAMES),
        Field("effort", (2,), "float64", "N m", labels=NAMES),
    )
    return JointsRobot(
        RobotSpec("two", 0.01, state, (Field("c", (2,), "float64", unit, (low,) * 2, (high,) * 2, NAMES),)), start=start
    )


def test_positions_are_reached_late_and_within_the_range() -> None:
    two = robot("rad", -1.0, 2.0, a=0.3)
    np.testing.assert_allclose(two.read()["place"], [0.5, 0.3, 0.0])  # by name; the middle of the range, the start
    two.write(np.array([0.6, 2.5]))
    two.advance()
    first = two.read()
    assert 0.3 < first["place"][1] < 0.4
    assert first["rate"].dtype == np.float32
    for _ in range(60):
        two.advance()
    settled = two.read()
    assert settled["place"][1] == pytest.approx(0.6, abs=1e-3)
    assert settled["place"][0] < 2.2  # its end stop, which gives way a little
    assert settled["place"][2] == 0.0
    two.stop()
    two.advance()
    assert two.read()["place"][1] == pytest.approx(0.6, abs=1e-3)
    two.reset(None)
    np.testing.assert_allclose(two.read()["place"], [0.5, 0.3, 0.0])


@pytest.mark.parametrize(("unit", "low", "high"), [("rad/s", -1.0, 1.0), ("N m", -5.0, 5.0)])
def test_rates_and_efforts_move_it_until_they_are_zero(unit: str, low: float, high: float) -> None:
    two = robot(unit, low, high)
    two.write(np.array([0.5, 0.0]))
    for _ in range(100):
        two.advance()
    moved = two.read()
    assert moved["place"][1] > 0.3
    assert moved["place"][0] == 0.0
    two.stop()
    for _ in range(100):
        two.advance()
    assert abs(two.read()["rate"][0]) < 1e-3


def test_what_it_refuses() -> None:
    two = robot("rad", -1.0, 1.0)
    for bad in (np.zeros(3), np.array([np.nan, 0.0])):
        with pytest.raises(DataError, match="Command to two"):
            two.write(bad)
    with pytest.raises(ConfigError, match="unit of 'c'' must be one of joints, rad, m, rad/s"):
        robot("kg", -1.0, 1.0)
    bare = RobotSpec(
        "x", 0.01, (Field("q", (1,), "float64", "rad"),), (Field("c", (1,), "float64", "rad", (0,), (1,)),)
    )
    with pytest.raises(ConfigError, match="names or labels of joints"):
        JointsRobot(bare)
