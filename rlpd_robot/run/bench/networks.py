"""A policy to measure with, of the size that is trained."""

import numpy as np

from rlpd_robot.types import PolicySnapshot


def random_network(
    observation: int, action: int, fingerprint: str, width: int = 256, version: int = 1
) -> PolicySnapshot:
    """Two hidden layers of `width`, drawn from a fixed seed."""
    rng = np.random.default_rng(0)
    arrays = {}
    sizes = {
        "dense_0": (observation, width), "dense_1": (width, width), "mean": (width, action), "log_std": (width, action)
    }  # fmt: skip
    for name, shape in sizes.items():
        arrays[f"{name}/kernel"] = (rng.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
        arrays[f"{name}/bias"] = np.zeros(shape[1], np.float32)
    return PolicySnapshot(version, fingerprint, env_steps=0, critic_updates=0, arrays=arrays)
