import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpd_robot.robot.teleop.clutch import Clutch

PLACES = arrays(np.float64, 3, elements=st.floats(-1, 1, width=32))
DEVICE = arrays(np.float64, 3, elements=st.floats(-1e6, 1e6))  # a device may stand anywhere


@given(PLACES, DEVICE, st.floats(0, 0.5))
def test_taking_over_moves_nothing(robot, device, realign):
    clutch = Clutch(3, realign)
    clutch.begin(robot.astype(np.float32))
    assert np.array_equal(clutch.move(device, False), robot.astype(np.float32))
    assert np.allclose(clutch.move(device, True), robot, atol=1e-6)


@settings(max_examples=50)
@given(st.lists(st.tuples(DEVICE, st.booleans()), min_size=1, max_size=20), PLACES, st.floats(0, 0.5))
def test_an_action_is_finite_and_within_its_range(moves, robot, realign):
    clutch = Clutch(3, realign)
    clutch.begin(robot.astype(np.float32))
    for device, wanted in moves:
        action = clutch.move(device, wanted)
        assert action.dtype == np.float32
        assert (np.abs(action) <= 1).all()  # NaN compares false


@settings(max_examples=50)
@given(st.lists(st.tuples(PLACES, st.booleans()), min_size=1, max_size=20), PLACES)
def test_it_follows_the_devices_motion_and_never_its_absence(moves, robot):
    """Without realignment each action differs from the last by the device's own step, or by nothing."""
    clutch = Clutch(3)
    clutch.begin(robot.astype(np.float32))
    held, last, engaged = robot.astype(np.float32), None, False
    for device, wanted in moves:
        action = clutch.move(device, wanted)
        follows = engaged and wanted
        step = np.abs(device - last) if follows else np.zeros(3)
        # at the end of the range the step may be cut, never enlarged
        assert (np.abs(action - held) <= step + 1e-6).all()
        held, last, engaged = action, device, wanted


def test_it_moves_as_far_as_the_device():
    clutch = Clutch(1)
    clutch.begin(np.array([0.5], np.float32))
    places = [float(clutch.move(np.array([device]), True)[0]) for device in (-0.2, -0.1, 0.5, -0.2)]
    assert places == pytest.approx([0.5, 0.6, 1.0, 0.5])  # cut at the end of the range, and found again


def test_device_and_robot_come_to_agree_where_asked_for():
    clutch = Clutch(2, realign=[0.1, 0.0])
    clutch.begin(np.array([0.5, 0.5], np.float32))
    device = np.array([-0.25, -0.25])
    places = np.array([clutch.move(device, True) for _ in range(12)])
    assert np.allclose(places[:4, 0], [0.5, 0.4, 0.3, 0.2])
    assert places[-1].tolist() == [-0.25, 0.5]


def test_it_goes_on_from_where_the_robot_came_to_rest():
    clutch = Clutch(1)
    clutch.begin(np.array([0.0], np.float32))
    clutch.move(np.array([0.0]), True)
    clutch.move(np.array([0.8]), True)
    clutch.move(np.array([0.8]), False)
    clutch.begin(np.array([0.3], np.float32))  # it had not come so far
    assert clutch.move(np.array([0.8]), True).tolist() == pytest.approx([0.3])
    assert clutch.move(np.array([0.7]), True).tolist() == pytest.approx([0.2])
