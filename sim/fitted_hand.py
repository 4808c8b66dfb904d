"""The hand as a model that can be fitted: `rlpd-robot identify` moves it as a robot was recorded to move."""

from collections.abc import Iterator, Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.hand import SUBSTEPS, AdroitHand
from sim.physics import Array, Delay


class FittedHand:
    """Implements `rlpd_robot.run.identify.model.Model`. It moves in free space: nothing touches anything.

    Args:
        task: see `AdroitHand`.

    Raises:
        ConfigError: no such task.
        MissingPackageError: the models are not installed.
    """

    def __init__(self, task: str) -> None:
        self._hand = AdroitHand(task)
        model = self._hand.model
        self.spec = self._hand.spec
        self.joints = tuple(model.joint(i).name for i in range(model.nu))
        # What touches what would depend on every parameter at once: recorded contacts are outliers of the fit instead.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        bodies = model.jnt_bodyid[: model.nu].tolist()
        carries = np.array([[one in set(_up(model, other)) for other in bodies] for one in bodies])
        self.related = carries | carries.T
        self._gain, self._bias = model.actuator_gainprm[:, 0].copy(), model.actuator_biasprm.copy()
        self._damping = model.dof_damping[: model.nu].copy()
        self.friction = model.dof_frictionloss[: model.nu].copy()
        low, high = model.actuator_ctrlrange.T
        self.effort = self._gain * (high - low) / 2

    def read(self) -> Mapping[str, NDArray[Any]]:
        """A state, as the spec says."""
        return self._hand.read()

    def follow(
        self, gain: Array, damping: Array, friction: Array, delay_s: float, commands: Array, places: Array, window: int
    ) -> Array:
        """See `rlpd_robot.run.identify.model.Model`."""
        model, data = self._hand.model, self._hand.data
        count = model.nu
        model.actuator_gainprm[:, 0], model.actuator_biasprm[:] = self._gain * gain, self._bias * gain[:, None]
        model.dof_damping[:count], model.dof_frictionloss[:count] = self._damping * damping, friction
        mujoco.mj_resetData(model, data)
        seen = ~np.isnan(places[0])
        data.qpos[:count][seen] = places[0][seen]
        delay = Delay(delay_s / float(model.opt.timestep), -self._bias[:, 1] / self._gain * data.qpos[:count])
        found = np.empty_like(places)
        found[0] = data.qpos[:count]
        for k, command in enumerate(commands):
            if k and k % window == 0:
                data.qpos[:count][seen] = places[k][seen]
            for _ in range(SUBSTEPS):
                data.ctrl[:] = delay.passes(command)
                mujoco.mj_step(model, data)
            found[k + 1] = data.qpos[:count]
        return found


def _up(model: Any, body: int) -> Iterator[int]:
    """The body and those that carry it."""
    while body:
        yield body
        body = int(model.body_parentid[body])
