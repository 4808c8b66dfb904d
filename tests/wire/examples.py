"""Small valid values for the wire's tests."""

import numpy as np

from rlpd_robot.spec import Field, ProblemSpec, RobotSpec
from rlpd_robot.types import Ending, PolicySnapshot, Segment

OBSERVATION, ACTION = 3, 2


def robot_spec(period_s: float = 0.01, name: str = "point") -> RobotSpec:
    return RobotSpec(
        name=name,
        period_s=period_s,
        state=(Field("position", (2,), "float64", "m"), Field("touching", (), "bool", "-")),
        command=(Field("target", (2,), "float64", "m", low=(-1.0, -1.0), high=(1.0, 1.0)),),
    )


def problem(task: str = "reach", horizon: int = 20) -> ProblemSpec:
    return ProblemSpec(robot_spec(), task, observation_size=OBSERVATION, action_size=ACTION, horizon=horizon)


def segment(
    boot: str = "boot-a", first: int = 0, n: int = 1, episode: int = 0, first_step: int = 0, ending: Ending = ""
) -> Segment:
    """Transitions whose every number tells its sequence."""
    sequences = np.arange(first, first + n)
    return Segment(
        boot=boot,
        first_sequence=first,
        episode=episode,
        first_step=first_step,
        observations=np.repeat(np.arange(first, first + n + 1, dtype=np.float32)[:, None], OBSERVATION, axis=1),
        actions=np.full((n, ACTION), 0.5, np.float32),
        proposed_actions=np.full((n, ACTION), -0.25, np.float32),
        rewards=-sequences.astype(np.float32),
        success=sequences % 2 == 0,
        intervened=np.zeros(n, np.bool_),
        safety=np.full(n, 6, np.uint16),
        policy_versions=sequences.astype(np.int64),
        stamps_s=np.repeat(sequences[:, None] * 0.01, 4, axis=1),
        ending=ending,
        cause="time limit" if ending else "",
    )


def snapshot(version: int = 1, size: int = 4) -> PolicySnapshot:
    arrays = {
        "dense_0/kernel": np.full((OBSERVATION, size), float(version), np.float32),
        "dense_0/bias": np.zeros(size, np.float32),
    }
    return PolicySnapshot(version, problem().fingerprint, env_steps=10 * version, critic_updates=3, arrays=arrays)
