"""The text of the first files of a robot: what was found, and beside each number where it is from."""

import json
import math
import re
from collections.abc import Iterable, Sequence

from rlpd_robot.errors import DataError
from rlpd_robot.robot.findings import Findings
from rlpd_robot.robot.rosbridge.settings import FLOAT_ARRAY, JOINT_STATE, TRAJECTORY, TWIST
from rlpd_robot.run.robot_init.draft import AROUND, Draft
from rlpd_robot.spec import Field, RobotSpec

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # that YAML takes for something else
_SLOW = 0.9  # margin on published speeds, to begin with
_MADE = (
    "# Written by `rlpd-robot robot-init` from what the robot said. NOT TRIED: read each line before anything moves."
)

_ORDER = "# THE ORDER OF JOINTS IS A GUESS: this controller reads by order, and nobody told it. See its own list."


def ros_robot(name: str, draft: Draft, found: Findings) -> str:
    """`robot/NAME.yaml` of a robot behind rosbridge."""
    unit, joints = draft.axes[0].unit, [axis.name for axis in draft.axes]
    thinned = f", throttle_ms: {draft.throttle_ms}" if draft.throttle_ms else ""
    names = "*joints"
    lines = [
        "# @package _global_",
        f"# {name}: {len(joints)} joints behind rosbridge, ROS {draft.ros}.",
        _MADE,
        f"# States: {_line(draft.state.topic)} at {draft.state.rate_hz:.0f} Hz. Limits: "
        + ("the URDF in /robot_description." if found.urdf else "there is no URDF."),
        *(f"# Also takes commands: {_line(topic)} ({kind})" for topic, kind in draft.others),
        *([_ORDER] if draft.type == FLOAT_ARRAY and not draft.order_known else []),
        *(f"# Left out: {_line(what)}" for what in draft.left_out),
        "# Keys of the driver: docs/rosbridge.md. Then: rlpd-robot doctor robot=" + name,
        "defaults:",
        f"  - override /safety: {name}",
        "robot:",
        f"  name: {name}",
        "  driver:",
        "    _target_: rlpd_robot.robot.rosbridge.driver.RosbridgeDriver",
        "    address: ${link.robot}",
        "    insecure: ${link.insecure}",
        f"    name: {name}",
        f"    period_s: {draft.period_s:g}  # [s] of control",
        f"    ros: {draft.ros}",
        "    subscribe:",
        f"      {_text(draft.state.topic)}: {{type: {JOINT_STATE}, max_age_s: {_age(draft):g}{thinned}}}",
        "    state:",
        "      joint_position:",
        f"        topic: {_text(draft.state.topic)}",
        "        path: position",
        f"        unit: {unit}",
        f"        names: &joints {_list(joints)}",
    ]
    for there, path, its_unit in (
        (draft.state.has_velocity, "velocity", f"{unit}/s"),
        (draft.state.has_effort, "effort", "N m" if unit == "rad" else "N"),
    ):
        if there:
            topic = _text(draft.state.topic)
            lines.append(f"      joint_{path}: {{topic: {topic}, path: {path}, unit: {its_unit}, names: {names}}}")
    lines += ["    publish:", f"      {_text(draft.command)}:", f"        type: {draft.type}", *_echo(draft)]
    home = _numbers(min(max(axis.stands, axis.low), axis.high) for axis in draft.axes)
    lines += [
        "    command:",
        "      joint_target:",
        f"        topic: {_text(draft.command)}",
        f"        unit: {unit}",
        f"        names: {names}",
        f"        low: {_numbers(axis.low for axis in draft.axes)}",
        f"        high: {_numbers(axis.high for axis in draft.axes)}",
        "        measured: joint_position",
        "    # e_stop: {topic: /e_stop, type: std_msgs/Bool, path: data, value: true}  # where the robot has one",
        "    reset:  # where it stood when this was written: choose your own",
        *_switch(draft, found),
        f"      - home: {{target: {{joint_target: {home}}}, speed: 0.1, tolerance: 0.05}}",
        "    stop: []  # holds the measured positions; add steps (call, say) of your robot's own",
        "  cameras: {}  # by name; none can be set as yet",
    ]
    return "\n".join(lines) + "\n"


