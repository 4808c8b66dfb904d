"""States that a robot tells only when asked."""

import asyncio
from typing import Any

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, PeerRefusedError, PeerTimeoutError, ProtocolError
from rlpd_robot.robot.rosbridge.layout import Layout
from rlpd_robot.robot.rosbridge.polling import Link, Poller
from rlpd_robot.robot.rosbridge.settings import Poll
from rlpd_robot.robot.testing import check_driver
from tests.robot.rosbridge.point_node import driving, point, settings, until

T = 20.0
SERVICE, KIND = "/point/read", "point_msgs/Read"
POLLED = {
    "subscribe": {},
    "poll": {SERVICE: {"type": KIND, "every_s": 0.01, "max_age_s": 1.0}},
    "state": {
        "position": {"topic": SERVICE, "path": "position", "labels": ["a", "b"], "unit": "rad"},
        "velocity": {"topic": SERVICE, "path": "velocity", "labels": ["a", "b"], "unit": "rad/s"},
    },
}


def serve(node: Any) -> list[int]:
    """The point tells its state when asked; a list whose length is the number of questions."""
    asked: list[int] = []

    async def read(args: Any) -> dict[str, Any]:
        asked.append(len(asked))
        return {"position": node.position.tolist()[::-1], "velocity": [0.0, 0.0]}

    node.graph.serve(SERVICE, KIND, read)
    return asked


def test_a_robot_that_is_asked_keeps_the_promises_of_a_driver() -> None:
    with point() as node:
        serve(node)
        node.muted = set(node.topics())
        made = []

        def make() -> Any:
            from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver

            made.append(RosbridgeDriver(node.server.url, **settings(**POLLED)))
            return made[-1]

        check_driver(make, timeout_s=T)
        assert made[0].stats()["rubbish"] == 0


def test_it_follows_and_is_asked_anew_on_a_new_connection() -> None:
    with point() as node, driving(node, **POLLED) as driver:
        asked = serve(node)
        driver.connect(T)
        driver.reset(None, T)
        node.position = np.array([0.25, -0.5])
        while driver.read(T).values["position"].tolist() != [-0.5, 0.25]:
            continue
        driver.connection.loop.call_soon_threadsafe(driver.connection._socket.dropConnection, True)
        with pytest.raises(PeerTimeoutError):
            until(lambda: driver.read(T) and False)
        before = len(asked)
        driver.connect(T)
        driver.read(T)
        assert len(asked) > before


def test_a_service_that_does_not_answer_makes_no_state_and_is_asked_again() -> None:
    poll = {SERVICE: {"type": KIND, "every_s": 0.01, "max_age_s": 0.3, "timeout_s": 0.1}}
    with point() as node, driving(node, **{**POLLED, "poll": poll}) as driver:
        serve(node)
        driver.connect(T)
        asked = []

        async def hang(args: Any) -> dict[str, Any]:
            asked.append(1)
            await asyncio.sleep(0.3)
            return {"position": [9.0, 9.0], "velocity": [0.0, 0.0]}  # nobody waits for this any more

        answer = node.graph.services[SERVICE][1]
        node.graph.services[SERVICE] = (KIND, hang)
        with pytest.raises(PeerTimeoutError, match=f"topic '{SERVICE}'"):
            until(lambda: driver.read(0.2) and False)
        until(lambda: asked)
        node.graph.services[SERVICE] = (KIND, answer)

        def again() -> Any:
            try:
                return driver.read(0.2)
            except PeerTimeoutError:
                return None

        until(again)


def test_one_that_refuses_is_counted_and_named_at_the_start_when_it_is_not_there() -> None:
    with point() as node, driving(node, **POLLED) as driver:
        with pytest.raises(PeerRefusedError, match=f"there is no service '{SERVICE}'"):
            driver.connect(0.3)
        until(lambda: driver.connection.rubbish > 1)  # it goes on asking: a node may start late
        serve(node)
        driver.connect(T)


def test_a_poll_is_checked_like_all_settings() -> None:
    whole = settings(**POLLED)
    with pytest.raises(ConfigError, match=r"poll./point/read.every_s' must be above 0"):
        Layout.parse({**whole, "poll": {SERVICE: {"type": KIND, "every_s": 0}}})
    with pytest.raises(ConfigError, match="one of those of 'subscribe' and 'poll': "):
        Layout.parse({**whole, "poll": {}})
    assert Layout.parse(whole).paced_by == SERVICE


class Asked:
    """A link whose time and answers the test makes."""

    def __init__(self) -> None:
        self.questions: list[Any] = []
        self.forgotten = 0
        self.heard: list[Any] = []
        self.complaints: list[ProtocolError] = []
        self.later: list[tuple[float, Any]] = []
        self.alive = True
        link = Link(
            self._ask,
            lambda *what: self.heard.append(what),
            self.complaints.append,
            lambda seconds, act: self.later.append((seconds, act)),
            lambda: self.alive,
        )
        self.poller = Poller(SERVICE, Poll(KIND, 0.5, {"a": 1}, timeout_s=2.0), "me", link)
        self.poller.turn()

    def _ask(self, service: str, args: Any, answered: Any) -> Any:
        self.questions.append((service, args, answered))

        def forget() -> None:
            self.forgotten += 1

        return forget


def test_one_question_at_a_time() -> None:
    one = Asked()
    assert [(service, args) for service, args, _ in one.questions] == [(SERVICE, {"a": 1})]
    assert [seconds for seconds, _ in one.later] == [2.0]
    one.questions[0][2](True, {"position": [1.0]})
    assert one.heard[0][:2] == (SERVICE, {"position": [1.0]})
    assert len(one.questions) == 1
    wait_s, turn = one.later[-1]
    assert 0 < wait_s <= 0.5
    one.later[0][1]()  # the patience with the first question ends, which has been answered
    assert (len(one.questions), one.forgotten) == (1, 0)
    turn()
    assert len(one.questions) == 2
    one.alive = False
    one.questions[1][2](False, "no")
    assert "'no'" in str(one.complaints[0])
    one.later[-1][1]()
    assert len(one.questions) == 2


def test_a_question_that_nobody_answers_is_forgotten_and_asked_again() -> None:
    one = Asked()
    one.later[0][1]()
    assert (len(one.questions), one.forgotten) == (2, 1)
