"""A hand without physics on the stand-in's ROS, with the robot's watchdog and book: it is where it was sent last."""

import threading
import time
import uuid
from pathlib import Path

import numpy as np

from rlpd_robot.robot import motion
from rlpd_robot.robot.book import CommandBook
from rlpd_robot.spec import Field, RobotSpec
from sim.rosbridge import hand_node
from sim.rosbridge.graph import Graph
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer
from sim.rosbridge_server import run


class StillHand:
    """As `AdroitHand`."""

    def __init__(self, joints, period_s: float) -> None:
        size = (len(joints),)
        fields = (("joint_position", "rad"), ("joint_velocity", "rad/s"))
        self.spec = RobotSpec(
            "still",
            period_s,
            tuple(Field(name, size, "float64", unit, labels=tuple(joints)) for name, unit in fields),
            (Field("joint_target", size, "float64", "rad", size[0] * (-1.0,), size[0] * (1.0,), tuple(joints)),),
        )
        self.reset(None)

    def read(self):
        return {"joint_position": self._position.copy(), "joint_velocity": np.zeros(self.spec.command_size)}

    def write(self, values) -> None:
        self._position = values

    def reset(self, seed) -> None:
        self._position = np.zeros(self.spec.command_size)

    def advance(self) -> None:
        pass

    def stop(self) -> None:
        pass


def serve(joints, period_s: float, address: str, book: str, stop: threading.Event) -> None:
    """As `sim.rosbridge_server.serve`."""
    motion.FRESH_PERIODS = hand_node.FRESH_PERIODS = 1000.0  # a busy machine is no cause of its own here
    hand, graph = StillHand(joints, period_s), Graph(1)
    Rosapi(graph)
    written = CommandBook(Path(book), uuid.uuid4().hex, hand.spec.command_size)
    node = hand_node.HandNode(hand, graph, time.monotonic, written)
    server = RosbridgeServer(graph, address)
    try:
        run(node, server, hand.spec.period_s, stop)
    finally:
        server.close()
        written.close()