def ros_safety(name: str, draft: Draft) -> str:
    """`safety/NAME.yaml` of a robot behind rosbridge."""
    unit, axes = draft.axes[0].unit, draft.axes
    urdf = "the URDF in /robot_description"
    unknown = [axis.name for axis in axes if not axis.from_urdf]
    ranges = urdf if not unknown else f"{urdf}; {AROUND:g} {unit} around where it stood for {', '.join(unknown)}"
    if len(unknown) == len(axes):
        ranges = f"{AROUND:g} {unit} around where it stood: nothing was published"
    speeds = [axis.velocity for axis in axes]
    told = all(speed is not None for speed in speeds)
    speed = _numbers(s for s in speeds if s is not None) if told else "0.1"
    margin = 0.05 * min(axis.high - axis.low for axis in axes)
    hard = (_numbers(axis.low - margin for axis in axes), _numbers(axis.high + margin for axis in axes))
    entries = {
        "max_speed": (
            speed,
            f"{unit}/s",
            _SLOW if told else 0.0,
            urdf if told else "chosen here, nothing is published",
        ),
        "max_acceleration": ("1.0", f"{unit}/s²", 0.0, "chosen here, nothing is published"),
        "max_jerk": ("20.0", f"{unit}/s³", 0.0, "chosen here, nothing is published"),
        "max_step": ("0.1", unit, 0.0, "chosen here"),
    }
    return _safety(
        name,
        {"joint_target": "joint_position"},
        {"joint_target": f"{{unit: {unit}, margin: 0.05, source: {json.dumps(ranges)}}}"},
        {key: {"joint_target": _entry(*entry)} for key, entry in entries.items()},
        {"joint_position": _hard(*hard, unit, "the range above, and a little around it")},
    )


def zmq_robot(name: str, spec: RobotSpec) -> str:
    """`robot/NAME.yaml` of a robot behind our own protocol."""
    fields = ", ".join(f"{f.name} ({f.size}) [{f.unit}]" for f in spec.command)
    lines = [
        "# @package _global_",
        f"# {name}: calls itself {_line(spec.name)}, {1 / spec.period_s:g} Hz, behind the robot wire protocol.",
        _MADE,
        f"# Commands: {_line(fields)}. It describes itself: joints and ranges are its own.",
        f"# Then: rlpd-robot doctor robot={name}",
        "defaults:",
        f"  - override /safety: {name}",
        "robot:",
        f"  name: {name}",
        "  driver:",
        "    _target_: rlpd_robot.robot.zmq_driver.ZmqDriver",
        "    address: ${link.robot}",
        "    security:",
        "      _target_: rlpd_robot.wire.security.Security",
        "      keys: ${link.keys}",
        "      insecure: ${link.insecure}",
        "  cameras: {}  # by name; none can be set as yet",
    ]
    return "\n".join(lines) + "\n"


def zmq_safety(name: str, spec: RobotSpec) -> str:
    """`safety/NAME.yaml` of a robot behind our own protocol: slow, and inside its own ranges."""
    measured = {f.name: found for f in spec.command if (found := _measuring(f, spec)) is not None}
    ranges = {f.name: f'{{unit: {_unit(f.unit)}, margin: 0.05, source: "its own description"}}' for f in spec.command}
    rates = {
        key: {f.name: _entry(_share(f, part), _over_time(f.unit, order), 0.0, "chosen here") for f in spec.command}
        for key, part, order in (
            ("max_speed", 0.1, 1),
            ("max_acceleration", 1.0, 2),
            ("max_jerk", 20.0, 3),
            ("max_step", 0.1, 0),
        )
    }
    hard = {}
    for f in spec.command:
        if f.name in measured:
            around = [0.05 * (high - low) for low, high in zip(f.low, f.high, strict=True)]
            ends = (
                _numbers(low - a for low, a in zip(f.low, around, strict=True)),
                _numbers(high + a for high, a in zip(f.high, around, strict=True)),
            )
            hard[measured[f.name]] = _hard(*ends, f.unit, "its own range, and a little around it")
    return _safety(name, measured if len(measured) == len(spec.command) else {}, ranges, rates, hard)


