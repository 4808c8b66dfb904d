"""What can be told of a robot behind rosbridge without moving it; see `robot/diagnosis.py`.

Everything is asked through the server's /rosapi, all of it, where a driver would stop at the first thing that is wrong.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rlpd_robot.errors import DataError, PeerTimeoutError
from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict, reach
from rlpd_robot.robot.rosbridge.settings import plain_type
from rlpd_robot.robot.urdf import limits_of, parse_urdf

BRIDGE = "rosbridge"
"""In the name of the server's own node."""

DESCRIPTION = "/robot_description"
Ask = Callable[[str, Mapping[str, Any]], tuple[bool, Any]]
"""`ask(service, args)`: whether it succeeded, its values or its complaint. Raises PeerTimeoutError."""

_CLOCKS_S = 0.05  # that two clocks may differ by before somebody should look
_ROUNDS = 5


def reachable(url: str, timeout_s: float) -> Verdict:
    """Whether anybody listens there."""
    parts = urlsplit(url)
    return reach(parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80), timeout_s)


def graph_verdicts(ask: Ask, heard: Mapping[str, str], told: Mapping[str, str]) -> list[Verdict]:
    """Topics, types, publishers and listeners.

    Args:
        heard: topic → type of all that the driver listens to.
        told: topic → type of all that it publishes.
    """
    good, values = ask("/rosapi/topics", {})
    if not good or not isinstance(values, Mapping):
        remedy = "Start rosapi_node beside rosbridge (its launch file does)."
        return [Verdict("topics", Outcome.FAIL, f"/rosapi/topics does not answer ({str(values)[:80]})", remedy)]
    types = dict(zip(values.get("topics", []), map(plain_type, map(str, values.get("types", []))), strict=False))
    return [
        _topics(types, heard, told),
        _types(types, {**heard, **told}),
        _nodes("publishers", "publishes", ask, [topic for topic in heard if topic not in told]),
        _nodes("subscribers", "listens to", ask, list(told)),
    ]


def services_verdict(ask: Ask, services: Mapping[str, str]) -> Verdict:
    """Whether every service of reset and stop is offered, of its type where one is set."""
    wrong = []
    for service, wanted in services.items():
        _, values = ask("/rosapi/service_type", {"service": service})
        found = plain_type(str(values.get("type", ""))) if isinstance(values, Mapping) else ""
        if not found:
            wrong.append(f"{service} is not offered")
        elif wanted and found != wanted:
            wrong.append(f"{service} is of type {found}, not {wanted}")
    if wrong:
        return Verdict(
            "services", Outcome.FAIL, "; ".join(wrong), "Start the nodes that offer them, or mend the names."
        )
    if not services:
        return Verdict("services", Outcome.SKIPPED, "neither reset nor stop asks for one")
    return Verdict("services", Outcome.OK, f"all offered: {', '.join(services)}")


def clock_offset(ask: Ask) -> Verdict:
    """The robot's clock against this machine's wall clock, from the quickest of a few questions."""
    best: tuple[float, float] | None = None
    for _ in range(_ROUNDS):
        before_s, started_s = time.time(), time.monotonic()
        good, values = ask("/rosapi/get_time", {})
        took_s = time.monotonic() - started_s
        stamp = values.get("time") if good and isinstance(values, Mapping) else None
        if not isinstance(stamp, Mapping):
            return Verdict("clock offset", Outcome.SKIPPED, "/rosapi/get_time does not answer")
        robot_s = float(stamp.get("sec", stamp.get("secs", 0))) + 1e-9 * float(
            stamp.get("nanosec", stamp.get("nsecs", 0))
        )
        if best is None or took_s < best[0]:
            best = took_s, robot_s - (before_s + took_s / 2)
    assert best is not None
    found = f"the robot's clock is {best[1]:+.3f} s from this machine's, to within {best[0] / 2:.3f} s"
    if abs(best[1]) - best[0] / 2 > _CLOCKS_S:
        remedy = "Set both by NTP or chrony: recordings of two machines are put together by their stamps."
        return Verdict("clock offset", Outcome.WARN, found, remedy)
    return Verdict("clock offset", Outcome.OK, found)


