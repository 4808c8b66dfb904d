"""What one robot of a kind has otherwise than the model: gains, damping, friction, masses, places and delays."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError

Array = NDArray[np.float64]

KEY = "sim.twin"

_JOINT_KEYS = ("gain", "damping", "friction")


@dataclass(frozen=True)
class Twin:
    """One robot, as `rlpd-robot identify` found it. Joints that are not named are those of the model.

    Attributes:
        gain, damping: by joint, as factors of the model's.
        friction: by joint, dry friction in place of the model's [N m, N].
        command_delay_s: from a command to the motors [s].
    """

    gain: Mapping[str, float] = field(default_factory=dict)
    damping: Mapping[str, float] = field(default_factory=dict)
    friction: Mapping[str, float] = field(default_factory=dict)
    command_delay_s: float = 0.0

    @staticmethod
    def load(path: Path) -> "Twin":
        """From a file `{robot, command_delay_s, joints: {NAME: {gain, damping, friction}}}`.

        Raises:
            ConfigError: no such file, no YAML, or values that mean nothing.
        """
        try:
            found = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(KEY, str(path), f"a file that `rlpd-robot identify` wrote ({reason})") from error
        known = ("robot", "command_delay_s", "joints")
        if not isinstance(found, Mapping) or not set(found) <= set(known):
            raise ConfigError(KEY, str(path), f"a file of the keys {', '.join(known)}")
        joints = found.get("joints") or {}
        if not isinstance(joints, Mapping) or not all(isinstance(one, Mapping) for one in joints.values()):
            raise ConfigError(f"{KEY}: joints", joints, f"by joint, some of {', '.join(_JOINT_KEYS)}")
        by_key: dict[str, dict[str, float]] = {key: {} for key in _JOINT_KEYS}
        for name, one in joints.items():
            for key, value in one.items():
                if key not in _JOINT_KEYS:
                    raise ConfigError(f"{KEY}: joints.{name}.{key}", value, f"one of {', '.join(_JOINT_KEYS)}")
                by_key[key][str(name)] = _number(f"joints.{name}.{key}", value, key != "friction")
        delay_s = _number("command_delay_s", found.get("command_delay_s", 0.0), False)
        return Twin(**by_key, command_delay_s=delay_s)


def _number(where: str, value: Any, positive: bool) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (positive and value == 0):
        raise ConfigError(f"{KEY}: {where}", value, "a number above 0" if positive else "a number of at least 0")
    return float(value)


@dataclass(frozen=True, eq=False)
class Change:
    """What differs from the model in one episode. None: nothing.

    Attributes:
        mass: (bodies,) factors, of the inertia as well.
        friction: (geoms,) factors of the sliding friction.
        damping: (freedoms,) factors.
        joint_friction: (freedoms,) added dry friction [N m, N].
        gain: (C,) factors.
        base: (3,) by which the hand is mounted elsewhere [m].
        tracker: (3,) by which trackers of objects are wrong [m].
        start: (C,) by which the joints start elsewhere [rad, m]; none beyond its range.
        command_delay_s: from a command to the motors, beside the twin's [s].
        observation_delay: of all readings [control periods].
    """

    mass: Array | None = None
    friction: Array | None = None
    damping: Array | None = None
    joint_friction: Array | None = None
    gain: Array | None = None
    base: Array | None = None
    tracker: Array | None = None
    start: Array | None = None
    command_delay_s: float = 0.0
    observation_delay: int = 0


class Physics:
    """The parameters of one loaded model, and the way back to them.

    Args:
        model: to be changed.
        twin: what holds in all episodes.

    Raises:
        ConfigError: the twin names a joint that the model does not move.
    """

    def __init__(self, model: Any, twin: Twin | None = None) -> None:
        self._model = model
        self.delay_s = 0.0 if twin is None else twin.command_delay_s
        if twin is not None:
            self._become(twin)
        self._nominal = {f.name: view.copy() for f in fields(Change) if (view := self._view(f.name)) is not None}
        self._scratch: Any = None
        self._inertia, self._bias = model.body_inertia.copy(), model.actuator_biasprm.copy()

    def apply(self, change: Change) -> None:
        """Nominal parameters with this change."""
        for name, nominal in self._nominal.items():
            wanted, view = getattr(change, name), self._view(name)
            assert view is not None
            if wanted is None:
                view[:] = nominal
            else:
                view[:] = nominal + wanted if name in ("joint_friction", "base") else nominal * wanted
        model, mass, gain = self._model, change.mass, change.gain
        model.body_inertia[:] = self._inertia if mass is None else self._inertia * mass[:, None]
        model.actuator_biasprm[:] = self._bias if gain is None else self._bias * gain[:, None]
        self._scratch = self._scratch or mujoco.MjData(model)
        mujoco.mj_setConst(model, self._scratch)  # what MuJoCo derives from masses and places

    def _view(self, name: str) -> Array | None:
        """Of the model; None for what is not of it."""
        model = self._model
        views: dict[str, Array] = {
            "mass": model.body_mass,
            "friction": model.geom_friction[:, 0],
            "damping": model.dof_damping,
            "joint_friction": model.dof_frictionloss,
            "gain": model.actuator_gainprm[:, 0],
            "base": model.body_pos[model.body("forearm").id],
        }
        return views.get(name)

    def _become(self, twin: Twin) -> None:
        model = self._model
        names = [model.joint(i).name for i in range(model.nu)]  # the actuated ones, which are the model's first
        for key in _JOINT_KEYS:
            for name, value in getattr(twin, key).items():
                if name not in names:
                    raise ConfigError(f"{KEY}: joints", name, f"some of {', '.join(names)}")
                i = names.index(name)
                if key == "gain":
                    model.actuator_gainprm[i, 0] *= value
                    model.actuator_biasprm[i] *= value
                elif key == "damping":
                    model.dof_damping[i] *= value
                else:
                    model.dof_frictionloss[i] = value


class Delay:
    """Commands on their way to the motors, physics step by physics step.

    A delay that is no whole number of steps mixes two neighbouring commands, so that what is fitted to it is smooth.

    Args:
        steps: of physics.
        target: (C,) that holds before the first command.
    """

    def __init__(self, steps: float, target: Array) -> None:
        self._whole = int(steps)
        self._part = steps - self._whole
        self._told: deque[Array] = deque(maxlen=self._whole + 2)
        self.fill(target)

    def fill(self, target: Array) -> None:
        """Forget what is on the way: this one holds at once."""
        self._told.extend([np.array(target)] * (self._whole + 2))

    def passes(self, target: Array) -> Array:
        """(C,) what reaches the motors in this step, when they are told this."""
        self._told.append(target)
        newer, older = self._told[1], self._told[0]
        return (1 - self._part) * newer + self._part * older
