"""Settings of a fake robot in this very process, and a policy that solves its task."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.robot.task import problem_of
from rlpd_robot.run.settings import RobotSettings, RunSettings, Settings
from rlpd_robot.types import PolicySnapshot

HORIZON = 40
PROBLEM = problem_of(FakeTask(HORIZON), fake_spec())

FAKE = "rlpd_robot.robot.fake"


def settings(root: Path, **groups: Any) -> Settings:
    """Of a run called "point" below `root`; `groups` replace whole groups."""
    fields: dict[str, Any] = {
        "robot": RobotSettings("fake", {"_target_": f"{FAKE}.FakeDriver"}),
        "task": {"_target_": f"{FAKE}.FakeTask", "horizon": HORIZON},
        "agent": AgentConfig(),
        "safety": SafetySettings("range", none_because="it is no robot"),
        "run": RunSettings(name="point", root=str(root)),
    }
    return Settings(**{**fields, **groups})


def policy(gain: float = 2.0, version: int = 3) -> PolicySnapshot:
    """Goes to the origin: action = tanh(-gain · position), as two hidden units an axis pass it on."""
    kernel = np.zeros((4, 4), np.float32)
    mean = np.zeros((4, 2), np.float32)
    for axis in range(2):
        kernel[axis, 2 * axis : 2 * axis + 2] = 1.0, -1.0
        mean[2 * axis : 2 * axis + 2, axis] = -gain, gain
    arrays = {
        "dense_0/kernel": kernel,
        "dense_0/bias": np.zeros(4, np.float32),
        "mean/kernel": mean,
        "mean/bias": np.zeros(2, np.float32),
        "log_std/kernel": np.zeros((4, 2), np.float32),
        "log_std/bias": np.full(2, -3.0, np.float32),
    }
    return PolicySnapshot(version, PROBLEM.fingerprint, env_steps=0, critic_updates=0, arrays=arrays)


def save_policy(path: Path, gain: float = 2.0, **changes: Any) -> Path:
    """The policy in a file, directories included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_snapshot(path, replace(policy(gain), **changes))
    return path
