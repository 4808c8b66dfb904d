"""Policies and robots that do not belong together: each sabotage is named."""

from dataclasses import replace

import numpy as np
import pytest

from rlpd_robot.errors import DataError
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.task import problem_of
from rlpd_robot.run.checkpoint import save_checkpoint
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.dry_run.policy_checks import (
    Training,
    check_finite,
    check_problem,
    check_range,
    find_policy,
    load_policy,
    load_training,
)
from rlpd_robot.spec import Field, ProblemSpec
from tests.integration.running import make_demos
from tests.policy.networks import snapshot as make_snapshot
from tests.run.test_checkpoint import checkpoint

PROBLEM = problem_of(FakeTask(horizon=40), fake_spec())
ROBOT = PROBLEM.robot
(TARGET,) = ROBOT.command
POSITION, VELOCITY = ROBOT.state
TRAINING = Training((), PROBLEM, np.full(4, -1, np.float32), np.ones(4, np.float32))


def robot(**changes):
    return replace(PROBLEM, robot=replace(ROBOT, **changes))


SABOTAGES = {
    "rate": (robot(period_s=0.02), "robot.period_s: 0.01 in training, 0.02 on this robot"),
    "upper limit": (
        robot(command=(replace(TARGET, high=(1.0, 2.0)),)),
        "robot.command.target.high: [1.0, 1.0] in training, [1.0, 2.0] on this robot",
    ),
    "lower limit": (robot(command=(replace(TARGET, low=(-2.0, -1.0)),)), "robot.command.target.low"),
    "joint order": (
        robot(command=(replace(TARGET, labels=("y", "x")),)),
        'robot.command.target.labels: [] in training, ["y", "x"] on this robot',
    ),
    "unit": (robot(command=(replace(TARGET, unit="rad"),)), 'robot.command.target.unit: "m" in training, "rad"'),
    "order of readings": (robot(state=(VELOCITY, POSITION)), None),
    "a reading's unit": (robot(state=(replace(POSITION, unit="rad"), VELOCITY)), "robot.state.position.unit"),
    "a reading's type": (robot(state=(replace(POSITION, dtype="float32"), VELOCITY)), "robot.state.position.dtype"),
    "one reading more": (
        robot(state=(POSITION, VELOCITY, Field("force", (2,), "float64", "N"))),
        "robot.state.force.dtype: absent in training",
    ),
    "one joint more": (
        replace(robot(command=(Field("target", (3,), "float64", "m", (-1.0,) * 3, (1.0,) * 3),)), action_size=3),
        "action_size: 2 in training, 3 on this robot",
    ),
    "task": (replace(PROBLEM, task="push"), 'task: "fake-reach" in training, "push" on this robot'),
    "horizon": (replace(PROBLEM, horizon=99), "horizon: 40 in training, 99 on this robot"),
    "observation": (replace(PROBLEM, observation_size=5), "observation_size: 4 in training, 5 on this robot"),
}


def snapshot(problem: ProblemSpec = PROBLEM):
    return make_snapshot((problem.observation_size, 8), problem.action_size, fingerprint=problem.fingerprint)


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotaged_robot_is_named(name):
    problem, told = SABOTAGES[name]
    check = check_problem(snapshot(), problem, TRAINING)
    assert check.passed is False
    if told is not None:
        assert told in check.measured
    assert check_problem(snapshot(problem), problem, replace(TRAINING, problem=problem)).passed


def test_without_its_data_only_the_fingerprints_are_told():
    check = check_problem(snapshot(), robot(period_s=0.02), replace(TRAINING, problem=None))
    assert "fingerprint" in check.measured


def test_a_scaled_observation_is_outside_its_training():
    training = replace(TRAINING, stores=("a store",))
    seen = [np.zeros((50, 4), np.float32) for _ in range(3)]
    assert check_range(training, seen, 0.05, 0.1).passed
    seen[0][:, 2] = 1.5
    assert check_range(training, seen, 0.05, 0.1).passed  # astray in one of them
    seen[1][:10, 2] = 1.5
    check = check_range(training, seen, 0.05, 0.1)
    assert check.passed is False
    assert check.measured == "20.00 %, 3 episodes, at most 100.00 %; elements [2] 40.0 %"
    assert check_range(TRAINING, seen, 0.05, 0.1).passed is None


def test_policies_are_found_loaded_and_tried(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        find_policy(str(tmp_path))
    newest = save_checkpoint(tmp_path / "checkpoints", checkpoint(10, policy=snapshot()), kept=3) / "policy.npz"
    assert find_policy(str(tmp_path)) == newest  # of a run that has not come to its end
    save_snapshot(tmp_path / "policy.npz", snapshot())
    assert find_policy(str(tmp_path)) == find_policy(str(tmp_path / "policy.npz")) == tmp_path / "policy.npz"
    with pytest.raises(DataError, match="there is no file"):
        find_policy(str(tmp_path / "none"))
    loaded = load_policy(tmp_path / "policy.npz")
    assert not isinstance(loaded, Check)
    assert check_finite(loaded, TRAINING, [np.ones(4, np.float32)]).passed
    (tmp_path / "policy.npz").write_bytes(b"no zip")
    broken = load_policy(tmp_path / "policy.npz")
    assert isinstance(broken, Check)
    assert broken.passed is False


def test_what_it_was_trained_on_is_found_beside_it(tmp_path):
    make_demos(tmp_path / "live.zarr", episodes=2)
    checkpoint = tmp_path / "checkpoints" / "checkpoint-000001"
    checkpoint.mkdir(parents=True)
    training = load_training(checkpoint / "policy.npz", None)
    assert training.stores == (tmp_path / "live.zarr",)
    assert training.problem == PROBLEM
    assert training.low.shape == (4,)
    assert (training.low <= training.high).all()
    assert load_training(tmp_path / "none" / "deeper" / "and" / "deeper" / "policy.npz", None).stores == ()
