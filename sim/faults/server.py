"""A robot's server with faults of its link and its clock: messages come late, twice, never; stamps are wrong."""

import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.robot.server import Robot, RobotServer, serve
from rlpd_robot.timing import Clock, SystemClock
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from sim.faults.link import Lane, LinkFault
from sim.faults.plan import Plan
from sim.faults.robot import FaultyRobot


class FaultyServer(RobotServer):
    """Arguments as of `RobotServer`. The robot's own judgement of what is stale goes by its true clock."""

    def __init__(
        self,
        robot: FaultyRobot,
        address: str,
        lockstep: bool,
        security: Security = LOOPBACK_ONLY,
        clock: Clock | None = None,
        key: str = "link.robot",
        book: Path | None = None,
    ) -> None:
        self._plan, self._true = robot.plan, clock or SystemClock()
        self._up, self._down = Lane[list[bytes]](), Lane[tuple[bytes, bytes]]()
        super().__init__(robot, address, lockstep, security, self._true, key, book)

    def close(self) -> None:
        """Release the address and the plan's files."""
        super().close()
        self._plan.close()

    def _frames(self) -> list[bytes] | None:
        now_s = self._true.now()
        faults = [fault for fault in self._plan.active(LinkFault) if fault.way in ("both", "commands")]
        while (frames := super()._frames()) is not None:
            self._up.put(now_s, frames, faults)
        self._pass_on(now_s)
        return next(self._up.take(now_s), None)

    def _send(self, identity: bytes, data: bytes) -> None:
        now_s = self._true.now()
        faults = [fault for fault in self._plan.active(LinkFault) if fault.way in ("both", "states")]
        self._down.put(now_s, (identity, data), faults)
        self._pass_on(now_s)

    def _pass_on(self, now_s: float) -> None:
        for identity, data in self._down.take(now_s):
            super()._send(identity, data)

    def _poll(self, wait_ms: int) -> bool:
        """As before, and no longer than until a message that waits is due."""
        due_s = min((due for due in (self._up.due_s(), self._down.due_s()) if due is not None), default=math.inf)
        left_ms = max(0.0, 1e3 * (due_s - self._true.now()))
        return super()._poll(min(wait_ms, math.ceil(left_ms)) if left_ms < math.inf else wait_ms) or left_ms <= wait_ms

    def _stamp(self, measured_s: float) -> float:
        return self._plan.stamp(measured_s)


def serve_robot_with_faults(
    robot: Robot,
    address: str,
    lockstep: bool,
    stop: threading.Event,
    security: Security = LOOPBACK_ONLY,
    book: Path | None = None,
    faults: Mapping[str, Any] | None = None,
) -> None:
    """Serve any robot until `stop` is set.

    Args:
        faults: what goes wrong, the keys of `Plan`; none: nothing, and then nothing stands between robot and server.

    Raises:
        ConfigError, AddressError, StoreError: as `RobotServer`, or a fault that means nothing.
    """
    plan = Plan.of(faults or {}, robot.spec)
    if plan is None:
        serve(robot, address, lockstep, stop, security, book)
        return
    faulty = FaultyRobot(robot, plan, None if lockstep else time.monotonic)
    server = FaultyServer(faulty, address, lockstep, security, book=book)
    try:
        server.run(stop)
    finally:
        server.close()
