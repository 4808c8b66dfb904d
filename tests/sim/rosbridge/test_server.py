"""What goes wrong in the server's thread is not lost there."""

import time

import pytest

from sim.rosbridge.graph import Graph
from sim.rosbridge.server import RosbridgeServer


def test_a_robot_that_cannot_be_read_ends_whoever_serves_it():
    server = RosbridgeServer(Graph(1), "tcp://127.0.0.1:0")

    def tell():
        raise RuntimeError("the simulator has diverged")

    try:
        server.publish(tell)
        with pytest.raises(RuntimeError, match="has diverged"):
            deadline_s = time.monotonic() + 10
            while time.monotonic() < deadline_s:
                server.check()
    finally:
        server.close()
