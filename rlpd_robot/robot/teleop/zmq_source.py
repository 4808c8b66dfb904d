"""Any process over ZeroMQ: a leader arm, a glove, a phone. It publishes (PUB, connecting), this side listens.

One message is one frame, a msgpack map, published about as often as the robot is controlled:

    {"v": 1, "position": [numbers], "enabled": true, "events": ["start"]}

`enabled` is the dead-man switch; `events`, a person's words, may be left out. docs/recording.md has the bytes.
Positions are absolute: the clutch takes the robot over without a bump.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgpack
import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import ProtocolError
from rlpd_robot.robot.teleop.absolute import ACTION, AbsoluteMap, realign_of
from rlpd_robot.robot.teleop.clutch import Clutch
from rlpd_robot.robot.teleop.reader import Reader
from rlpd_robot.robot.teleop.source import Event, TeleopSample, positive_time
from rlpd_robot.spec import RobotSpec
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, listen, make_socket

VERSION = 1
LINK = "teleop.address"

_MAX_BYTES = 1 << 16
_MAX_NUMBERS, _MAX_WORDS = 4096, 16
_LOOK_MS = 100
_WORDS_KEPT = 64
_log = logging.getLogger(__name__)


class Told(NamedTuple):
    """One message: position (N,), dead-man switch, a person's words."""

    position: NDArray[np.float64]
    enabled: bool
    events: tuple[Event, ...]


class _Newest(NamedTuple):
    action: NDArray[np.float64]
    enabled: bool
    at: float


class ZmqTeleop:
    """The newest message acts, while it is young; the words of all of them count.

    Args:
        spec: of the robot.
        address: where to listen; PUB sockets connect to it.
        security: who may connect; with keys, whoever holds the operator's.
        joints, unit: see `AbsoluteMap`.
        realign: how fast device and robot come to agree after the clutch was taken [action/s]; 0: never.
        stale_s: a message counts for so long; then it is as if the switch were let go [s].
        clock: monotonic [s].

    Attributes:
        address: where publishers connect.

    Raises:
        ConfigError, AddressError, KeyFileError: the address cannot be used, or a map is wrong.
    """

    name = "zmq"
    person = True

    def __init__(
        self,
        spec: RobotSpec,
        address: str = "tcp://127.0.0.1:5570",
        security: Security = LOOPBACK_ONLY,
        joints: object = None,
        unit: str = ACTION,
        realign: float = 0.0,
        stale_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._map = AbsoluteMap(spec, joints, unit)
        self._clutch = Clutch(spec.command_size, realign_of(realign, self._map, spec))
        self._stale_s, self._clock = positive_time("teleop.stale_s", stale_s), clock
        self._newest = _Newest(np.zeros(spec.command_size), False, clock())
        self._words: deque[Event] = deque(maxlen=_WORDS_KEPT)
        self._count, self._rubbish = 0, Complaints(_log)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.SUBSCRIBE: b""}
        self._socket = make_socket(self._context, zmq.SUB, _MAX_BYTES, options)
        try:
            self.address = listen(self._socket, LINK, address, security)
        except BaseException:
            self._context.term()
            raise
        self._reader = Reader(f"the device at {self.address}", self._look)

    def begin(self, action: NDArray[np.float32]) -> None:
        """See `TeleopSource`."""
        self._clutch.begin(action)

    def rest(self, action: NDArray[np.float32]) -> None:
        """See `Resting`."""
        self._clutch.begin(action)

    def poll(self) -> TeleopSample:
        """See `TeleopSource`."""
        newest = self._newest
        enabled = self._reader.alive and newest.enabled and self._clock() - newest.at <= self._stale_s
        action = self._clutch.move(newest.action, enabled)
        events = tuple(self._words.popleft() for _ in range(len(self._words)))
        return TeleopSample(action, enabled, events, newest.at)

    def help(self) -> Mapping[str, str]:
        """Where to publish to."""
        return {"listening at": self.address}

    def stats(self) -> Mapping[str, float]:
        """Messages that counted, and others."""
        return {"teleop_messages": float(self._count), "teleop_rubbish": float(self._rubbish.count)}

    def close(self) -> None:
        """Release the address."""
        if self._reader.close() and not self._socket.closed:
            self._socket.close(linger=0)
            self._context.term()

    def _look(self) -> bool:
        """In the reader's thread, which owns the socket from now on."""
        if not self._socket.poll(_LOOK_MS):
            return False
        frames = self._socket.recv_multipart(zmq.NOBLOCK)
        try:
            self._take(unpack(frames, LINK))
        except ProtocolError as error:
            self._rubbish.add(error)
        return True

    def _take(self, told: Told) -> None:
        wanted = 1 + max(int(place) for place in self._map.sources)
        if len(told.position) < wanted:
            raise ProtocolError(LINK, f"'position' has {len(told.position)} numbers", f"{wanted} or more")
        action = self._map.action(told.position[list(map(int, self._map.sources))])
        if action is None:
            raise ProtocolError(LINK, "'position' is far beyond the robot's range", "positions in teleop.unit")
        self._newest = _Newest(action, told.enabled, self._clock())
        self._words.extend(told.events)
        self._count += 1


def unpack(frames: list[bytes], peer: str) -> Told:
    """One message.

    Raises:
        ProtocolError: it is none.
    """
    expected = "one frame, a msgpack map of v, position, enabled and, where wanted, events"
    if len(frames) != 1:
        raise ProtocolError(peer, f"{len(frames)} frames", expected)
    try:
        told: Any = msgpack.unpackb(frames[0], max_map_len=16, max_array_len=_MAX_NUMBERS, max_ext_len=0)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(peer, f"it is not msgpack ({type(error).__name__})", expected) from None
    if not isinstance(told, dict) or told.get("v") != VERSION or isinstance(told["v"], bool):
        raise ProtocolError(peer, f"it is no map with v={VERSION}", expected)
    position, enabled, words = told.get("position"), told.get("enabled"), told.get("events", [])
    if not isinstance(position, list) or not all(type(n) in (int, float) and math.isfinite(n) for n in position):
        raise ProtocolError(peer, "'position' is no list of finite numbers", expected)
    if not isinstance(enabled, bool):
        raise ProtocolError(peer, f"'enabled' is {str(enabled)[:40]!r}", "true or false: the dead-man switch")
    if not isinstance(words, list) or len(words) > _MAX_WORDS or not all(type(w) is str for w in words):
        raise ProtocolError(peer, f"'events' is {str(words)[:80]!r}", "a list of words")
    if unknown := [word for word in words if word not in set(Event)]:
        raise ProtocolError(peer, f"there is no event {unknown[0][:40]!r}", f"one of {[str(e) for e in Event]}")
    return Told(np.array(position, np.float64), enabled, tuple(map(Event, words)))


def pack(position: NDArray[np.float64], enabled: bool, events: tuple[Event, ...] = ()) -> bytes:
    """Inverse of `unpack`: what a device sends."""
    told = {"v": VERSION, "position": position.tolist(), "enabled": enabled, "events": [str(e) for e in events]}
    packed: bytes = msgpack.packb(told)
    return packed
