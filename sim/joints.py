"""A robot of joints alone, in MuJoCo: made from names, ranges and units, for robots of which no model is at hand.

Each joint is a body of its own that nothing touches and nothing pulls down: as a good controller makes a robot look
from outside. It has inertia and a servo, so it follows late and swings in; it does not know the robot's masses, its own
collisions, or what stands around it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import mujoco
import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.spec import RobotSpec

Array = NDArray[np.float64]

Quantity = Literal["position", "velocity", "effort"]

BANDWIDTH = 40.0
"""Of the servos [rad/s]: critically damped, they settle in about a tenth of a second."""

_STEP_S = 0.002
_INERTIA = 0.05  # [kg m²], [kg]: with servos that are as strong as it takes, it only scales the efforts
_DAMPING = 0.5  # of joints moved by efforts alone [N m s/rad], [N s/m]
_UNITS = {"rad": "position", "m": "position", "rad/s": "velocity", "m/s": "velocity", "N m": "effort", "N": "effort"}


@dataclass(frozen=True)
class JointCommand:
    """One element of the command.

    Attributes:
        joint: that it moves.
        quantity: what it sets.
        low, high: its range; that of a position is the joint's, too.
        slides: whether the joint is one of metres.
    """

    joint: str
    quantity: Quantity
    low: float
    high: float
    slides: bool = False


class JointsRobot:
    """Implements `rlpd_robot.robot.server.Robot`.

    Args:
        spec: of the robot; its state fields need labels, the joints that each reads.
        quantities: by state field, what it reads of them; by default as its unit says.
        start: by joint, where it stands at first and after each reset; others in the middle of their range.

    Raises:
        ConfigError: a field that reads or commands something else than joints.
    """

    def __init__(
        self,
        spec: RobotSpec,
        quantities: Mapping[str, Quantity] | None = None,
        start: Mapping[str, float] | None = None,
    ) -> None:
        self.spec = spec
        commands = commands_of(spec)
        reads = [(f.name, quantity_of(f.name, f.unit, quantities), _joints(f.name, f.labels)) for f in spec.state]
        joints = list(dict.fromkeys([*(one.joint for one in commands), *(name for _, _, own in reads for name in own)]))
        self.model: Any = build(joints, commands)
        self.data: Any = mujoco.MjData(self.model)
        index = {name: i for i, name in enumerate(joints)}
        self._reads = [(name, quantity, np.array([index[joint] for joint in own])) for name, quantity, own in reads]
        self._moves = np.array([index[one.joint] for one in commands])
        self._sets_place = np.array([one.quantity == "position" for one in commands])
        self._start = self._starts(joints, commands, start or {})
        self._substeps = max(1, round(spec.period_s / _STEP_S))
        self.model.opt.timestep = spec.period_s / self._substeps
        self.reset(None)

    def read(self) -> dict[str, NDArray[Any]]:
        """Every state field by name, as fresh arrays."""
        found = {"position": self.data.qpos, "velocity": self.data.qvel, "effort": self.data.qfrc_actuator}
        values = {name: found[quantity][joints] for name, quantity, joints in self._reads}
        return {name: value.astype(self.spec.state_field(name).dtype) for name, value in values.items()}

    def write(self, values: Array) -> None:
        """Set what the servos follow (C,).

        Raises:
            DataError: another shape, or a non-finite number; the old targets stay.
        """
        if values.shape != self.data.ctrl.shape or not np.isfinite(values).all():
            raise DataError(f"Command to {self.spec.name}", f"it is {values}", f"{len(self.data.ctrl)} finite numbers")
        self.data.ctrl[:] = values

    def advance(self) -> None:
        """One period."""
        mujoco.mj_step(self.model, self.data, nstep=self._substeps)

    def reset(self, seed: int | None) -> None:
        """At the start again, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = self._start
        self.stop()
        mujoco.mj_forward(self.model, self.data)

    def stop(self) -> None:
        """Hold the joints where they are; rates and efforts become zero."""
        self.data.ctrl[:] = np.where(self._sets_place, self.data.qpos[self._moves], 0.0)

    def _starts(self, joints: Sequence[str], commands: Sequence[JointCommand], start: Mapping[str, float]) -> Array:
        middle = {one.joint: (one.low + one.high) / 2 for one in commands if one.quantity == "position"}
        return np.array([start.get(name, middle.get(name, 0.0)) for name in joints])


def commands_of(spec: RobotSpec) -> list[JointCommand]:
    """Of each element, in order.

    Raises:
        ConfigError: a field that commands something else than joints.
    """
    found = []
    for field in spec.command:
        quantity = quantity_of(field.name, field.unit, None)
        for joint, low, high in zip(_joints(field.name, field.labels), field.low, field.high, strict=True):
            found.append(JointCommand(joint, quantity, low, high, field.unit in ("m", "m/s", "N")))
    return found


def quantity_of(name: str, unit: str, given: Mapping[str, Quantity] | None) -> Quantity:
    """Position, velocity or effort, as given or as the unit says.

    Raises:
        ConfigError: neither of them.
    """
    found: Any = (given or {}).get(name) or _UNITS.get(unit)
    if found not in get_args(Quantity):
        raise ConfigError(f"robot: unit of '{name}'", unit, f"one of joints, {', '.join(_UNITS)}")
    quantity: Quantity = found
    return quantity


def _joints(name: str, labels: Sequence[str]) -> Sequence[str]:
    if not labels:
        raise ConfigError(f"robot: '{name}'", None, "names or labels of joints: joints are all that this stand-in has")
    return labels


def build(joints: Sequence[str], commands: Sequence[JointCommand]) -> Any:
    """The model: one body, one joint and one servo for each."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep, spec.option.gravity = _STEP_S, [0.0, 0.0, 0.0]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    places = {one.joint: one for one in commands if one.quantity == "position"}
    pushed = {one.joint for one in commands if one.quantity == "effort"}
    slides = {one.joint for one in commands if one.slides}
    for i, name in enumerate(joints):
        body = spec.worldbody.add_body(name=name, pos=[0.1 * i, 0.0, 0.0])
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0.0, 0.0, 0.0, 0.0, 0.0, 0.05],
            size=[0.01, 0.0, 0.0],
            mass=1e-3,
            contype=0,
            conaffinity=0,
        )
        joint = body.add_joint(name=name, axis=[0.0, 1.0, 0.0], armature=_INERTIA)
        joint.type = mujoco.mjtJoint.mjJNT_SLIDE if name in slides else mujoco.mjtJoint.mjJNT_HINGE
        joint.damping[0] = _DAMPING if name in pushed else 0.0
        if name in places:
            joint.limited, joint.range = mujoco.mjtLimited.mjLIMITED_TRUE, [places[name].low, places[name].high]
    for i, one in enumerate(commands):
        actuator = spec.add_actuator(name=f"{i}", target=one.joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        stiff, damp = _INERTIA * BANDWIDTH**2, 2 * _INERTIA * BANDWIDTH
        gain, bias = {
            "position": (stiff, (0.0, -stiff, -damp)),
            "velocity": (damp, (0.0, 0.0, -damp)),
            "effort": (1.0, (0.0, 0.0, 0.0)),
        }[one.quantity]
        actuator.gainprm[0], actuator.biasprm[:3] = gain, bias
    return spec.compile()
