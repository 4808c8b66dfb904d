"""Random networks for the tests of this package."""

import numpy as np

from rlpd_robot.types import PolicySnapshot


def snapshot(sizes=(5, 16, 16), action_size=3, seed=0, version=7, fingerprint="f" * 16) -> PolicySnapshot:
    """An actor with random weights: sizes[0] observations, hidden layers of the other sizes."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        arrays[f"dense_{i}/kernel"] = rng.normal(0, n_in**-0.5, (n_in, n_out)).astype(np.float32)
        arrays[f"dense_{i}/bias"] = rng.normal(0, 0.3, n_out).astype(np.float32)
    for name in ("mean", "log_std"):
        arrays[f"{name}/kernel"] = rng.normal(0, sizes[-1] ** -0.5, (sizes[-1], action_size)).astype(np.float32)
        arrays[f"{name}/bias"] = rng.normal(0, 0.3, action_size).astype(np.float32)
    return PolicySnapshot(version, fingerprint, env_steps=1000, critic_updates=20_000, arrays=arrays)
