"""Hand and tasks against gymnasium-robotics: the same scenes, motions, observations and success."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.task import ActionMap, problem_of
from rlpd_robot.types import RobotState
from sim.sim_driver import SimDriver
from sim.tasks.base import SparseTask
from sim.tasks.registry import make_task
from tests.sim.reference import ENVIRONMENTS, NAMES


class Pair:
    """One task on our driver and on the reference."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.driver = SimDriver(name)
        self.task: SparseTask = make_task(name)
        self.problem = problem_of(self.task, self.driver.connect(1.0))
        self.actions = ActionMap.of(self.problem.robot)
        self.reference: Any = ENVIRONMENTS[name](reward_type="sparse")

    def step(self, action: NDArray[np.float32]) -> tuple[RobotState, NDArray[np.float64], bool]:
        self.driver.send(SafeCommand(self.actions.to_command(action)))
        observation, _, _, _, info = self.reference.step(action)
        return self.driver.read(1.0), observation, bool(info["success"])

    def check(self, state: RobotState, observation: NDArray[np.float64]) -> None:
        hand = self.driver.hand
        np.testing.assert_allclose(hand.data.qpos, self.reference.data.qpos, rtol=0, atol=1e-9)
        np.testing.assert_allclose(hand.data.qvel, self.reference.data.qvel, rtol=0, atol=1e-9)
        np.testing.assert_allclose(self.task.observe(state), observation.astype(np.float32), rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> Pair:
    return Pair(request.param)


def test_sizes(pair: Pair) -> None:
    assert pair.problem.observation_size == pair.reference.observation_space.shape[0]
    assert pair.problem.action_size == pair.reference.action_space.shape[0]
    assert pair.problem.robot.period_s == pytest.approx(pair.reference.dt)


def test_same_seed_gives_same_scene(pair: Pair) -> None:
    first_observations = []
    for seed in range(10):
        state = pair.driver.reset(seed, 1.0)
        observation, _ = pair.reference.reset(seed=seed)
        pair.check(state, observation)
        first_observations.append(observation)
    assert pair.name == "hammer" or np.ptp(first_observations, axis=0).max() > 0.05  # the scenes do differ


def test_generator_goes_on_without_a_seed(pair: Pair) -> None:
    pair.driver.reset(3, 1.0), pair.reference.reset(seed=3)
    for _ in range(3):
        state = pair.driver.reset(None, 1.0)
        observation, _ = pair.reference.reset()
        pair.check(state, observation)


@pytest.mark.parametrize("smooth", [False, True])
def test_same_actions_give_same_observations(pair: Pair, smooth: bool) -> None:
    rng = np.random.default_rng(7)
    actions = rng.uniform(-1.0, 1.0, (50, pair.problem.action_size)).astype(np.float32)
    if smooth:  # keeps pushing into contacts
        actions = np.repeat(actions[:2], 25, axis=0)
    pair.driver.reset(11, 1.0), pair.reference.reset(seed=11)
    for action in actions:
        state, observation, success = pair.step(action)
        pair.check(state, observation)
        assert pair.task.success(state) == success
        assert pair.task.reward(state, action, state) == float(success) - 1.0
        assert not pair.task.terminated(state)


def test_from_the_same_simulator_state(pair: Pair) -> None:
    """A state set into both, far from where resets begin."""
    rng = np.random.default_rng(5)
    pair.driver.reset(1, 1.0), pair.reference.reset(seed=1)
    _set_both(pair, pair.driver.hand.data.qpos + rng.uniform(-0.05, 0.05, pair.driver.hand.model.nq))
    for action in rng.uniform(-1.0, 1.0, (50, pair.problem.action_size)).astype(np.float32):
        state, observation, success = pair.step(action)
        pair.check(state, observation)
        assert pair.task.success(state) == success


def test_success_flags_around_the_threshold(pair: Pair) -> None:
    rng = np.random.default_rng(2)
    still = np.zeros(pair.problem.action_size, np.float32)
    seen = []
    for seed in range(40):
        pair.driver.reset(seed, 1.0), pair.reference.reset(seed=seed)
        _set_both(pair, NEARLY_SOLVED[pair.name](pair, rng))
        state, observation, success = pair.step(still)
        pair.check(state, observation)
        assert pair.task.success(state) == success
        seen.append(success)
    assert 5 <= sum(seen) <= 35, "the states do not straddle the threshold"


def _set_both(pair: Pair, qpos: NDArray[np.float64]) -> None:
    import mujoco

    for model, data in ((pair.driver.hand.model, pair.driver.hand.data), (pair.reference.model, pair.reference.data)):
        data.qpos[:] = qpos
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)


def _door(pair: Pair, rng: np.random.Generator) -> NDArray[np.float64]:
    qpos = pair.driver.hand.data.qpos.copy()
    qpos[28] = rng.uniform(1.25, 1.45)
    return qpos


def _pen(pair: Pair, rng: np.random.Generator) -> NDArray[np.float64]:
    qpos = pair.driver.hand.data.qpos.copy()
    x, y, z = pair.driver.hand.read()["target_direction"]
    qpos[27:29] = np.arctan2(-y, x), np.arcsin(-z)  # the pen's joints sit in a frame turned a quarter about y
    qpos[24:27] += rng.uniform(-0.03, 0.03, 3)
    qpos[27:29] += rng.uniform(-0.4, 0.4, 2)
    return qpos


def _relocate(pair: Pair, rng: np.random.Generator) -> NDArray[np.float64]:
    values = pair.driver.hand.read()
    qpos = pair.driver.hand.data.qpos.copy()
    qpos[30:33] += values["target_position"] - values["object_position"] + rng.uniform(-0.09, 0.09, 3)
    return qpos


def _hammer(pair: Pair, rng: np.random.Generator) -> NDArray[np.float64]:
    values = pair.driver.hand.read()
    qpos = pair.driver.hand.data.qpos.copy()
    way = np.linalg.norm(values["nail_position"] - values["nail_goal_position"])
    qpos[26] = way + rng.uniform(-0.02, 0.02)
    qpos[27:30] += rng.uniform(-0.02, 0.02, 3)
    return qpos


NEARLY_SOLVED: dict[str, Callable[[Pair, np.random.Generator], NDArray[np.float64]]] = {
    "door": _door,
    "hammer": _hammer,
    "pen": _pen,
    "relocate": _relocate,
}
