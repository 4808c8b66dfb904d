"""A client of any rosbridge server, word by word, and a robot that such a client plays."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import ClientConnection, connect

DEADLINE_S = 20.0


class Talker:
    """One client. Topics are within a namespace of their own, since a real server keeps what others have said."""

    def __init__(self, url: str, namespace: str | None = None) -> None:
        self.namespace = namespace or f"/t{uuid.uuid4().hex[:8]}"
        self._stack = contextlib.ExitStack()
        dialled = connect(url, compression=None, max_size=None, open_timeout=DEADLINE_S, close_timeout=1)
        self.socket: ClientConnection = self._stack.enter_context(dialled)
        self.heard: list[dict[str, Any]] = []
        self._calls = 0

    def say(self, op: str, topic: str | None = None, **more: Any) -> None:
        """One operation; a topic within the namespace."""
        name = {} if topic is None else {"topic": self.namespace + topic}
        self.raw(json.dumps({"op": op, **name, **more}))

    def raw(self, text: str) -> None:
        self.socket.send(text)

    def hear(self, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The next message."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=deadline_s))
        self.heard.append(message)
        return message

    def call(self, name: str, **args: Any) -> dict[str, Any]:
        """The answer of a service; what comes before it is in `heard`."""
        self._calls += 1
        self.say("call_service", id=f"c{self._calls}", service=name, args=args)
        while True:
            message = self.hear()
            if message["op"] == "service_response" and message.get("id") == f"c{self._calls}":
                return message

    def before_an_answer(self) -> list[dict[str, Any]]:
        """What comes until the server has answered something asked now."""
        self.heard = []
        self.call("/rosapi/get_time")
        return self.heard[:-1]

    def close(self) -> None:
        self._stack.close()


def publish_until_heard(publisher: Talker, listener: Talker, topic: str, message: dict[str, Any]) -> dict[str, Any]:
    """A real ROS needs a moment until publisher and subscriber know each other; the first message that arrives."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        publisher.say("publish", topic, msg=message)
        with contextlib.suppress(TimeoutError):
            heard: dict[str, Any] = listener.hear(0.1)
            return heard
    raise AssertionError("it never arrived")


class PlayedPoint:
    """A robot of two joints that a client plays: states at 50 Hz, commands, a reset and a stop."""

    def __init__(self, url: str, namespace: str) -> None:
        self._talker = Talker(url, namespace)
        self.namespace, self.commands = namespace, [[0.0, 0.0]]
        self._ending = threading.Event()
        talker = self._talker
        talker.say("advertise", "/joint_states", type="sensor_msgs/JointState")
        talker.say("subscribe", "/command", type="std_msgs/Float64MultiArray", queue_length=1)
        for service in ("reset", "stop"):
            talker.say("advertise_service", service=f"{namespace}/{service}", type="std_srvs/Trigger")
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._states, self._listen)]
        for thread in self._threads:
            thread.start()

    def _states(self) -> None:
        while not self._ending.wait(0.02):
            position = self.commands[-1]
            message = {"name": ["b", "a"], "position": position, "velocity": position}
            self._talker.say("publish", "/joint_states", msg=message)

    def _listen(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                message = self._talker.hear(0.1)
                if message["op"] == "publish":
                    self.commands.append(message["msg"]["data"])
                elif message["op"] == "call_service":
                    answer = {"service": message["service"], "values": {"success": True, "message": ""}}
                    self._talker.say("service_response", id=message["id"], result=True, **answer)

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(5)
        self._talker.close()


@contextlib.contextmanager
def playing(url: str) -> Iterator[PlayedPoint]:
    robot = PlayedPoint(url, f"/p{uuid.uuid4().hex[:8]}")
    try:
        yield robot
    finally:
        robot.close()
