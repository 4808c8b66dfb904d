"""What `rlpd-robot identify` needs of a model whose parameters it fits; `robot.model` in YAML names one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.spec import RobotSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parameters:
    """One robot of a kind.

    Attributes:
        gain, damping: (C,) factors of the model's.
        friction: (C,) dry friction [N m, N].
        delay_s: from a command to the motors [s].
    """

    gain: Floats
    damping: Floats
    friction: Floats
    delay_s: float


@dataclass(frozen=True, eq=False)
class Recording:
    """One stretch of a recorded robot, from its rest.

    Attributes:
        commands: (N, C) in the command's units.
        places: (N + 1, C) of the commanded joints, in the same units; NaN where a joint was not observed.
    """

    commands: Floats
    places: Floats


class Model(Protocol):
    """Simulates a robot with other parameters than its own.

    Attributes:
        spec: of the robot.
        joints: (C,) names of the commanded joints.
        friction: (C,) dry friction of the model as it is [N m, N].
        related: (C, C) whether one of two joints carries the other.
        effort: (C,) that a motor exerts at half of its range, by its gain [N m, N]: the scale of friction.
    """

    spec: RobotSpec
    joints: tuple[str, ...]
    friction: Floats
    related: NDArray[np.bool_]
    effort: Floats

    def read(self) -> Mapping[str, NDArray[Any]]:
        """A state, as the spec says."""

    def follow(
        self,
        gain: Floats,
        damping: Floats,
        friction: Floats,
        delay_s: float,
        commands: Floats,
        places: Floats,
        window: int,
    ) -> Floats:
        """(N + 1, C) places of the joints as simulated.

        Every `window` periods the recorded places take the place of the simulated ones, for the joints that were
        observed: errors do not add up, and contacts that the model lacks are forgotten. Velocities go on as simulated,
        since those of a quick joint cannot be told from its places.

        Args:
            gain, damping, friction, delay_s: see `Parameters`.
            commands, places: see `Recording`.
            window: [control periods].
        """
