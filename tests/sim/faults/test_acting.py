"""What reaches the motors when something is wrong with them, against references worked out by hand."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.faults.test_sensing import fault


def acted(made, targets, joint=0):
    """(T,) what one joint follows when all are told these, one a period."""
    return [float(made.act(np.full(3, target, np.float64))[joint]) for target in targets]


def test_actuator_delay():
    assert acted(fault("actuator_delay", periods=2), [1, 2, 3, 4]) == [1, 1, 1, 2]


def test_gain_goes_no_further_than_the_range():
    assert acted(fault("gain", factor=1.5), [0.2, -0.4, 0.9]) == [0.2 * 1.5, -0.4 * 1.5, 1.0]


def test_saturation():
    assert acted(fault("saturation", share=0.5), [0.2, 0.7, -0.9]) == [0.2, 0.5, -0.5]


def test_backlash_moves_only_when_the_play_is_used_up():
    np.testing.assert_allclose(acted(fault("backlash", width=0.2), [0, 0.3, 0.25, 0.05, 0.5]), [0, 0.2, 0.2, 0.15, 0.4])


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.floats(0, 0.5))
def test_backlash_is_never_farther_than_half_the_play(targets, width):
    out = acted(fault("backlash", width=width), targets)
    assert max(abs(a - b) for a, b in zip(out, targets, strict=True)) <= width / 2 + 1e-12


def test_stiction_breaks_loose():
    assert acted(fault("stiction", width=0.1), [0, 0.05, 0.1, 0.2, 0.15]) == [0, 0, 0, 0.2, 0.2]


def test_stuck_joints_only():
    made = fault("stuck", joints=["b"])
    rows = [made.act(np.full(3, target)).tolist() for target in (0.1, 0.5, -0.5)]
    assert rows == [[0.1, 0.1, 0.1], [0.5, 0.1, 0.5], [-0.5, 0.1, -0.5]]
    made.begin(1.0)
    assert made.act(np.full(3, 0.9)).tolist() == [0.9, 0.9, 0.9]
