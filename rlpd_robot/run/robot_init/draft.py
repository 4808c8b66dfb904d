"""From what a running robot told to the fields of its first files. Pure.

What is not known is never guessed wide: a joint without limits gets a tenth of a radian around where it stands.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.robot.findings import Findings, JointTopic
from rlpd_robot.robot.urdf import Joint, parse_urdf

AROUND = 0.1
"""Half of the range of a joint without limits [rad, m]."""

_FASTEST_HZ = 100.0  # above that, messages are thinned out
_PERIOD_S = 0.05
_SCALE = 10_000  # limits are written with so many parts of a unit


@dataclass(frozen=True)
class Axis:
    """One joint that is commanded.

    Attributes:
        low, high: [unit], rounded inwards.
        velocity: the URDF's [unit/s]; none where it says nothing.
        from_urdf: whether the range is the URDF's.
        stands: where it stood [unit].
    """

    name: str
    unit: str
    low: float
    high: float
    velocity: float | None
    from_urdf: bool
    stands: float


@dataclass(frozen=True)
class Draft:
    """What the files say.

    Attributes:
        axes: joints in the order of the command; all of one unit.
        state: topic of their states.
        command, type: topic of commands and its type.
        others: (topic, type) of other topics that take commands.
        left_out: joints that are not commanded here, and why.
        order_known: whether the controller itself told the order of its joints.
    """

    ros: int
    axes: tuple[Axis, ...]
    state: JointTopic
    command: str
    type: str
    others: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    period_s: float
    throttle_ms: int
    order_known: bool


def draft(found: Findings, topic: str) -> Draft:
    """One robot file.

    Args:
        topic: that takes commands; "": the likeliest.

    Raises:
        ConfigError: nothing takes commands, or not this topic.
        DataError: the robot's description is none; no joint can be commanded.
    """
    kinds = dict(found.commands)
    if not found.commands or (topic and topic not in kinds):
        there = ", ".join(f"{name} ({kind})" for name, kind in found.commands) or "nobody listens to any"
        raise ConfigError("topic", topic or None, f"one that takes commands: {there}")
    command = topic or found.commands[0][0]
    joints = parse_urdf(found.urdf) if found.urdf else {}
    wanted = _controlled(found, command)
    state = max(found.states, key=lambda one: (len(set(wanted) & set(one.names)), one.has_velocity, one.rate_hz))
    names, left_out = _choose(wanted, state, joints)
    axes = [_axis(name, joints.get(name), state.position[name]) for name in names]
    unit = axes[0].unit
    left_out += [f"{axis.name} (in {axis.unit})" for axis in axes if axis.unit != unit]
    rate = state.rate_hz
    slow_s = math.ceil(100 / rate) / 100 if rate > 0 else _PERIOD_S
    return Draft(
        ros=found.ros,
        axes=tuple(axis for axis in axes if axis.unit == unit),
        state=state,
        command=command,
        type=kinds[command],
        others=tuple(one for one in found.commands if one[0] != command),
        left_out=tuple(left_out),
        period_s=max(_PERIOD_S, slow_s),
        throttle_ms=10 if rate > _FASTEST_HZ else 0,
        order_known=bool(wanted),
    )


def _controlled(found: Findings, command: str) -> tuple[str, ...]:
    """Joints of the controller that listens to this topic, where controller_manager tells."""
    for one in found.controllers:
        if one.joints and f"/{one.name}/" in command:
            return one.joints
    return ()


def _choose(wanted: tuple[str, ...], state: JointTopic, joints: Mapping[str, Joint]) -> tuple[list[str], list[str]]:
    """Joints to command, in the controller's order or the messages', and what is left out, with the reason."""
    names, left_out = [], []
    for name in wanted or state.names:
        joint = joints.get(name)
        if name not in state.position:
            left_out.append(f"{name} (its position is not published)")
        elif joints and joint is None:
            left_out.append(f"{name} (not in the URDF)")
        elif joint is not None and not joint.commanded:
            left_out.append(f"{name} ({f'follows {joint.mimics}' if joint.mimics else joint.kind})")
        else:
            names.append(name)
    if not names:
        raise DataError("Robot", f"it has no joint to command: {', '.join(left_out) or 'none at all'}", "one at least")
    if not wanted:
        left_out += [
            f"{name} (not in {state.topic})" for name, j in joints.items() if j.commanded and name not in state.names
        ]
    return names, left_out


def _axis(name: str, joint: Joint | None, stands: float) -> Axis:
    limit = joint.limit if joint is not None else None
    unit = joint.unit if joint is not None else "rad"
    low, high = (limit.lower, limit.upper) if limit is not None else (None, None)
    if low is not None and high is not None:
        return Axis(name, unit, _up(low), _down(high), limit.velocity if limit else None, True, stands)
    velocity = limit.velocity if limit is not None else None
    return Axis(name, unit, _up(stands - AROUND), _down(stands + AROUND), velocity, False, stands)


def _up(value: float) -> float:
    return math.ceil(value * _SCALE - 1e-6) / _SCALE


def _down(value: float) -> float:
    return math.floor(value * _SCALE + 1e-6) / _SCALE
