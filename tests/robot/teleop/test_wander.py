"""Small motions of every joint, from where the robot stands."""

from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.teleop.wander import WanderTeleop

SPEC = fake_spec()


def motion(source: WanderTeleop, start: list[float], ticks: int = 400) -> np.ndarray:
    source.begin(np.array(start, np.float32))
    actions = []
    for _ in range(ticks):
        source.see(np.zeros(4, np.float32))
        actions.append(source.poll().action)
    return np.array(actions)


def test_it_begins_where_the_robot_stands_and_stays_near_it() -> None:
    recipe = load("record", ["teleop=wander"])[0].teleop
    assert recipe is not None
    source = build(recipe, spec=SPEC)
    moved = motion(source, [0.4, -1.0])
    np.testing.assert_allclose(moved[0], [0.4, -1.0], atol=1e-6)
    assert np.abs(np.diff(moved, axis=0)).max() < 0.03  # no jump
    assert (np.abs(moved[100:] - [0.4, -0.85]) <= 0.15 + 1e-6).all()  # away from the end of the range
    assert moved.std(axis=0).min() > 0.02
    assert not np.array_equal(motion(source, [0.4, -1.0]), moved)
    before = source.poll().action
    np.testing.assert_array_equal(source.poll().action, before)  # time passes with what it sees


def test_only_the_named_joints_move() -> None:
    (target,) = SPEC.command
    spec = replace(SPEC, command=(replace(target, labels=("x", "y")),))
    moved = motion(WanderTeleop(spec, joints=["y"]), [0.4, 0.2])
    np.testing.assert_allclose(moved[:, 0], 0.4, atol=1e-6)
    assert moved[:, 1].std() > 0.02
    with pytest.raises(ConfigError, match=r"teleop.joints' must be some of the robot's joints \['x', 'y'\]"):
        WanderTeleop(spec, joints=["z"])


@pytest.mark.parametrize("words", [{"reach": 0.0}, {"reach": 1.5}, {"quickest_hz": 60.0}, {"quickest_hz": 0.1}])
def test_what_means_nothing_is_refused(words: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"teleop.{next(iter(words))}"):
        WanderTeleop(SPEC, **words)
