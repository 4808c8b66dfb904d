"""From the learner's parameters to arrays that an actor runs in NumPy: the actor network alone."""

from collections.abc import Mapping

import jax
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.agent.networks import Params


def export_actor(actor: Params) -> Mapping[str, NDArray[np.float32]]:
    """Arrays by name, as `PolicySnapshot.arrays` lists them: "dense_0/kernel" (in, out), "mean/bias" …"""
    host = jax.device_get(actor)
    return {
        f"{layer}/{name}": np.ascontiguousarray(array, np.float32)
        for layer, arrays in host.items()
        for name, array in arrays.items()
    }
