"""What stands before the hand in each Adroit task: which state fields its trackers report, and how a reset places it.

Models, placements and ranges are those of gymnasium-robotics (AdroitHand*-v1), drawn in its order from the same random
generator, so that `reset(seed=s)` gives the same scene here and there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.spec import Field

Array = NDArray[np.float64]
XYZ = ("x", "y", "z")


@dataclass(frozen=True)
class Sensor:
    """One state field and the call that measures it, which returns a fresh array."""

    field: Field
    read: Callable[[], Array]


@dataclass(frozen=True)
class Scene:
    """The objects of one task inside one loaded model.

    Attributes:
        sensors: object and target fields, as a tracker would report them.
        placement: writable views of the model that a reset moves; with the joint positions they are the whole picture.
        randomize: moves `placement` for a new episode.
    """

    sensors: tuple[Sensor, ...]
    placement: tuple[Array, ...]
    randomize: Callable[[np.random.Generator], None]


def measure(name: str, unit: str, view: Array, labels: tuple[str, ...] = ()) -> Sensor:
    """A sensor that copies a view of the simulator's memory."""
    return Sensor(Field(name, view.shape, "float64", unit, labels=labels), view.copy)


def point(name: str, view: Array) -> Sensor:
    """A sensor of a point (3,) [m] in the world frame."""
    return measure(name, "m", view, XYZ)


def _joint(model: Any, data: Any, name: str) -> Array:
    """0-d view of one joint's position."""
    address = int(model.joint(name).qposadr[0])
    view: Array = data.qpos[address : address + 1].reshape(())
    return view


def _object_velocities(data: Any) -> tuple[Sensor, Sensor]:
    """Linear velocity and Euler-angle rates of the object, whose six joints are the last of the model."""
    return (
        measure("object_velocity", "m/s", data.qvel[-6:-3], XYZ),
        measure("object_euler_rate", "rad/s", data.qvel[-3:], XYZ),
    )


def door(model: Any, data: Any) -> Scene:
    """A door with a latch; the frame is moved by up to 5 cm in each direction."""
    frame = model.body_pos[model.body("frame").id]

    def randomize(rng: np.random.Generator) -> None:
        frame[0] = rng.uniform(-0.3, -0.2)
        frame[1] = rng.uniform(0.25, 0.35)
        frame[2] = rng.uniform(0.252, 0.35)

    return Scene(
        sensors=(
            point("handle_position", data.site_xpos[model.site("S_handle").id]),
            measure("door_angle", "rad", _joint(model, data, "door_hinge")),
            measure("latch_angle", "rad", _joint(model, data, "latch")),
        ),
        placement=(frame,),
        randomize=randomize,
    )


def pen(model: Any, data: Any) -> Scene:
    """A pen lying in the hand, and a target pen beside it, tilted by up to 1 rad about x and y."""
    target = model.body_quat[model.body("target").id]

    def randomize(rng: np.random.Generator) -> None:
        roll, pitch = rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0)
        target[:] = roll_pitch_quaternion(roll, pitch)

    return Scene(
        sensors=(
            point("object_position", data.xpos[model.body("Object").id]),
            *_object_velocities(data),
            _direction("object_direction", model, data, "object_bottom", "object_top"),
            point("target_position", data.site_xpos[model.site("eps_ball").id]),
            _direction("target_direction", model, data, "target_bottom", "target_top"),
        ),
        placement=(target,),
        randomize=randomize,
    )


def relocate(model: Any, data: Any) -> Scene:
    """A ball on the table and a target in the air."""
    ball = model.body_pos[model.body("Object").id]
    target = model.site_pos[model.site("target").id]

    def randomize(rng: np.random.Generator) -> None:
        ball[0] = rng.uniform(-0.15, 0.15)
        ball[1] = rng.uniform(-0.15, 0.3)
        target[0] = rng.uniform(-0.2, 0.2)
        target[1] = rng.uniform(-0.2, 0.2)
        target[2] = rng.uniform(0.15, 0.35)

    return Scene(
        sensors=(
            point("object_position", data.xpos[model.body("Object").id]),
            point("target_position", data.site_xpos[model.site("target").id]),
        ),
        placement=(ball, target),
        randomize=randomize,
    )


def hammer(model: Any, data: Any) -> Scene:
    """A hammer beside the hand and a board with a nail, at a height of 10 to 25 cm."""
    board = model.body_pos[model.body("nail_board").id]
    impact = int(model.sensor("S_nail").adr[0])

    def randomize(rng: np.random.Generator) -> None:
        board[2] = rng.uniform(0.1, 0.25)

    return Scene(
        sensors=(
            point("object_position", data.xpos[model.body("Object").id]),
            measure("object_orientation", "-", data.xquat[model.body("Object").id], ("w", *XYZ)),
            *_object_velocities(data),
            point("nail_position", data.site_xpos[model.site("S_target").id]),
            point("nail_goal_position", data.site_xpos[model.site("nail_goal").id]),
            measure("nail_depth", "m", _joint(model, data, "nail_dir")),
            measure("nail_impact", "N", data.sensordata[impact : impact + 1].reshape(())),
        ),
        placement=(board,),
        randomize=randomize,
    )


def roll_pitch_quaternion(roll: float, pitch: float) -> Array:
    """(4,) w, x, y, z of a turn by roll about x, then by pitch about the turned y [rad]."""
    cr, sr, cp, sp = np.cos(roll / 2), np.sin(roll / 2), np.cos(pitch / 2), np.sin(pitch / 2)
    return np.array([cp * cr, cp * sr, sp * cr, sp * sr])


def _direction(name: str, model: Any, data: Any, bottom: str, top: str) -> Sensor:
    """A sensor of the unit vector (3,) from one site to another."""
    low, high = data.site_xpos[model.site(bottom).id], data.site_xpos[model.site(top).id]

    def read() -> Array:
        difference: Array = high - low
        return difference / math.sqrt(difference @ difference)

    return Sensor(Field(name, (3,), "float64", "-", labels=XYZ), read)


SCENES: Mapping[str, Callable[[Any, Any], Scene]] = MappingProxyType(
    {"door": door, "hammer": hammer, "pen": pen, "relocate": relocate}
)
