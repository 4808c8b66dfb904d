"""The Adroit hand in MuJoCo, as a robot: named SI state out, actuator position targets in, one control period a call.

The models, the actuator gains and the resets are those of gymnasium-robotics' AdroitHand*-v1; the package's own
environment classes are not imported, for speed and so that its reward and observation stay out of the robot.
"""

import importlib.util
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, DataError, MissingPackageError
from rlpd_robot.spec import Field, RobotSpec
from sim.physics import Change, Delay, Physics, Twin
from sim.randomize import Randomizer, Sizes, ranges_of
from sim.scenes import SCENES, Sensor, measure, point

_log = logging.getLogger(__name__)

SUBSTEPS = 5  # of the model's 2 ms, so 100 Hz (Rajeswaran et al. 2018; gymnasium-robotics' frame_skip)


@dataclass(frozen=True)
class Snapshot:
    """What a picture of the scene needs: joint positions and the placed objects, not the velocities."""

    qpos: NDArray[np.float64]
    placement: tuple[NDArray[np.float64], ...]


class AdroitHand:
    """One simulated hand with the scene of one task. Implements `rlpd_robot.robot.server.Robot`.

    State of every task: `joint_position` (J,) [rad], `joint_velocity` (J,) [rad/s], `palm_position` (3,) [m, world]
    and, where the arm has slides, `slide_position` (S,) [m] and `slide_velocity` (S,) [m/s]; the task's own fields are
    in `sim/scenes.py`. Commands: `slide_target` (S,) [m] if any, then `joint_target` (J,) [rad], position targets.

    Joint readings belong to the end of the period. Positions of palm, objects and sites are those of one physics step
    (2 ms) earlier, as in gymnasium-robotics, since MuJoCo computes them before it integrates; after a reset all agree.

    Wrist and fingers settle at their targets. The arm (slides and the ARR joints) settles at 2.5 times its target, or
    at its joint limit: the model file pairs a gain of 500 with a stiffness of 200. That is kept: the published tasks,
    demonstrations and policies are of this arm.

    Args:
        task: "door", "hammer", "pen" or "relocate".
        model: the task's model where it is loaded already, as for drawing, with other looks.
        twin: file of one robot as it was identified (`sim.physics.Twin`); none: as in the model.
        randomize: what is drawn anew at each reset (`sim.randomize.Randomizer`); none: nothing.

    Raises:
        ConfigError: no such task, or a twin or a range that means nothing.
        MissingPackageError: gymnasium-robotics, which brings the models, is not installed.
    """

    def __init__(
        self, task: str, model: Any = None, twin: str | None = None, randomize: Mapping[str, Any] | None = None
    ) -> None:
        if task not in SCENES:
            raise ConfigError("task", task, f"one of {sorted(SCENES)}")
        self.task = task
        mujoco.set_mju_user_warning(_log.warning)  # else MuJoCo writes a log file into the working directory
        self.model: Any = model or mujoco.MjModel.from_xml_path(str(model_path(task)))
        _set_gains(self.model)
        self._physics = Physics(self.model, None if twin is None else Twin.load(Path(twin)))
        # A diverged simulation must show as non-finite state, not as a silent jump back to the start.
        self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
        if task != "hammer":  # 65 touch and force sensors that nobody reads cost a tenth of the time
            self.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_SENSOR
        self.data: Any = mujoco.MjData(self.model)
        self._scene = SCENES[task](self.model, self.data)
        self._sensors = (*_hand_sensors(self.model, self.data), *self._scene.sensors)
        self._ctrl: NDArray[np.float64] = self.data.ctrl
        self._target_of_position = -self.model.actuator_biasprm[:, 1] / self.model.actuator_gainprm[:, 0]  # (C,)
        self._rng = np.random.default_rng()
        self._randomizer = _randomizer(randomize or {}, self.model)
        self._change = Change()
        self._delay: Delay | None = None
        self._readings: deque[dict[str, NDArray[Any]]] = deque(maxlen=1)
        self.spec = RobotSpec(
            name=f"adroit_{task}",
            period_s=SUBSTEPS * float(self.model.opt.timestep),
            state=tuple(s.field for s in self._sensors),
            command=_command_fields(self.model),
        )
        self._set_delays()
        mujoco.mj_forward(self.model, self.data)

    def read(self) -> dict[str, NDArray[Any]]:
        """Every state field by name, as fresh arrays."""
        if self._readings:  # they come late
            return {name: value.copy() for name, value in self._readings[0].items()}
        return self._measure()

    def write(self, values: NDArray[np.float64]) -> None:
        """Set the position targets (C,). The simulator clips them to the command range.

        Raises:
            DataError: another shape, or a non-finite number; the old targets stay.
        """
        if values.shape != self._ctrl.shape:
            raise DataError(f"Command to {self.spec.name}", f"its shape is {values.shape}", f"{self._ctrl.shape}")
        if not np.isfinite(values).all():
            raise DataError(f"Command to {self.spec.name}", "it holds a non-finite number", "finite values")
        if self._delay is None:
            self._ctrl[:] = values
        else:
            self._target = np.array(values)

    def advance(self) -> None:
        """Simulate one control period."""
        if self._delay is None:
            mujoco.mj_step(self.model, self.data, nstep=SUBSTEPS)
        else:
            for _ in range(SUBSTEPS):
                self._ctrl[:] = self._delay.passes(self._target)
                mujoco.mj_step(self.model, self.data)
        if self._readings:
            self._readings.append(self._measure())

    def reset(self, seed: int | None) -> None:
        """Hand at rest, objects placed anew. The same seed gives the same scene; None goes on with the generator."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        if self._randomizer is not None:
            self._change = self._randomizer.draw(seed)
            self._physics.apply(self._change)
        mujoco.mj_resetData(self.model, self.data)
        if self._change.start is not None:
            low, high = self.model.jnt_range[: self.model.nu].T
            places = self.data.qpos[: self.model.nu]
            places[:] = np.clip(places + self._change.start, low, high)
        self._scene.randomize(self._rng)
        mujoco.mj_forward(self.model, self.data)
        self._set_delays()

    def stop(self) -> None:
        """Hold the hand where it is: the targets become those that settle at the present joint positions."""
        held = self._target_of_position * self.data.qpos[: self.model.nu]
        self._ctrl[:] = np.clip(held, self.spec.command_low, self.spec.command_high)
        if self._delay is not None:
            self._target = self._ctrl.copy()
            self._delay.fill(self._target)

    def snapshot(self) -> Snapshot:
        """The present picture, for `restore`."""
        return Snapshot(self.data.qpos.copy(), tuple(view.copy() for view in self._scene.placement))

    def restore(self, snapshot: Snapshot) -> None:
        """Show a snapshot of the same task again, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = snapshot.qpos
        for view, value in zip(self._scene.placement, snapshot.placement, strict=True):
            view[:] = value
        mujoco.mj_forward(self.model, self.data)

    def _measure(self) -> dict[str, NDArray[Any]]:
        values = {sensor.field.name: sensor.read() for sensor in self._sensors}
        if self._change.tracker is not None:
            for sensor in self._scene.sensors:
                if (sensor.field.unit, sensor.field.shape) == ("m", (3,)):
                    values[sensor.field.name] += self._change.tracker
        return values

    def _set_delays(self) -> None:
        """Of commands and readings: nothing of another episode is on its way."""
        delay_s = self._physics.delay_s + self._change.command_delay_s
        self._target = self._ctrl.copy()
        self._delay = Delay(delay_s / float(self.model.opt.timestep), self._target) if delay_s > 0 else None
        late = self._change.observation_delay
        self._readings = deque([self._measure()] if late else [], maxlen=late + 1)