def _safety(
    name: str, measured: dict[str, str], ranges: dict[str, str], rates: dict[str, dict[str, str]], hard: dict[str, str]
) -> str:
    lines = [
        f"# First limits of {name}: slow. Widen one number at a time.",
        _MADE,
        "# Keys: docs/safety.md.",
        f"name: {name}",
    ]
    blocks = {"measured": measured, "range": ranges, **rates, "hard": hard}
    for key, entries in blocks.items():
        if entries:
            lines += [f"{key}:", *(f"  {field}: {entry}" for field, entry in entries.items())]
    if not measured:
        lines.append("# measured: say which state field measures each command field; nothing starts without.")
    return "\n".join([*lines, 'source: "the robot itself, and what is chosen here"']) + "\n"


def _echo(draft: Draft) -> list[str]:
    topic, kind = _text(draft.command), draft.type
    ways = {
        TRAJECTORY: "path: points.0.positions, names_path: joint_names",
        JOINT_STATE: "path: position, names_path: name",
        FLOAT_ARRAY: "path: data",
    }
    first = ["        time_from_start: 2  # [control periods]"] if kind == TRAJECTORY else []
    echo = [f"        echo: {{topic: {topic}, type: {kind}, {ways[kind]}}}"] if kind != TWIST else []
    return [*first, *echo]


def _switch(draft: Draft, found: Findings) -> list[str]:
    """The controller that listens must run, and no other that holds the same joints."""
    mine = next((one for one in found.controllers if f"/{one.name}/" in draft.command), None)
    if mine is None:
        return []
    joints = {axis.name for axis in draft.axes}
    others = [one.name for one in found.controllers if one is not mine and joints & set(one.joints)]
    return [f"      - switch: {{start: {_list([mine.name])}, stop: {_list(others)}}}"]


def _measuring(of: Field, spec: RobotSpec) -> str | None:
    """The state field that measures a command field: of its size, unit and labels; None when several or none do."""
    fits = [f for f in spec.state if (f.size, f.unit) == (of.size, of.unit) and (not f.labels or f.labels == of.labels)]
    named = [f for f in fits if "position" in f.name] if len(fits) > 1 else fits
    return named[0].name if len(named) == 1 else None


def _age(draft: Draft) -> float:
    return max(0.1, 2 * draft.period_s)


def _share(of: Field, part: float) -> str:
    """A part of the smallest range of its elements."""
    return _number(part * min(high - low for low, high in zip(of.low, of.high, strict=True)))


def _over_time(unit: str, order: int) -> str:
    base, order = (unit[:-2], order + 1) if unit.endswith("/s") else (unit, order)
    return base + ("", "/s", "/s²", "/s³", "/s⁴")[order]


def _entry(limit: str, unit: str, margin: float, source: str) -> str:
    return f"{{limit: {limit}, unit: {_unit(unit)}, margin: {margin:g}, source: {json.dumps(source)}}}"


def _hard(low: str, high: str, unit: str, source: str) -> str:
    return f"{{low: {low}, high: {high}, unit: {_unit(unit)}, margin: 0, source: {json.dumps(source)}}}"


def _number(value: float) -> str:
    text = f"{value:.6g}"
    return text if "." in text or "e" in text or not math.isfinite(value) else f"{text}.0"


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(map(_number, values)) + "]"


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, names)) + "]"


def _text(text: str) -> str:
    """A name as YAML takes it. What a robot calls its joints is not to be trusted: it stays a name.

    Raises:
        DataError: it would be taken for a reference to another setting.
    """
    if "${" in text:
        raise DataError("Robot", f"it uses the name {text[:60]!r}", "names without '${'")
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def _unit(unit: str) -> str:
    """As `_text`, without quotes around what units are made of."""
    return unit if re.fullmatch(r"[A-Za-z][A-Za-z /²³⁴]*", unit) else _text(unit)


def _line(text: str) -> str:
    """Some of a foreign text for a comment, on one line."""
    return "".join(one if one.isprintable() else " " for one in text)[:200]
