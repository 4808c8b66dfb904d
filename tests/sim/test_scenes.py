import numpy as np
import pytest

from sim.hand import AdroitHand
from sim.scenes import roll_pitch_quaternion

RANGES = {
    "door": ([-0.3, 0.25, 0.252], [-0.2, 0.35, 0.35]),
    "relocate": ([-0.15, -0.15, -0.2, -0.2, 0.15], [0.15, 0.3, 0.2, 0.2, 0.35]),
    "hammer": ([0.1], [0.25]),
}
MOVED = {"door": [0, 1, 2], "relocate": [0, 1, 3, 4, 5], "hammer": [2]}


@pytest.mark.parametrize("task", sorted(RANGES))
def test_placements_fill_their_ranges(task: str) -> None:
    hand = AdroitHand(task)
    drawn = []
    for seed in range(100):
        hand.reset(seed)
        drawn.append(np.concatenate(hand.snapshot().placement)[MOVED[task]])
    low, high = (np.array(bound) for bound in RANGES[task])
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    assert (np.ptp(drawn, axis=0) > 0.8 * (high - low)).all()


def test_pen_target_points_within_its_cone() -> None:
    hand = AdroitHand("pen")
    for seed in range(20):
        hand.reset(seed)
        direction = hand.read()["target_direction"]
        assert np.linalg.norm(direction) == pytest.approx(1.0)
        assert direction[2] >= np.cos(1.0) ** 2 - 1e-9  # two turns by at most 1 rad


def test_roll_pitch_quaternion_turns_the_axes() -> None:
    """Roll takes z to -y; pitch takes z to x, about the turned y."""
    half = np.sqrt(0.5)
    np.testing.assert_allclose(roll_pitch_quaternion(np.pi / 2, 0.0), [half, half, 0, 0], atol=1e-12)
    np.testing.assert_allclose(roll_pitch_quaternion(0.0, np.pi / 2), [half, 0, half, 0], atol=1e-12)
    np.testing.assert_allclose(roll_pitch_quaternion(np.pi / 2, np.pi / 2), [0.5, 0.5, 0.5, 0.5], atol=1e-12)
