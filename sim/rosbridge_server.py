"""The simulated hand behind a rosbridge server: what `rlpd-robot sim robot=adroit_door_rosbridge` starts."""

import logging
import threading
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError
from rlpd_robot.liveness import pulse
from rlpd_robot.robot.book import CommandBook
from rlpd_robot.timing import SystemClock
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot
from sim.hand import AdroitHand
from sim.rosbridge.graph import Graph
from sim.rosbridge.hand_node import HandNode, Periodic
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer
from sim.rosbridge.simulated_joints import SimulatedJoints

_log = logging.getLogger(__name__)


def serve(
    task: str,
    address: str,
    stop: threading.Event,
    lockstep: bool = False,
    insecure: bool = False,
    ros: int = 1,
    book: str | None = None,
    twin: str | None = None,
    randomize: Mapping[str, Any] | None = None,
    faults: Mapping[str, Any] | None = None,
) -> None:
    """Serve one hand by the wall clock, 100 periods a second, until `stop` is set.

    Args:
        task: see `AdroitHand`.
        address: where to listen, such as "tcp://127.0.0.1:9090".
        stop: ends it.
        lockstep: a robot behind rosbridge moves by its own clock; the word is here so that it can be refused.
        insecure: allow addresses that other machines can reach.
        ros: 1 or 2: whose stamps, type names and rosapi it shows.
        book: file to write down what becomes of each command; none: nowhere.
        twin, randomize: see `AdroitHand`.
        faults: what goes wrong, the keys of `sim.faults.plan.Plan`; none: nothing.

    Raises:
        ConfigError: no such task, an address that cannot be used, or a twin, a range or a fault that means nothing.
        MissingPackageError: the models are not installed.
        AddressError: the address is taken.
        StoreError: the book cannot be gone on with.
    """
    if lockstep:
        raise ConfigError("sim.lockstep", True, "false: over rosbridge a robot moves by its own clock")
    if ros not in (1, 2):
        raise ConfigError("robot.stand_in.ros", ros, "1 or 2")
    hand, graph, clock = AdroitHand(task, None, twin, randomize), Graph(ros), SystemClock()
    plan = Plan.of(faults or {}, hand.spec)
    robot = hand if plan is None else FaultyRobot(hand, plan, clock.now)
    written = CommandBook(Path(book), uuid.uuid4().hex, hand.spec.command_size) if book is not None else None
    Rosapi(graph)
    robot.read()  # as `RobotServer` does: the first reading in a record is of no state
    node = HandNode(robot, graph, clock.now, written, float if plan is None else plan.stamp)
    server = RosbridgeServer(graph, address, insecure, plan)
    run_and_close(node, server, hand.spec.period_s, stop, (written, plan))
    _log.info("served %s: %s", hand.spec.name, node.counts)


def run_and_close(
    node: HandNode | SimulatedJoints,
    server: RosbridgeServer,
    period_s: float,
    stop: threading.Event,
    files: Iterable[CommandBook | Plan | None],
) -> None:
    """As `run`; however it ends, the server is closed, the robot stands still, and then these files are closed.

    Raises:
        Exception: as `run`.
    """
    try:
        run(node, server, period_s, stop)
    finally:
        server.close()
        node.halt()
        for file in files:
            if file is not None:
                file.close()


def run(node: Periodic, server: RosbridgeServer, period_s: float, stop: threading.Event) -> None:
    """The robot's own grid of absolute deadlines, until `stop` is set.

    Raises:
        Exception: what ended the server's thread, or the simulator's.
    """
    clock, mine = SystemClock(), pulse()
    origin, index = clock.now(), 0
    while not stop.is_set():
        mine.beat("serving")
        server.check()
        index += 1
        deadline_s = origin + index * period_s
        clock.sleep_until(deadline_s)
        if clock.now() - deadline_s > period_s:
            origin, index = clock.now(), 0
        node.move()
        server.publish(node.tell)
