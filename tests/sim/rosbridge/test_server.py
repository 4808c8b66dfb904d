"""What goes wrong in the server's thread is not lost there."""

import pytest

from sim.rosbridge.graph import Graph
from sim.rosbridge.server import RosbridgeServer


def test_a_robot_that_cannot_be_read_ends_whoever_serves_it():
    server = RosbridgeServer(Graph(1), "tcp://127.0.0.1:0")

    def tell():
        raise RuntimeError("the simulator has diverged")

    server.publish(tell)
    server.close()  # after what it was told to do
    with pytest.raises(RuntimeError, match="has diverged"):
        server.check()
