"""Robots behind a rosbridge server, played from their own files by `sim.rosbridge.joints_node`."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from rlpd_robot.timing import SystemClock
from sim.rosbridge.graph import Graph
from sim.rosbridge.joints_node import JointsNode
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer


@contextlib.contextmanager
def playing(settings: dict[str, Any], rate_hz: float = 100.0, start=None) -> Iterator[tuple[JointsNode, str]]:
    """(node, address) of a robot with these settings of a driver."""
    graph = Graph(2 if settings.get("ros") == 2 else 1)
    Rosapi(graph)
    node = JointsNode(settings, graph, start)
    server = RosbridgeServer(graph, "tcp://127.0.0.1:0")
    stop, errors = threading.Event(), []

    def publish(messages) -> None:
        for topic, message, latch in messages:
            graph.publish(topic, message, latch)

    def run() -> None:
        clock = SystemClock()
        origin, index = clock.now(), 0
        server.do(publish, node.signs())
        while not stop.is_set():
            try:
                server.check()
                server.do(publish, node.period())
            except BaseException as error:
                errors.append(error)
                return
            index += 1
            clock.sleep_until(origin + index / rate_hz)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield node, server.url.replace("ws://", "tcp://")
    finally:
        stop.set()
        thread.join(10)
        server.close()
    if errors:
        raise errors[0]