def model_path(task: str) -> Path:
    """The task's MJCF file inside gymnasium-robotics, found without importing it.

    Raises:
        MissingPackageError: the package is not installed.
    """
    package = importlib.util.find_spec("gymnasium_robotics")
    if package is None or not package.submodule_search_locations:
        raise MissingPackageError("gymnasium-robotics", "the Adroit hand models", "sim")
    return Path(package.submodule_search_locations[0], "envs", "assets", "adroit_hand", f"adroit_{task}.xml")


def _set_gains(model: Any) -> None:
    """Position gains as in gymnasium-robotics: 10 for the wrist, 1 for the fingers; the arm keeps the file's."""
    for first, last, gain in (("A_WRJ1", "A_WRJ0", 10.0), ("A_FFJ3", "A_THJ0", 1.0)):
        rows = slice(model.actuator(first).id, model.actuator(last).id + 1)
        model.actuator_gainprm[rows, :3] = (gain, 0.0, 0.0)
        model.actuator_biasprm[rows, :3] = (0.0, -gain, 0.0)


def _randomizer(settings: Mapping[str, Any], model: Any) -> Randomizer | None:
    """None when nothing is drawn."""
    if not ranges_of(settings):
        return None
    return Randomizer(settings, Sizes(model.nbody, model.ngeom, model.nv, model.nu))


def _joints(model: Any) -> tuple[tuple[str, ...], int]:
    """Names of the actuated joints, which are the model's first, and how many of them are slides, which lead."""
    names = tuple(model.joint(i).name for i in range(model.nu))
    return names, int((model.jnt_type[: model.nu] == mujoco.mjtJoint.mjJNT_SLIDE).sum())


def _hand_sensors(model: Any, data: Any) -> tuple[Sensor, ...]:
    names, slides = _joints(model)
    arm: tuple[Sensor, ...] = ()
    if slides:
        arm = (
            measure("slide_position", "m", data.qpos[:slides], names[:slides]),
            measure("slide_velocity", "m/s", data.qvel[:slides], names[:slides]),
        )
    return (
        *arm,
        measure("joint_position", "rad", data.qpos[slides : model.nu], names[slides:]),
        measure("joint_velocity", "rad/s", data.qvel[slides : model.nu], names[slides:]),
        point("palm_position", data.site_xpos[model.site("S_grasp").id]),
    )


def _command_fields(model: Any) -> tuple[Field, ...]:
    names, slides = _joints(model)
    low, high = model.actuator_ctrlrange.T.tolist()
    hand = Field("joint_target", (model.nu - slides,), "float64", "rad", low[slides:], high[slides:], names[slides:])
    if not slides:
        return (hand,)
    return Field("slide_target", (slides,), "float64", "m", low[:slides], high[:slides], names[:slides]), hand
