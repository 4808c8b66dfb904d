"""What a rosbridge server does, asked of the stand-in always, and of a real one where ROSBRIDGE_URL names it.

What the stand-in promises is what the real one does: so a test that holds on one must hold on the other.
"""

import base64
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver
from rlpd_robot.robot.testing import check_driver
from sim.rosbridge.graph import Graph
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer
from tests.sim.rosbridge.talking import Talker, playing, publish_until_heard

URL = os.environ.get("ROSBRIDGE_URL")
FLOATS, STATES = "std_msgs/Float64MultiArray", "sensor_msgs/JointState"


@pytest.fixture(params=["ROS 1", "ROS 2", *(["real"] if URL else [])], scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        assert URL is not None
        yield URL
        return
    graph = Graph(2 if request.param == "ROS 2" else 1)
    Rosapi(graph)
    server = RosbridgeServer(graph, "tcp://127.0.0.1:0")
    yield server.url
    server.close()


@pytest.fixture
def talker(url: str) -> Iterator[Callable[..., Talker]]:
    with contextlib.ExitStack() as stack:

        def make(namespace: str | None = None) -> Talker:
            one = Talker(url, namespace)
            stack.callback(one.close)
            return one

        yield make


Make = Callable[..., Talker]


def pair(talker: Make, topic: str, kind: str, **how: Any) -> tuple[Talker, Talker]:
    """A publisher and a listener on the same topic."""
    publisher = talker()
    listener = talker(publisher.namespace)
    publisher.say("advertise", topic, type=kind)
    listener.say("subscribe", topic, type=kind, **how)
    return publisher, listener


def test_a_message_arrives_whole_with_the_time_and_zeros_filled_in(talker: Make) -> None:
    publisher, listener = pair(talker, "/joints", STATES)
    heard = publish_until_heard(
        publisher, listener, "/joints", {"header": {}, "name": ["b", "a"], "position": [1, -0.1]}
    )
    message = heard["msg"]
    assert (heard["op"], heard["topic"]) == ("publish", publisher.namespace + "/joints")
    assert (message["name"], message["position"]) == (["b", "a"], [1.0, -0.1])
    assert (message["velocity"], message["effort"], message["header"]["frame_id"]) == ([], [], "")
    seconds, nanoseconds = message["header"]["stamp"].values()
    assert abs(time.time() - seconds - 1e-9 * nanoseconds) < 3600
    assert set(message["header"]["stamp"]) in ({"secs", "nsecs"}, {"sec", "nanosec"})


def test_a_stamp_that_is_given_is_kept(talker: Make) -> None:
    publisher, listener = pair(talker, "/joints", STATES)
    stamp = {"secs": 12, "nsecs": 34}
    heard = publish_until_heard(publisher, listener, "/joints", {"header": {"stamp": stamp}})
    assert list(heard["msg"]["header"]["stamp"].values()) == [12, 34]


def test_what_is_no_number_is_null(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS)
    publish_until_heard(publisher, listener, "/floats", {"data": [0.5]})
    topic = publisher.namespace + "/floats"
    publisher.raw(f'{{"op": "publish", "topic": "{topic}", "msg": {{"data": [NaN, 1.0, 1e999]}}}}')
    message = listener.hear()
    while message["msg"]["data"] == [0.5]:
        message = listener.hear()
    assert message["msg"]["data"] == [None, 1.0, None]


def test_bytes_are_base64(talker: Make) -> None:
    publisher, listener = pair(talker, "/bytes", "std_msgs/UInt8MultiArray")
    heard = publish_until_heard(publisher, listener, "/bytes", {"data": [0, 7, 255]})
    assert base64.b64decode(heard["msg"]["data"]) == bytes([0, 7, 255])


WRONG = [
    '{"op": "publish"',
    "{}",
    '{"op": "fly"}',
    '{"op": "publish", "topic": "/nobody/knows/this", "msg": {"data": 1}}',
    '{"op": "advertise", "topic": "/strange", "type": "no_such_msgs/Type"}',
    '{"op": "subscribe", "topic": "/strange", "type": "no_such_msgs/Type"}',
    '{"op": "subscribe", "topic": "/strange"}',
    '{"op": "advertise", "topic": "/strange"}',
    '{"op": "publish", "topic": "NS/floats", "msg": {"data": ["one"]}}',
    '{"op": "publish", "topic": "NS/floats", "msg": {"data": [1.0], "extra": 1}}',
    '{"op": "publish", "topic": "NS/floats", "msg": {"data": 1.0}}',
    '{"op": "advertise", "topic": "NS/floats", "type": "std_msgs/Bool"}',
    '{"op": "unsubscribe", "topic": "/never/subscribed"}',
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_met_with_silence_and_what_follows_works(talker: Make, text: str) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS)
    publish_until_heard(publisher, listener, "/floats", {"data": [0.5]})
    publisher.raw(text.replace("NS", publisher.namespace))
    assert publisher.before_an_answer() == []
    publisher.say("publish", "/floats", msg={"data": [2.0]})
    message = listener.hear()
    while message["msg"]["data"] == [0.5]:
        message = listener.hear()
    assert message["msg"]["data"] == [2.0]  # the wrong one did not come through


def test_throttled_without_a_queue_what_comes_too_early_is_lost(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS, throttle_rate=60_000, queue_length=0)
    publish_until_heard(publisher, listener, "/floats", {"data": [0.0]})
    for i in range(20):
        publisher.say("publish", "/floats", msg={"data": [float(i)]})
    assert publisher.before_an_answer() == []
    assert listener.before_an_answer() == []


def test_throttled_with_a_queue_of_one_the_newest_waits(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS, throttle_rate=1500, queue_length=1)
    publish_until_heard(publisher, listener, "/floats", {"data": [-1.0]})
    for i in range(20):
        publisher.say("publish", "/floats", msg={"data": [float(i)]})
    heard = [listener.hear()["msg"]["data"]]
    while heard[-1] != [19.0]:
        heard.append(listener.hear()["msg"]["data"])
    assert len(heard) <= 3  # 20 were sent; a slow machine may need two turns


def test_after_unsubscribing_nothing_comes(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS, id="mine")
    publish_until_heard(publisher, listener, "/floats", {"data": [0.0]})
    listener.say("unsubscribe", "/floats", id="mine")
    listener.before_an_answer()  # what was under way
    publisher.say("publish", "/floats", msg={"data": [1.0]})
    publisher.before_an_answer()
    assert listener.before_an_answer() == []


def test_a_client_that_dies_is_told_to_nobody(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS)
    publish_until_heard(publisher, listener, "/floats", {"data": [0.0]})
    listener.before_an_answer()
    publisher.socket.socket.close()  # no close frame
    assert listener.before_an_answer() == []


def test_a_service_that_is_not_there_says_so(talker: Make) -> None:
    answer = talker().call("/no/such/service")
    assert answer["result"] is False
    assert "does not exist" in answer["values"]


def test_a_client_serves_another(talker: Make) -> None:
    server, client = talker(), talker()
    service = f"{server.namespace}/switch"
    server.say("advertise_service", service=service, type="std_srvs/SetBool")
    server.before_an_answer()
    client.say("call_service", id="one", service=service, args={"data": True})
    request = server.hear()
    assert (request["op"], request["service"], request["args"]) == ("call_service", service, {"data": True})
    values = {"success": True, "message": "on"}
    server.say("service_response", id=request["id"], service=service, values=values, result=True)
    answer = client.hear()
    assert (answer["op"], answer["id"], answer["result"], answer["values"]) == ("service_response", "one", True, values)


def plain(kind: str) -> str:
    return kind.replace("/msg/", "/").replace("/srv/", "/")


def test_rosapi_knows_topics_their_types_and_who_is_there(talker: Make) -> None:
    publisher, listener = pair(talker, "/floats", FLOATS)
    publish_until_heard(publisher, listener, "/floats", {"data": [0.0]})
    one, topic = talker(), publisher.namespace + "/floats"
    everything = one.call("/rosapi/topics")["values"]
    kinds = dict(zip(everything["topics"], everything["types"], strict=True))
    assert plain(kinds[topic]) == FLOATS
    assert plain(one.call("/rosapi/topic_type", topic=topic)["values"]["type"]) == FLOATS
    assert one.call("/rosapi/topic_type", topic="/no/such/topic")["values"]["type"] == ""
    assert len(one.call("/rosapi/publishers", topic=topic)["values"]["publishers"]) == 1
    assert len(one.call("/rosapi/subscribers", topic=topic)["values"]["subscribers"]) == 1
    assert one.call("/rosapi/subscribers", topic="/no/such/topic")["values"]["subscribers"] == []
    assert "/rosapi/topics" in one.call("/rosapi/services")["values"]["services"]
    assert plain(one.call("/rosapi/service_type", service="/rosapi/topics")["values"]["type"]) == "rosapi/Topics"
    assert list(one.call("/rosapi/get_time")["values"]["time"].values())[0] > 1e9


@pytest.mark.parametrize("echoed", [True, False])
def test_the_driver_keeps_its_promises_here(url: str, echoed: bool) -> None:
    with playing(url) as robot:
        name = robot.namespace
        echo = {"topic": f"{name}/command", "type": FLOATS, "path": "data"} if echoed else None
        described: dict[str, Any] = {
            "name": "played",
            "period_s": 0.02,
            "subscribe": {f"{name}/joint_states": {"type": STATES, "max_age_s": 2.0}},
            "state": {"position": {"topic": f"{name}/joint_states", "path": "position", "names": ["a", "b"]}},
            "publish": {f"{name}/command": {"type": FLOATS, "echo": echo}},
            "command": {"target": {"topic": f"{name}/command", "low": [-1, -1], "high": [1, 1], "unit": "rad"}},
            "reset": [{"call": {"service": f"{name}/reset", "type": "std_srvs/Trigger", "ok": "success"}}],
            "stop": [{"call": {"service": f"{name}/stop"}}],
            "time_to_live_s": 1.0,
        }
        # Robot and driver are clients of one server here, so that /rosapi knows of no listener beside it.
        check_driver(lambda: RosbridgeDriver(url, rosapi=False, **described), timeout_s=20.0)
        driver = RosbridgeDriver(url, rosapi=False, **described)
        try:
            driver.connect(20.0)
            driver.reset(None, 20.0)
            number = driver._write(driver.layout.spec.command_high / 2)
            state = driver.read(20.0)
            while state.executed != number or not state.values["position"].all():
                state = driver.read(20.0)
            assert robot.commands[-1] == [0.5, 0.5]
        finally:
            driver.close()


def test_the_driver_asks_a_service_again_and_again(url: str, talker: Make) -> None:
    """In the place of a topic: here the server's own clock."""
    service, one = "/rosapi/get_time", talker()
    seconds = next(iter(one.call(service)["values"]["time"]))  # secs or sec
    with playing(url) as robot:
        name = robot.namespace
        described: dict[str, Any] = {
            "name": "played",
            "period_s": 0.05,
            "subscribe": {f"{name}/joint_states": {"type": STATES, "max_age_s": 5.0}},
            "poll": {service: {"type": "rosapi/GetTime", "every_s": 0.02, "max_age_s": 5.0}},
            "state": {
                "position": {"topic": f"{name}/joint_states", "path": "position", "names": ["a", "b"]},
                "clock": {"topic": service, "path": f"time.{seconds}", "unit": "s"},
            },
            "publish": {f"{name}/command": {"type": FLOATS}},
            "command": {"target": {"topic": f"{name}/command", "low": [-1, -1], "high": [1, 1], "unit": "rad"}},
            "paced_by": service,
        }
        driver = RosbridgeDriver(url, rosapi=False, **described)
        try:
            driver.connect(20.0)
            states = [driver.read(20.0) for _ in range(5)]
            assert [b.sequence > a.sequence for a, b in zip(states, states[1:], strict=False)] == 4 * [True]
            assert all(abs(float(state.values["clock"]) - time.time()) < 3600 for state in states)
            assert driver.stats()["rubbish"] == 0
        finally:
            driver.close()
