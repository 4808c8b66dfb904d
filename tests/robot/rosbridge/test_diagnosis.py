import time

import pytest

from rlpd_robot.robot.diagnosis import Outcome
from rlpd_robot.robot.rosbridge.diagnosis import (
    clock_offset,
    description,
    graph_verdicts,
    limits_from,
    services_verdict,
    stop_verdict,
)

TOPICS = {"/joint_states": "sensor_msgs/msg/JointState", "/c/commands": "std_msgs/msg/Float64MultiArray"}
HEARD, TOLD = {"/joint_states": "sensor_msgs/JointState"}, {"/c/commands": "std_msgs/Float64MultiArray"}


def asking(**answers):
    """Answers by the last word of the service's name; others fail as those that do not exist."""

    def ask(service, args):
        answer = answers.get(service.rpartition("/")[2])
        return (True, answer(args) if callable(answer) else answer) if answer is not None else (False, "does not exist")

    return ask


def examined(topics=TOPICS, publishers=("/robot",), subscribers=("/robot",)):
    told = {"topics": list(topics), "types": list(topics.values())}
    ask = asking(
        topics=told, publishers={"publishers": list(publishers)}, subscribers={"subscribers": list(subscribers)}
    )
    return {verdict.check: verdict for verdict in graph_verdicts(ask, HEARD, TOLD)}


def test_all_is_well() -> None:
    assert {v.outcome for v in examined().values()} == {Outcome.OK}


def test_a_topic_that_is_not_there() -> None:
    found = examined({"/joint_states": TOPICS["/joint_states"]})
    assert (found["topics"].outcome, found["topics"].found) == (Outcome.FAIL, "not there: /c/commands")


def test_a_topic_of_another_type() -> None:
    found = examined({**TOPICS, "/joint_states": "std_msgs/msg/String"})
    assert found["types"].found == "/joint_states is std_msgs/String, not sensor_msgs/JointState"


@pytest.mark.parametrize("nobody", [[], ["/rosbridge_websocket"]])  # the bridge itself is nobody
def test_nobody_publishes_or_listens(nobody: list[str]) -> None:
    assert examined(publishers=nobody)["publishers"].found == "nobody publishes /joint_states"
    assert examined(subscribers=nobody)["subscribers"].found == "nobody listens to /c/commands"


def test_without_rosapi() -> None:
    (verdict,) = graph_verdicts(asking(), HEARD, TOLD)
    assert verdict.outcome is Outcome.FAIL
    assert "rosapi_node" in verdict.remedy


def test_services() -> None:
    ask = asking(service_type=lambda args: {"type": {"/a": "std_srvs/srv/Trigger"}.get(args["service"], "")})
    assert services_verdict(ask, {"/a": "std_srvs/Trigger"}).outcome is Outcome.OK
    assert services_verdict(ask, {"/a": "std_srvs/Empty"}).found == "/a is of type std_srvs/Trigger, not std_srvs/Empty"
    assert services_verdict(ask, {"/b": ""}).found == "/b is not offered"
    assert services_verdict(ask, {}).outcome is Outcome.SKIPPED


@pytest.mark.parametrize(("ahead_s", "outcome"), [(0.0, Outcome.OK), (3600.0, Outcome.WARN), (-3600.0, Outcome.WARN)])
@pytest.mark.parametrize("keys", [("sec", "nanosec"), ("secs", "nsecs")])
def test_the_robots_clock(ahead_s: float, outcome: Outcome, keys: tuple[str, str]) -> None:
    def get_time(args):
        seconds, part = divmod(time.time() + ahead_s, 1)
        return {"time": dict(zip(keys, (int(seconds), int(1e9 * part)), strict=True))}

    verdict = clock_offset(asking(get_time=get_time))
    assert verdict.outcome is outcome
    assert clock_offset(asking()).outcome is Outcome.SKIPPED


def test_what_a_stop_does() -> None:
    assert stop_verdict([], "", None).outcome is Outcome.FAIL
    assert stop_verdict(["calls /stop"], "", None).outcome is Outcome.WARN
    told = stop_verdict(["calls /stop"], "x at what is measured", "False")
    assert told.found == "a stop holds x at what is measured and calls /stop; the emergency stop's topic says: False"


def test_the_description_and_its_limits() -> None:
    urdf = '<robot><joint name="a" type="revolute"><limit lower="-1" upper="1"/></joint></robot>'
    assert description(asking(), {"data": urdf}) == urdf  # ROS 2: a topic
    assert description(asking(get_param={"value": f'"{urdf.replace(chr(34), chr(39))}"'}), None).startswith("<robot>")
    assert description(asking(get_param={"value": "3"}), None) == description(asking(), None) == ""
    assert limits_from(urdf)["a"].lower == -1.0
    assert limits_from("<robot") == limits_from("") == {}
