"""The part of the driver that answers the doctor. It looks through connections of its own, beside the driver's."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rlpd_robot.errors import PeerTimeoutError, ProtocolError
from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict
from rlpd_robot.robot.rosbridge import diagnosis
from rlpd_robot.robot.rosbridge.connection import Connection
from rlpd_robot.robot.rosbridge.explore import Ear, asking, hear, listening
from rlpd_robot.robot.rosbridge.layout import Layout
from rlpd_robot.robot.rosbridge.messages import find

_LISTEN_S = 2.0
_DESCRIPTION_S = 1.0
_TIME = "/rosapi/get_time"


class Diagnosed:
    """Implements `Diagnosable` for a driver with these attributes."""

    layout: Layout
    address: str
    url: str
    rosapi: bool
    connection: Connection

    def diagnose_link(self, timeout_s: float) -> Sequence[Verdict]:
        """See `Diagnosable.diagnose_link`."""
        first = diagnosis.reachable(self.url, timeout_s)
        if first.outcome is Outcome.FAIL:
            return (first,)
        try:
            with listening(self.url, self.address, {}, timeout_s) as (connection, _):
                found = [first, Verdict("websocket", Outcome.OK, "a WebSocket server answers")]
                if not self.rosapi:
                    return [*found, Verdict("topics", Outcome.SKIPPED, "rosapi: false, so that nobody can be asked")]
                ask = asking(connection, self.address, timeout_s)
                found += diagnosis.graph_verdicts(ask, self.layout.heard(), self.layout.told())
                return [*found, diagnosis.services_verdict(ask, self.layout.services())]
        except PeerTimeoutError as error:
            return (
                first,
                Verdict("websocket", Outcome.FAIL, str(error), "Is it a rosbridge server that listens there?"),
            )

    def diagnose_robot(self, timeout_s: float) -> Sequence[Verdict]:
        """See `Diagnosable.diagnose_robot`. Nothing is published and no service but /rosapi's called."""
        heard = self.layout.heard()
        ear = hear(self.url, self.address, heard, _LISTEN_S, timeout_s, self.layout.poll)
        found = [_rates(self.layout, ear), _stop(self.layout, ear)]
        if self.rosapi:
            with listening(self.url, self.address, {}, timeout_s) as (connection, _):
                found.insert(1, diagnosis.clock_offset(asking(connection, self.address, timeout_s)))
        if self.layout.require:
            found.append(_required(self.layout, ear))
        return found

    def echo(self, timeout_s: float) -> float:
        """See `Diagnosable.echo`: /rosapi/get_time, through a node of ROS and back."""
        started = time.monotonic()
        if self.connection.call(_TIME, {}).wait(timeout_s) is None:
            raise diagnosis.no_answer(_TIME, self.address, timeout_s)
        return time.monotonic() - started

    def reported_limits(self, timeout_s: float) -> Mapping[str, JointLimit]:
        """See `Diagnosable.reported_limits`: those of the URDF in /robot_description, topic or parameter."""
        with listening(self.url, self.address, {diagnosis.DESCRIPTION: "std_msgs/String"}, timeout_s) as (link, ear):
            until_s = time.monotonic() + _DESCRIPTION_S
            while ear.last(diagnosis.DESCRIPTION) is None and time.monotonic() < until_s:
                time.sleep(0.02)  # between two looks
            ask = asking(link, self.address, timeout_s)
            return diagnosis.limits_from(diagnosis.description(ask, ear.last(diagnosis.DESCRIPTION)))


def _rates(layout: Layout, ear: Ear) -> Verdict:
    """Messages of each topic, against the age that is allowed."""
    rates = {topic: ear.rate(topic) for topic in layout.ages}
    found = ", ".join(f"{topic} {rate:.1f} Hz" for topic, rate in rates.items())
    slow = [topic for topic, age_s in layout.ages.items() if age_s > 0 and rates[topic] < 1 / age_s]
    if slow:
        remedy = "Raise their rates, or max_age_s; 0 is for what is published on change only."
        return Verdict("topic rates", Outcome.FAIL, f"{found}; too slow for max_age_s: {', '.join(slow)}", remedy)
    return Verdict("topic rates", Outcome.OK, found)


def _stop(layout: Layout, ear: Ear) -> Verdict:
    holding = [
        f"{name} at {'zero' if one.unit.endswith('/s') else 'what is measured'}"
        for name, one in layout.commands.items()
        if layout.hold and (one.measured is not None or one.unit.endswith("/s"))
    ]
    steps = [f"calls {step.call.service}" for step in layout.stop if step.call is not None]
    said = [step.say for step in layout.stop if step.say is not None]
    steps += [f"says {dict(say.message)} on {say.topic}" for say in said]
    e_stop = layout.e_stop
    told = None if e_stop is None else _value(ear.last(e_stop.settings.topic), e_stop.settings.path)
    return diagnosis.stop_verdict(steps, ", ".join(holding), told)


def _required(layout: Layout, ear: Ear) -> Verdict:
    wrong = []
    for one in layout.require:
        told = _value(ear.last(one.settings.topic), one.settings.path)
        if told != repr(one.settings.value):
            wrong.append(f"{one.settings.topic} says {one.settings.path}={told}, not {one.settings.value!r}")
    if wrong:
        remedy = "It may have to be so only while it moves: then a reset must see to it."
        return Verdict("required", Outcome.WARN, "; ".join(wrong), remedy)
    return Verdict("required", Outcome.OK, "all that robot.driver.require names is so")


def _value(message: Mapping[str, Any] | None, path: str) -> str:
    if message is None:
        return "nothing yet"
    try:
        return repr(find(message, path, ""))
    except ProtocolError:
        return "nothing there"
