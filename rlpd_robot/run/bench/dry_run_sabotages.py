"""What is done to a robot or its settings in secret, and which check of a dry run must name it.

Of `robot=adroit_door task=door`, with a policy that `make run` trained.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    """One of them.

    Attributes:
        name: for people.
        words: that do it, after those of the dry run.
        check: that must fail.
        told: part of what it must say.
    """

    name: str
    words: tuple[str, ...]
    check: str
    told: str = ""


def _script(*entries: str) -> tuple[str, ...]:
    return (f"sim.faults.script=[{', '.join(entries)}]",)


_ROSBRIDGE = "robot=adroit_door_rosbridge"
_JOINTS = (
    "ARRx, ARRy, ARRz, WRJ1, WRJ0, FFJ3, FFJ2, FFJ1, FFJ0, MFJ3, MFJ2, MFJ1, MFJ0, RFJ3, RFJ2, RFJ1, RFJ0, "
    "LFJ4, LFJ3, LFJ2, LFJ1, LFJ0, THJ4, THJ3, THJ2, THJ1, THJ0"
)
_SWAPPED = _JOINTS.replace("WRJ1, WRJ0, FFJ3", "WRJ0, WRJ1, FFJ3")
_ALIKE = _JOINTS.replace("FFJ2, FFJ1", "FFJ1, FFJ2")  # of one range

SABOTAGES = (
    # joint order, names, signs, units
    Sabotage("readings one place further", _script("{kind: wrong_order}"), "joint order", "in the wrong order"),
    Sabotage(
        "two joints swapped in the robot's file",
        (_ROSBRIDGE, f"robot.driver.command.joint_target.names=[{_SWAPPED}]"),
        "policy's robot",
        "joint_target",
    ),
    Sabotage(
        "two joints swapped under their old names",
        (
            _ROSBRIDGE,
            f"+robot.driver.command.joint_target.labels=[{_JOINTS}]",
            f"robot.driver.command.joint_target.names=[{_ALIKE}]",
        ),
        "joint order",
        "in the wrong order",
    ),
    Sabotage(
        "two joints of different ranges swapped under their old names",
        (
            _ROSBRIDGE,
            f"+robot.driver.command.joint_target.labels=[{_JOINTS}]",
            f"robot.driver.command.joint_target.names=[{_SWAPPED}]",
        ),
        "commands within limits",
        "refused",
    ),
    Sabotage(
        "an encoder mounted backwards",
        (_ROSBRIDGE, "+robot.driver.state.joint_position.scale=-1"),
        "joint order",
        "the wrong way round",
    ),
    Sabotage(
        "degrees for radians", (_ROSBRIDGE, "+robot.driver.state.joint_position.scale=57.3"), "training range", "%"
    ),
    Sabotage("a sensor's zero", _script("{kind: bias, offset: 0.5}"), "training range", "%"),
    # rate, delay
    Sabotage("half the rate", (_ROSBRIDGE, "robot.driver.period_s=0.02"), "policy's robot", "0.02"),
    Sabotage("a slow link", _script("{kind: latency, delay_s: 0.009}"), "command age", "p99"),
    Sabotage("motors that follow late", _script("{kind: actuator_delay, periods: 12}"), "success", "of"),
    # limits
    Sabotage("the limits of another task", ("safety=adroit_careful",), "filter interventions", "%"),
    Sabotage(
        "limits beyond the robot's own",
        ("+safety.range={joint_target: {low: -9, high: 9, unit: rad, margin: 0.0, source: wishes}}",),
        "safety limits",
    ),
    Sabotage("motors too weak", _script("{kind: gain, factor: 0.3}"), "success", "of"),
    # what it is, what it tells
    Sabotage("another robot's policy", ("robot=adroit_pen", "task=pen"), "policy's robot", "on this robot"),
    # a policy that sees nothing new says nothing new, and then the robot may well stand still
    Sabotage("frozen sensors", _script("{kind: frozen}"), "undisturbed (random)", "frozen sensor"),
    Sabotage("a broken sensor", _script("{kind: nan, fields: [palm_position]}"), "undisturbed", "non-finite number"),
    Sabotage("its controller has stopped it", _script("{kind: reflex, at_s: 3}"), "undisturbed", "reflex"),
)
