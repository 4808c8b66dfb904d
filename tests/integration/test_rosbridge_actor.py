"""The real actor before a robot behind rosbridge whose link and server misbehave; judged by what the robot heard."""

import contextlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.errors import PeerRefusedError, RlpdRobotError
from rlpd_robot.robot.fake import FakeTask
from rlpd_robot.robot.rosbridge import connection
from rlpd_robot.robot.rosbridge.driver import RosbridgeDriver
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.watchdog import WatchdogSettings
from rlpd_robot.run.actor import run_actor
from rlpd_robot.run.bench.tcp_proxy import Cut, TcpProxy
from rlpd_robot.run.settings import ActorSettings, RobotSettings, RunSettings
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.control import ask
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.policy_channel import PolicyPublisher
from rlpd_robot.wire.settings import LinkSettings
from tests.robot.rosbridge import point_node
from tests.robot.rosbridge.point_node import PointNode, until
from tests.run.point import settings

pytestmark = pytest.mark.integration

TASK = FakeTask(100_000)
T = 60.0
E_STOP = {"topic": "/e_stop", "type": "std_msgs/Bool", "path": "data", "value": True}
PATIENT = WatchdogSettings(stale_s=2.0, overrun_s=10.0, misses=10_000, frozen=0)  # a busy machine is no fault here


class Scene:
    """A point behind a server, a proxy before it, an actor in a thread, and a person's word."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.node = PointNode()
        stack.callback(lambda: self.node.close())
        self.port = int(self.node.server.url.rpartition(":")[2])
        self.proxy = TcpProxy(f"tcp://127.0.0.1:{self.port}")
        stack.callback(self.proxy.close)
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="rlpd"))
        links = {name: f"ipc://{sockets}/{name}" for name in ("data", "policy", "control")}
        self.control, self.journal = links["control"], folder / "point" / "actor" / "journal"
        described = point_node.settings(e_stop=E_STOP)
        driver = RosbridgeDriver(self.proxy.address, max_message_mb=1.0, **described)
        problem = problem_of(TASK, driver.layout.spec)
        self.fingerprint = problem.fingerprint
        publisher = PolicyPublisher(links["policy"])
        stack.callback(publisher.close)
        publisher.publish(PolicySnapshot(1, problem.fingerprint, 0, 0, {}))  # acts at random
        wanted = settings(
            folder,
            robot=RobotSettings("point", {}, stand_in={}),
            link=LinkSettings(robot=self.proxy.address, **links, timeout_s=1.0),
            run=RunSettings(name="point", root=str(folder)),
            watchdog=PATIENT,
            actor=ActorSettings(realtime_priority=0, deadline=2.5),
        )
        stop, self.errors = threading.Event(), []

        def act() -> None:
            try:
                run_actor(wanted, driver, TASK, stop)
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=act, daemon=True)
        stack.callback(lambda: (stop.set(), thread.join(T)))
        thread.start()

    def moves(self) -> None:
        """Until the robot has heard some more commands."""
        before = len(self.node.heard)
        self.until(lambda: len(self.node.heard) >= before + 3)

    def until(self, condition: Callable[[], Any]) -> Any:
        def met() -> Any:
            assert not self.errors, self.errors
            return condition()

        return until(met, T)

    def says(self, *texts: str) -> None:
        """The server says this to its clients, word by word."""
        for client in tuple(self.node.server.clients):
            for text in texts:
                self.node.server.do(client._send, text)

    def faults(self, why: str) -> None:
        """A fault comes, and is told with its cause."""

        def told() -> str:
            status = self.ask("status")
            return status if "FAULT" in status else ""

        status = self.until(told)
        assert why in status, status

    def arms(self) -> None:
        """A person arms as soon as that is allowed; the robot is reset, and moves."""
        resets = len(self.node.resets)

        def armed() -> str:
            try:
                return self.ask("arm")
            except PeerRefusedError:
                return ""

        assert "Armed again" in self.until(armed)
        self.moves()
        assert len(self.node.resets) > resets

    def ask(self, word: str) -> str:
        try:
            return ask(self.control, word, {}, 20.0)
        except PeerRefusedError:
            raise
        except RlpdRobotError:
            return ""

    def endings(self) -> list[tuple[str, str]]:
        """(ending, cause) of each episode that a fault or a stop ended, as journalled."""
        with contextlib.closing(Journal(self.journal, 10, self.fingerprint)) as journal:
            (left,) = journal.pending()
            messages = [record.message("journal") for record in journal.read_from(0, left.boot)]
        return [(one.ending, one.cause) for one in messages if isinstance(one, EpisodeEnd)]


def test_the_actor_stops_ends_the_episode_with_its_cause_and_goes_on_when_armed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 0.4)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.1)
    with contextlib.ExitStack() as stack:
        one = Scene(tmp_path, stack)
        one.moves()
        expected = []
        # half-open: nothing passes any more, and nobody is told
        one.proxy.cut(Cut("freeze", 40, 600.0))
        one.faults("stale state: No answer from")
        expected.append("stale state: No answer from")
        one.arms()
        # the server restarts
        one.node.close()
        one.faults("stale state: No answer from the rosbridge server")
        expected.append("stale state: No answer from the rosbridge server")
        heard = len(one.node.heard)
        one.node = PointNode(port=one.port)
        assert heard
        assert one.node.heard == []
        one.arms()
        # messages of another kind
        one.node.spoilt["/joint_states"] = lambda message: {**message, "position": ["one", "two"]}
        one.faults("robot link: Message from robot 'point', topic /joint_states: ")
        expected.append("robot link: Message from robot 'point', topic /joint_states: ")
        one.until(lambda: one.node.stops)  # it was told to stop, on a link that works
        with pytest.raises(PeerRefusedError, match="Not armed"):
            one.until(lambda: ask(one.control, "arm", {}, 20.0) and False)
        one.node.spoilt.clear()
        one.arms()
        # no JSON harms nothing; a huge frame costs the connection
        one.says('{"op": "publish"', "[" * 10_000, "17")
        one.moves()
        one.says('{"op": "' + 2_000_000 * "x" + '"}')
        one.faults("stale state: No answer from the rosbridge server")
        expected.append("stale state: No answer from the rosbridge server")
        one.arms()
        # null: the robot knows not where it is
        one.node.spoilt["/joint_states"] = lambda message: {**message, "position": [float("nan"), 0.0]}
        one.faults("bad data: ")
        expected.append("bad data: ")
        one.node.spoilt.clear()
        one.arms()
        # the emergency stop, for a moment
        for pressed in (True, False):
            one.node.server.do(one.node.publish, "/e_stop", {"data": pressed})
        one.faults("e-stop pressed: topic '/e_stop' says data=True")
        expected.append("e-stop pressed: topic '/e_stop' says data=True")
        one.arms()
    endings = one.endings()
    assert len(endings) >= len(expected)
    for (ending, cause), begins in zip(endings, expected, strict=False):
        assert ending == "truncated"
        assert cause.startswith(begins)
