import numpy as np
import pytest
from gymnasium_robotics.utils.rotations import quat2euler
from hypothesis import given
from hypothesis import strategies as st

from sim.tasks.hammer import euler_angles

component = st.floats(-1.0, 1.0)


@given(st.tuples(component, component, component, component))
def test_euler_angles_against_gymnasium_robotics(quaternion: tuple[float, float, float, float]) -> None:
    q = np.array(quaternion)
    if np.linalg.norm(q) < 1e-3:
        return
    ours, theirs = np.array(euler_angles(q)), quat2euler(q)
    if abs(abs(theirs[1]) - np.pi / 2) < 1e-6:
        return  # the other two are not unique there
    difference = (ours - theirs + np.pi) % (2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0.0, atol=1e-6)


def test_quarter_turn_about_y() -> None:
    x, y, z = euler_angles(np.array([1.0, 0.0, 1.0, 0.0]))
    assert (x, z) == (0.0, 0.0)
    assert y == pytest.approx(np.pi / 2)