def stop_verdict(steps: Sequence[str], holds: str, e_stop: str | None) -> Verdict:
    """What a stop would do, and what tells of the emergency stop.

    Args:
        steps: services and topics of `stop`.
        holds: what `hold` commands; "" where it commands nothing.
        e_stop: what its topic says now; None: there is no such setting.
    """
    ways = [*([f"holds {holds}"] if holds else []), *steps]
    found = f"a stop {' and '.join(ways)}" if ways else "a stop does nothing"
    if not ways:
        remedy = "Give robot.driver.stop a step, or set hold: true and `measured` of each command field."
        return Verdict("stop", Outcome.FAIL, found, remedy)
    if e_stop is None:
        remedy = "Name the e-stop's topic in robot.driver.e_stop, and press the real one once while you watch."
        return Verdict("stop", Outcome.WARN, f"{found}; no topic tells when the emergency stop is pressed", remedy)
    return Verdict("stop", Outcome.OK, f"{found}; the emergency stop's topic says: {e_stop}")


def description(ask: Ask, spoken: Mapping[str, Any] | None) -> str:
    """The robot's URDF: as ROS 2 says it on a topic, else as ROS 1 keeps it in a parameter; "" for none."""
    if spoken is not None and isinstance(spoken.get("data"), str):
        return str(spoken["data"])
    good, values = ask("/rosapi/get_param", {"name": DESCRIPTION, "default": ""})
    text = values.get("value", "") if good and isinstance(values, Mapping) else ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError, TypeError):
        return ""
    return found if isinstance(found, str) else ""


def limits_from(text: str) -> dict[str, JointLimit]:
    """Joint limits of a URDF; none where it is none."""
    try:
        return limits_of(parse_urdf(text)) if text else {}
    except DataError:
        return {}


def no_answer(service: str, address: str, waited_s: float) -> PeerTimeoutError:
    """The error of an `Ask`."""
    return PeerTimeoutError(f"'{service}' of the rosbridge server", address, waited_s, "Start rosapi_node beside it.")


def _topics(types: Mapping[str, str], heard: Mapping[str, str], told: Mapping[str, str]) -> Verdict:
    missing = [topic for topic in (*heard, *told) if topic not in types]
    missing = list(dict.fromkeys(missing))
    if missing:
        remedy = "Start the nodes that have them, or mend the names (ros2 topic list, rostopic list)."
        return Verdict("topics", Outcome.FAIL, f"not there: {', '.join(missing)}", remedy)
    return Verdict("topics", Outcome.OK, f"all {len({*heard, *told})} are there: {', '.join({**heard, **told})}")


def _types(types: Mapping[str, str], wanted: Mapping[str, str]) -> Verdict:
    wrong = [
        f"{topic} is {types[topic]}, not {kind}" for topic, kind in wanted.items() if types.get(topic, kind) != kind
    ]
    if wrong:
        return Verdict("types", Outcome.FAIL, "; ".join(wrong), "A server is silent about this: mend the types.")
    return Verdict("types", Outcome.OK, f"as set: {', '.join(dict.fromkeys(wanted.values()))}")


def _nodes(question: str, does: str, ask: Ask, topics: Sequence[str]) -> Verdict:
    found: list[str] = []
    nobody: list[str] = []
    for topic in topics:
        _, values = ask(f"/rosapi/{question}", {"topic": topic})
        names = values.get(question, []) if isinstance(values, Mapping) else []
        others = [str(name) for name in names if BRIDGE not in str(name)]
        (found if others else nobody).append(f"{topic} ({', '.join(others)})" if others else topic)
    if nobody:
        remedy = "Start that node or controller." if question == "publishers" else "Is that controller running?"
        return Verdict(question, Outcome.FAIL, f"nobody {does} {', '.join(nobody)}", remedy)
    return Verdict(question, Outcome.OK, ", ".join(found) or "none are needed")
