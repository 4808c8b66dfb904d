"""ACTION small robot and task, and episodes of it whose every number follows from their index."""

import numpy as np

from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import ENDINGS, Segment

OBSERVATION, ACTION = 5, 3


def make_problem(period_s: float = 0.02, action_size: int = ACTION) -> ProblemSpec:
    robot = RobotSpec(
        name="gripper",
        period_s=period_s,
        state=(Field("joint_positions", (OBSERVATION,), "float64", "rad"),),
        command=(Field("targets", (action_size,), "float64", "rad", (-1.0,) * action_size, (1.0,) * action_size),),
    )
    return ProblemSpec(robot, "reach", OBSERVATION, action_size, horizon=40)


def make_episode(index: int, boot: str = "boot-a") -> Segment:
    """Number `index` of a boot; its length, ending and every field differ from its neighbours'."""
    rng = np.random.default_rng(index)
    n = 1 + 7 * index % 40
    return Segment(
        boot=boot,
        first_sequence=100 * index,
        episode=index,
        first_step=0,
        observations=rng.normal(size=(n + 1, OBSERVATION)).astype(np.float32),
        actions=rng.uniform(-1, 1, (n, ACTION)).astype(np.float32),
        proposed_actions=rng.uniform(-1, 1, (n, ACTION)).astype(np.float32),
        rewards=rng.normal(size=n).astype(np.float32),
        success=rng.random(n) < 0.5,
        intervened=rng.random(n) < 0.5,
        safety=rng.integers(0, 4, n).astype(np.uint16),
        policy_versions=rng.integers(-1, 2**40, n),
        stamps_s=np.sort(rng.uniform(0, 1e6, (n, 4)), axis=None).reshape(n, 4),
        ending=ENDINGS[1 + index % 3],
        cause=f"cause {index} – naïve" if index % 2 else "",
    )
