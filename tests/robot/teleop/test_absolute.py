import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.teleop.absolute import AbsoluteMap, realign_of
from rlpd_robot.spec import Field, RobotSpec

ARM = RobotSpec(
    "arm",
    0.1,
    (Field("joint_position", (3,), "float64", "rad"),),
    (Field("joint_target", (3,), "float64", "rad", (-1.0, 0.0, -2.0), (1.0, 4.0, 2.0), ("base", "elbow", "wrist")),),
)


def test_numbers_are_the_commands_own_where_nothing_is_said():
    plain = AbsoluteMap(ARM)
    assert plain.sources == (0, 1, 2)
    assert plain.action(np.array([0.5, 3.0, -2.0])).tolist() == [0.5, 0.5, -1.0]  # middle 0, 2, 0; half 1, 2, 2
    assert AbsoluteMap(ARM, unit="action").action(np.array([0.5, 3.0, -2.0])).tolist() == [0.5, 3.0, -2.0]
    assert AbsoluteMap(ARM, named=True).sources == ("base", "elbow", "wrist")


def test_joints_are_picked_turned_and_shifted():
    chosen = AbsoluteMap(ARM, {"wrist": 4, "elbow": {"from": 1, "scale": -1.0, "offset": 2.0}})
    assert chosen.sources == (4, 1)
    assert chosen.action(np.array([1.0, -1.0])).tolist() == [0.0, 0.5, 0.5]  # elbow: 2 + 1 rad
    assert chosen.moved.tolist() == [False, True, True]
    assert realign_of(0.5, chosen, ARM).tolist() == pytest.approx([0.0, 0.05, 0.05])


@given(st.lists(st.floats(width=64), min_size=3, max_size=3))
def test_what_is_no_position_is_none(numbers):
    action = AbsoluteMap(ARM).action(np.array(numbers))
    assert (action is None) == (not all(abs(a) <= 1e6 for a in ((np.array(numbers) - [0, 2, 0]) / [1, 2, 2])))
    assert action is None or np.isfinite(action).all()


@pytest.mark.parametrize(
    ("joints", "more", "message"),
    [
        (None, {"unit": "rad"}, "'teleop.unit' must be 'command' or 'action'. Received 'rad'"),
        ({}, {}, r"'teleop.joints' must be a mapping from some of \['base', 'elbow', 'wrist'\]"),
        ([1, 2], {}, "'teleop.joints' must be a mapping"),
        ({"knee": 0}, {}, r"'teleop.joints' must be one of .* elements of 'arm'. Received 'knee'"),
        ({"base": -1}, {}, "'teleop.joints.base.from' must be a place among the numbers, from 0. Received -1"),
        ({"base": "base"}, {}, "'teleop.joints.base.from' must be a place"),
        ({"base": True}, {}, "'teleop.joints.base.from' must be a place"),
        ({"base": {"scale": 1.0}}, {}, "'teleop.joints.base.from' must be a place .* Received None"),
        ({"base": 0}, {"named": True}, "'teleop.joints.base.from' must be a joint's name. Received 0"),
        ({"base": {"from": 0, "scale": math.inf}}, {}, "'teleop.joints.base.scale' must be a finite number"),
        ({"base": {"from": 0, "offset": "x"}}, {}, "'teleop.joints.base.offset' must be a finite number"),
        ({"base": {"from": 0, "sign": 1}}, {}, r"'teleop.joints.base.sign' must be one of the keys \['from'"),
    ],
)
def test_a_wrong_map_is_refused(joints, more, message):
    with pytest.raises(ConfigError, match=message):
        AbsoluteMap(ARM, joints, **more)


@pytest.mark.parametrize("speed", [-0.1, math.nan, math.inf, True, "fast"])
def test_a_wrong_speed_is_refused(speed):
    with pytest.raises(ConfigError, match=r"'teleop.realign' must be a speed"):
        realign_of(speed, AbsoluteMap(ARM), ARM)
