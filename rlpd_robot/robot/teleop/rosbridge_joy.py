"""A `sensor_msgs/Joy` topic behind rosbridge: a gamepad, a SpaceMouse or a pedal at a machine with ROS."""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ProtocolError
from rlpd_robot.robot.teleop.axes import AxisMap, Integrator
from rlpd_robot.robot.teleop.controls import Controls
from rlpd_robot.robot.teleop.rosbridge_topics import Topics
from rlpd_robot.robot.teleop.source import TeleopSample, positive_time
from rlpd_robot.spec import RobotSpec
from rlpd_robot.wire.sockets import Complaints

TYPE = "sensor_msgs/Joy"
STICK_NAMES = tuple(f"axis_{i}" for i in range(32))
BUTTON_NAMES = tuple(f"button_{i}" for i in range(32))
"""By their place in the message."""

_log = logging.getLogger(__name__)


class JoyTeleop:
    """Sticks that move a robot by rates, and buttons. Between two messages the last one counts, for `stale_s`.

    Args:
        spec: of the robot.
        axes: see `AxisMap`.
        sticks, buttons, dead_zone: see `Controls`; names are those of `STICK_NAMES` and `BUTTON_NAMES`.
        topic: its name.
        address, insecure, rosapi, connect_s: see `Topics`.
        stale_s: a message counts for so long; then it is as if everything were let go [s].

    Raises:
        ConfigError: a map or an address is wrong.
        PeerTimeoutError, PeerRefusedError: no server, or nobody publishes the topic.
    """

    name = "rosbridge joy"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        axes: Mapping[str, Mapping[str, float]],
        sticks: Mapping[str, object],
        buttons: Mapping[str, str],
        address: str,
        topic: str = "/joy",
        dead_zone: float = 0.1,
        stale_s: float = 0.2,
        insecure: bool = False,
        rosapi: bool = True,
        connect_s: float = 10.0,
    ) -> None:
        axis_map = AxisMap(axes, spec)
        self._controls = Controls(axis_map, sticks, buttons, dead_zone, (STICK_NAMES, BUTTON_NAMES))
        self._integrator, self._stale_s = Integrator(axis_map, spec), positive_time("teleop.stale_s", stale_s)
        self._topic, self._rubbish, self._count = topic, Complaints(_log), 0
        self._raw: dict[str, float] = {}
        self._held: tuple[str, ...] = ()
        # In the last message, however old. What is held in the first one was not pressed now.
        self._before: tuple[str, ...] | None = None
        self._stamp_s = time.monotonic()
        self._topics = Topics(address, {topic: TYPE}, {}, insecure, rosapi, connect_s)

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`."""
        self._integrator.begin(action)

    def rest(self, action: NDArray[np.float32]) -> None:
        """See `Resting`."""
        self._integrator.begin(action)

    def follow(self, action: NDArray[np.float32]) -> None:
        """See `Following`."""
        self._integrator.follow(action)

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        pressed: list[str] = []
        for heard in self._topics.new(self._topic):
            try:
                raw, held = read_joy(heard.message, self._topics.peer)
            except ProtocolError as error:
                self._rubbish.add(error)
                continue
            pressed += [name for name in held if self._before is not None and name not in self._before]
            self._raw, self._held, self._before, self._stamp_s = raw, held, held, heard.received_s
            self._count += 1
        if time.monotonic() - self._stamp_s > self._stale_s:
            self._raw, self._held = {}, ()
            enabled = False
        else:
            enabled = self._controls.enabled(self._held)
        action = self._integrator.move(self._controls.deflections(self._raw, self._held) if enabled else {})
        return TeleopSample(action, enabled, self._controls.events(pressed), self._stamp_s)

    def help(self) -> Mapping[str, str]:
        """See `TeleopSource`."""
        return self._controls.help()

    def stats(self) -> Mapping[str, float]:
        """Messages that counted, and the link's."""
        counts = {"teleop_messages": float(self._count), "teleop_rubbish": float(self._rubbish.count)}
        return {**counts, **self._topics.stats()}

    def close(self) -> None:
        """End the connection."""
        self._topics.close()


def read_joy(message: Mapping[str, Any], peer: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Stick → deflection, and the buttons that are held.

    Raises:
        ProtocolError: it is no Joy message.
    """
    axes, buttons = message.get("axes"), message.get("buttons")
    if not isinstance(axes, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in axes):
        raise ProtocolError(peer, f"'axes' is {str(axes)[:80]}", "a list of finite numbers")
    if not isinstance(buttons, list) or not all(type(v) in (int, bool) for v in buttons):
        raise ProtocolError(peer, f"'buttons' is {str(buttons)[:80]}", "a list of 0 and 1")
    raw = dict(zip(STICK_NAMES, map(float, axes), strict=False))
    return raw, tuple(name for name, down in zip(BUTTON_NAMES, buttons, strict=False) if down)
