"""Any robot behind rosbridge, played from its own file: what a dry run puts in the place of one without a stand-in."""

import logging
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.book import CommandBook
from rlpd_robot.timing import SystemClock
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot
from sim.joints import JointsRobot
from sim.rosbridge.graph import Graph
from sim.rosbridge.joints_node import places_of
from sim.rosbridge.rosapi import Rosapi
from sim.rosbridge.server import RosbridgeServer
from sim.rosbridge.simulated_joints import SimulatedJoints, own_spec, states_per_period
from sim.rosbridge_server import run_and_close

_log = logging.getLogger(__name__)


def serve(
    driver: Mapping[str, Any],
    address: str,
    stop: threading.Event,
    lockstep: bool = False,
    insecure: bool = False,
    book: str | None = None,
    faults: Mapping[str, Any] | None = None,
) -> None:
    """Serve the joints of this robot by the wall clock until `stop` is set.

    Args:
        driver: what stands under `robot.driver` in its file: topics, joints, ranges, rate.
        address: where to listen, such as "tcp://127.0.0.1:9090".
        stop: ends it.
        lockstep: a robot behind rosbridge moves by its own clock; the word is here so that it can be refused.
        insecure: allow addresses that other machines can reach.
        book: file to write down what becomes of each command; none: nowhere.
        faults: what goes wrong, the keys of `sim.faults.plan.Plan`; none: nothing.

    Raises:
        ConfigError: something of the robot is no joint, an address that cannot be used, or a fault that means nothing.
        AddressError: the address is taken.
        StoreError: the book cannot be gone on with.
    """
    if lockstep:
        raise ConfigError("sim.lockstep", True, "false: over rosbridge a robot moves by its own clock")
    spec, clock = own_spec(driver), SystemClock()
    graph = Graph(2 if driver.get("ros") == 2 else 1)
    joints = JointsRobot(spec, {name: one["path"] for name, one in driver["state"].items()}, places_of(driver))
    plan = Plan.of(faults or {}, spec, states_per_period(float(driver["period_s"])))
    robot = joints if plan is None else FaultyRobot(joints, plan, clock.now)
    written = CommandBook(Path(book), uuid.uuid4().hex, spec.command_size) if book is not None else None
    Rosapi(graph)
    node = SimulatedJoints(driver, graph, robot, clock.now, written, float if plan is None else plan.stamp)
    server = RosbridgeServer(graph, address, insecure, plan)
    run_and_close(node, server, spec.period_s, stop, (written, plan))
    _log.info("served %s: %d commands", spec.name, node.taken)
