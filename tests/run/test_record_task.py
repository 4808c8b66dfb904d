from types import SimpleNamespace

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.run.record_task import Rates, Stance, WatchedTask
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

SPEC = fake_spec()
LIMITS = SafetyLimits.from_settings(SafetySettings(), SPEC)
STATE = RobotState({"position": np.array([0.25, -0.5]), "velocity": np.zeros(2)}, 1, 0.0, 0.0)


def test_rates_of_states_and_of_new_pictures():
    clock = SimpleNamespace(now=5.0)
    spec = RobotSpec("seeing", 0.01, (Field("wrist", (32, 32, 3), "uint8", "-"), *SPEC.state), SPEC.command)
    rates = Rates(spec, lambda: clock.now)
    for i in range(100):
        picture = np.full((32, 32, 3), i // 4, np.uint8)  # a new one every fourth state
        rates.add(RobotState({"wrist": picture, **STATE.values}, i, 0.0, 0.0))
    clock.now += 2.0
    assert rates.take() == {"states": 50.0, "wrist": 12.5}
    clock.now += 1.0
    assert rates.take() == {"states": 0.0, "wrist": 0.0}


@pytest.mark.parametrize("said", [True, False])
def test_a_person_judges_where_asked_to(said):
    task = FakeTask(ends=True)
    solved = RobotState({"position": np.zeros(2), "velocity": np.zeros(2)}, 1, 0.0, 0.0)
    watched = WatchedTask(task, Rates(SPEC), lambda: said)
    assert watched.success(solved) is said
    assert watched.reward(STATE, np.zeros(2, np.float32), solved) == float(said) - 1
    assert not watched.terminated(solved)
    assert np.array_equal(watched.observe(STATE), task.observe(STATE))
    assert watched.state is STATE


def test_else_the_task_does():
    watched = WatchedTask(FakeTask(ends=True), Rates(SPEC))
    solved = RobotState({"position": np.zeros(2), "velocity": np.zeros(2)}, 1, 0.0, 0.0)
    assert watched.success(solved)
    assert watched.terminated(solved)
    assert watched.reward(solved, np.zeros(2, np.float32), STATE) == -1.0


def test_a_stance_is_measured_or_told():
    measured = SafetyLimits.from_settings(SafetySettings(measured={"target": "position"}), SPEC)
    assert Stance(SPEC, measured, None, needed=True).action(STATE).tolist() == [0.25, -0.5]
    assert Stance(SPEC, LIMITS, 0.5, needed=True).action(STATE).tolist() == [0.5, 0.5]
    assert Stance(SPEC, measured, {"target": [0.1, 5.0]}, needed=True).action(STATE).tolist() == [np.float32(0.1), 1.0]
    assert Stance(SPEC, LIMITS, None, needed=False).action(STATE).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (None, "must be the command that holds the robot after a reset"),
        ({"targets": 0.0}, r"must be one of each of \['target'\]"),
        ([0.0, 1.0, 2.0], "must be a number or 2 for 'target'"),
        ("middle", "must be a number or 2 for 'target'"),
        (float("nan"), "must be finite numbers"),
    ],
)
def test_a_stance_that_cannot_be_taken(start, message):
    with pytest.raises(ConfigError, match=f"'teleop.start' {message}"):
        Stance(SPEC, LIMITS, start, needed=True)
