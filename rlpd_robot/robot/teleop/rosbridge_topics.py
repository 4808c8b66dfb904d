"""What a source hears on topics behind a rosbridge server: the robot's own server, or another."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rlpd_robot.errors import ConfigError, PeerTimeoutError
from rlpd_robot.robot.rosbridge.checks import Checks
from rlpd_robot.robot.rosbridge.connection import Connection
from rlpd_robot.robot.rosbridge.latest import Heard, Latest
from rlpd_robot.robot.rosbridge.layout import websocket_url
from rlpd_robot.robot.teleop.source import positive_time

_QUEUE = 10  # messages: a short press of a button must not be overwritten
_MAX_BYTES = 1_000_000


class Topics:
    """Subscriptions that last as long as the connection is kept up; nothing is ever published.

    Args:
        address: ws://HOST:PORT, wss://HOST:PORT, or tcp://HOST:PORT for ws://.
        topics: by name, their type.
        names_paths: ways to lists of joint names in their messages, where there are some.
        insecure: allow ws:// beyond this machine.
        rosapi: ask the server whether somebody publishes them, of that type.
        connect_s: longest wait for the server and for its answers [s].

    Raises:
        ConfigError: an address that cannot be used.
        PeerTimeoutError, PeerRefusedError: no server; nobody publishes a topic, or one of another type.
    """

    def __init__(
        self,
        address: str,
        topics: Mapping[str, str],
        names_paths: Mapping[str, Sequence[str]],
        insecure: bool,
        rosapi: bool,
        connect_s: float,
    ) -> None:
        for topic in topics:
            if not isinstance(topic, str) or not topic.startswith("/"):
                raise ConfigError("teleop.topic", topic, "a name that begins with /")
        url = websocket_url("teleop.address", address, insecure)
        deadline_s = time.monotonic() + positive_time("teleop.connect_s", connect_s)
        self.peer = f"rosbridge server at {url}"
        self._topics = dict(topics)
        self.latest = Latest({topic: names_paths.get(topic, ()) for topic in topics}, kept=topics)
        self._seen = dict.fromkeys(topics, 0)
        self._connection = Connection(url, self, _MAX_BYTES)
        try:
            if not self._connection.wait_up(deadline_s):
                remedy = "Start the rosbridge server, or see to teleop.address."
                raise PeerTimeoutError("a rosbridge server", address, connect_s, remedy)
            if rosapi:
                checks = Checks(self._connection, self.peer, address)
                for topic, kind in topics.items():
                    checks.publishes(topic, kind)
                checks.run(deadline_s)
        except BaseException:
            self.close()
            raise

    def new(self, topic: str) -> list[Heard]:
        """The messages of a topic since the last call, oldest first; of a flood, the last of them."""
        news = [h for h in self.latest.history(topic, math.inf) if h.count > self._seen[topic]]
        if news:
            self._seen[topic] = news[0].count
        return news[::-1]

    def stats(self) -> dict[str, float]:
        """Whether it is connected, connections that ended, rubbish that came."""
        link = self._connection
        return {"connected": float(link.up), "losses": float(link.losses), "rubbish": float(link.rubbish)}

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    # --- Listener, in the I/O thread

    def opened(self) -> list[dict[str, Any]]:
        """What is old is void."""
        self.latest.clear()
        return [
            {
                "op": "subscribe",
                "id": f"subscribe:{topic}",
                "topic": topic,
                "type": kind,
                "compression": "none",
                "throttle_rate": 0,
                "queue_length": _QUEUE,
            }
            for topic, kind in self._topics.items()
        ]

    def heard(self, topic: str, message: Mapping[str, Any]) -> None:
        """Copy and return."""
        self.latest.put(topic, message)

    def ended(self) -> None:
        """What was said on the connection grows old by itself."""
