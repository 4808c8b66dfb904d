"""The robot's side of the robot link: puts any `Robot` behind a socket, for one controller at a time.

Real time: the server keeps its own absolute-deadline grid, hands the robot each fresh command on arrival and streams
the state once a period. Lock-step: it waits for each command, advances one period and answers with the state that
followed.

What must never happen is that a command is executed late. A command names the state that it answers; when that state
was measured more than `FRESH_PERIODS` ago by this server's own clock, the command is refused and counted, whatever held
it up: the network, the controller, or this very process. When none comes for `FRESH_PERIODS`, the robot stops by
itself, and follows nothing before the next reset (`robot/motion.py`).
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import PeerVersionError, ProtocolError, SpecError
from rlpd_robot.liveness import pulse
from rlpd_robot.robot.book import CommandBook, Outcome
from rlpd_robot.robot.motion import FRESH_PERIODS, Motion, OwnLimits, Phase
from rlpd_robot.spec import RobotSpec
from rlpd_robot.timing import Clock, Histogram, SystemClock
from rlpd_robot.wire.gate import refused_peers
from rlpd_robot.wire.messages import (
    AnyMessage,
    Bye,
    CommandMessage,
    Hello,
    Ping,
    Refused,
    Reset,
    State,
    Stop,
    Welcome,
    from_bytes,
    to_bytes,
)
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, listen, make_socket

CONTROLLER_SILENCE_S = 1.0
"""Silence [s] after which another controller may take over, and the state is no longer streamed."""

MAX_MESSAGE_BYTES = 1 << 20  # what a controller sends is small; what it receives may be camera frames
_MESSAGES_A_PERIOD = 256  # a flood must not hold up the robot
_RESET_S = 65.0  # longest time that a reset may take before this process counts as hanging
_IDLE_MS = 100
_STOPS = 5  # times that a robot which stands is told so again
_HISTORY = 16  # remembered stamps: more than FRESH_PERIODS of them

_log = logging.getLogger(__name__)


class Robot(Protocol):
    """One robot, on its own computer: what a wrapper of its library must have. One thread owns it.

    Optional, and looked for by name: `reset(seed)` goes to a start of episode and may take as long as it needs
    (without it the robot stays where it is); `advance()` lets one control period pass (a simulator); `stopped_because`,
    why it has stopped by itself, such as a reflex of its controller or its e-stop, "" while it has not; `ramp_s`, the
    time in which a command that is a rate is brought to zero before `stop` [s]; `max_speed` (C,), the fastest change of
    a command that a controller's safety limits may allow [command unit/s].

    Attributes:
        spec: what it measures and accepts.
    """

    spec: RobotSpec

    def read(self) -> dict[str, NDArray[Any]]:
        """The present state, as `spec.state` says."""

    def write(self, values: NDArray[np.float64]) -> None:
        """Follow this command (C,) from now on."""

    def stop(self) -> None:
        """Stop moving, and hold; repeats are harmless. The next `write` moves it again."""


class RobotServer:
    """Serves one robot. Made, run and closed in that order; `run` may be in another thread.

    Args:
        robot: to be served.
        address: where to listen; port * or 0 chooses one.
        lockstep: wait for each command (simulators only).
        security: of the link; loopback alone unless told otherwise.
        clock: of the control periods.
        key: the setting that `address` came from, for errors.
        book: file to write down what becomes of each command; see `robot/book.py`.

    Attributes:
        address: where controllers connect.

    Raises:
        ConfigError, AddressError: the address cannot be used.
        StoreError: the book cannot be gone on with.
    """

    def __init__(
        self,
        robot: Robot,
        address: str,
        lockstep: bool,
        security: Security = LOOPBACK_ONLY,
        clock: Clock | None = None,
        key: str = "link.robot",
        book: Path | None = None,
    ) -> None:
        self._robot, self._lockstep = robot, lockstep
        self._clock = clock or SystemClock()
        self._boot = uuid.uuid4().hex
        self._spec = robot.spec
        self._pulse = pulse()
        self._period_s = robot.spec.period_s
        self._limits = OwnLimits(robot.spec, getattr(robot, "max_speed", None))
        self._motion = Motion(robot.spec, lockstep, getattr(robot, "ramp_s", 0.0))
        self._advance: Callable[[], None] = getattr(robot, "advance", _nothing)
        self._go_to_start: Callable[[int | None], None] = getattr(robot, "reset", _nothing)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # A controller that reconnects keeps its identity; without HANDOVER the old connection would keep the route.
        options: Options = {zmq.ROUTER_HANDOVER: 1, zmq.SNDHWM: 64, zmq.RCVHWM: 256}
        self._socket = make_socket(self._context, zmq.ROUTER, MAX_MESSAGE_BYTES, options)
        try:
            self.address = listen(self._socket, key, address, security)
            self._book = None if book is None else CommandBook(book, self._boot, robot.spec.command_size)
        except BaseException:
            self._socket.close(linger=0)
            self._context.term()  # not `destroy`, which would close the gate's sockets under it
            raise
        self._identity: bytes | None = None  # of the controller; None: nobody
        self._controller = ""
        self._heard_s = 0.0
        self._number = -1  # highest number of the controller's requests and commands
        self._sequence = -1
        self._stamps: deque[tuple[int, float]] = deque(maxlen=_HISTORY)
        self._state = b""
        self._stopped = 0  # times in a row
        self._rubbish = Complaints(_log)
        self._lateness = Histogram()
        self._counts = dict.fromkeys(
            (
                *("executed", "refused_stale", "refused_order", "refused_invalid", "refused_stopped", "refused_limits"),
                *("strangers", "resets", "stops", "own_stops", "missed"),
            ),
            0,
        )

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; then, or on any error, stop the robot.

        Raises:
            SpecError: the robot's state is not what its spec says.
            Exception: whatever the robot raises.
        """
        try:
            self._check(self._robot.read())
            self._measure()
            if self._lockstep:
                while not stop.is_set():
                    self._pulse.beat("serving")
                    if self._poll(_IDLE_MS):
                        self._receive()
            else:
                self._run_real_time(stop)
        finally:
            self._robot.stop()

    def stats(self) -> dict[str, float]:
        """Counters since the start; `executed` commands; whether it follows (1 or 0); lateness of the periods [ms]."""
        counts = {name: float(count) for name, count in self._counts.items()}
        unauthorized = refused_peers(self._context)
        return {
            **counts,
            "following": float(self._motion.phase is Phase.FOLLOWING),
            "rubbish": float(self._rubbish.count),
            "unauthorized": float(unauthorized),
            **self._lateness.summary("lateness_ms", 1e3),
        }

    def close(self) -> None:
        """Release the address. A second call does nothing."""
        if self._book is not None and not self._socket.closed:
            self._book.close()
        self._socket.close(linger=0)
        self._context.term()

    def _run_real_time(self, stop: threading.Event) -> None:
        origin, index = self._clock.now(), 0
        while not stop.is_set():
            self._pulse.beat("serving")
            index += 1
            deadline = origin + index * self._period_s
            self._listen_until(deadline)
            late = self._clock.now() - deadline
            self._lateness.add(late)
            if late > self._period_s:
                self._counts["missed"] += int(late / self._period_s)
                origin, index = self._clock.now(), 0
            self._heed()
            self._watch()
            self._advance()
            self._measure()
            if self._identity is not None and self._clock.now() - self._heard_s < CONTROLLER_SILENCE_S:
                self._send(self._identity, self._state)

    def _listen_until(self, deadline: float) -> None:
        """Handle messages as they come; those in the last millisecond just after the deadline."""
        for _ in range(_MESSAGES_A_PERIOD):
            left_ms = int(1e3 * (deadline - self._clock.now()))
            if left_ms <= 0 or not self._poll(left_ms):
                break
            self._receive()
        self._clock.sleep_until(deadline)
        for _ in range(_MESSAGES_A_PERIOD):
            if not self._receive():
                break

    def _poll(self, wait_ms: int) -> bool:
        return bool(zmq.zmq_poll([(self._socket, zmq.POLLIN)], wait_ms))  # Socket.poll makes a Poller at each call

    def _heed(self) -> str:
        """A robot that has stopped by itself is told to stop, and follows nothing before a reset; why it has."""
        why: str = getattr(self._robot, "stopped_because", "")
        if why and self._motion.phase is not Phase.STOPPED:
            self._counts["own_stops"] += 1
            self._halt(why)
        return why

    def _watch(self) -> None:
        """Without a fresh command the robot follows nothing any more: hold, bring rates to zero, stop."""
        now, motion = self._clock.now(), self._motion
        if motion.overdue(now):
            motion.hold(now)
            self._counts["own_stops"] += 1
            self._note(Outcome.HELD)
        if motion.phase is Phase.HOLDING:
            values = motion.ramp(now)
            if values is None:
                self._halt(motion.why)
            else:
                self._robot.write(values)

    def _halt(self, why: str) -> None:
        """Stop the robot; one that stands already is told so a few times more, in case it did not hear."""
        self._stopped = self._stopped + 1 if self._motion.phase is Phase.STOPPED else 0
        self._motion.stop(why)
        if self._stopped < _STOPS:
            self._counts["stops"] += 1
            self._robot.stop()
            self._note(Outcome.STOP)

    def _receive(self) -> bool:
        """Handle one message; False when there is none."""
        frames = self._frames()
        if frames is None:
            return False
        identity, peer = frames[0], f"controller {frames[0][:8].hex()} on {self.address}"
        try:
            if len(frames) != 2:
                raise ProtocolError(peer, f"{len(frames) - 1} frames", "one")
            self._handle(identity, from_bytes(frames[1], peer, MAX_MESSAGE_BYTES))
        except ProtocolError as error:
            self._rubbish.add(error)
        except PeerVersionError as error:
            self._rubbish.add(error)
            self._send(identity, to_bytes(Refused(str(error))))
        return True

    def _frames(self) -> list[bytes] | None:
        """Of the next message, its sender first; None: there is none."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def _handle(self, identity: bytes, message: AnyMessage) -> None:
        if isinstance(message, Hello):
            self._greet(identity, message)
            return
        if not isinstance(message, CommandMessage | Reset | Ping | Stop | Bye):
            raise ProtocolError(self.address, f"a '{message.kind}'", "a message of a controller")
        if identity != self._identity or message.boot != self._controller:
            self._counts["strangers"] += 1
            reason = "it does not know this controller, or has another one by now; connect again"
            self._send(identity, to_bytes(Refused(reason)))
            return
        self._heard_s = self._clock.now()
        match message:
            case CommandMessage():
                self._command(identity, message)
            case Reset():
                self._reset(identity, message)
            case Ping():
                self._number = max(self._number, message.request)
            case Stop():
                self._halt("its controller told it to stop")
            case Bye():
                self._identity = None
                self._halt("its controller left")

    def _greet(self, identity: bytes, hello: Hello) -> None:
        silence_s = self._clock.now() - self._heard_s
        if self._identity is not None and hello.boot != self._controller and silence_s < CONTROLLER_SILENCE_S:
            reason = f"another controller was heard {silence_s:.1f} s ago; stop that one first"
            self._send(identity, to_bytes(Refused(reason, busy=True)))
            return
        if hello.boot != self._controller:
            self._number = self._motion.executed = -1
            if self._motion.phase is not Phase.STOPPED:
                self._halt("another controller took over")
        self._identity, self._controller, self._heard_s = identity, hello.boot, self._clock.now()
        self._send(identity, to_bytes(Welcome(self._boot, self._spec, self._lockstep)))

    def _command(self, identity: bytes, message: CommandMessage) -> None:
        if message.sequence <= self._number:
            if self._lockstep and message.sequence == self._number:
                self._note(Outcome.REPEATED, message)
                self._send(identity, self._state)  # asked again: the answer was lost
            else:
                self._note(Outcome.OUT_OF_ORDER, message)
                self._counts["refused_order"] += 1
            return
        self._number = message.sequence
        self._heed()
        problem = self._limits.problem(message.values)
        if problem:
            self._note(Outcome.INVALID, message)
            self._counts["refused_invalid"] += 1
            self._send(identity, to_bytes(Refused(problem, request=message.sequence)))
        elif self._motion.phase is not Phase.FOLLOWING:
            self._note(Outcome.NOT_RESET, message)
            self._counts["refused_stopped"] += 1
            reason = f"{self._motion.why}, and it follows no command before a reset"
            self._send(identity, to_bytes(Refused(reason, request=message.sequence)))
        elif not self._is_fresh(message.state_sequence):
            self._note(Outcome.STALE, message)
            self._counts["refused_stale"] += 1
            if self._lockstep:
                reason = f"a command answers state {message.state_sequence}, the robot is at {self._sequence}"
                self._send(identity, to_bytes(Refused(reason, request=message.sequence)))
        else:
            self._robot.write(message.values)
            self._motion.follow(message.sequence, message.values, self._clock.now())
            self._note(Outcome.EXECUTED, message)  # before its outcome can be known to anybody
            self._counts["executed"] += 1
            if self._lockstep:
                self._advance()
                self._measure()
                self._send(identity, self._state)

    def _is_fresh(self, state_sequence: int) -> bool:
        if self._lockstep:
            return state_sequence == self._sequence
        oldest_s = self._clock.now() - FRESH_PERIODS * self._period_s
        return any(sequence == state_sequence and stamp_s >= oldest_s for sequence, stamp_s in self._stamps)

    def _reset(self, identity: bytes, message: Reset) -> None:
        if message.request <= self._number:
            if self._lockstep and message.request == self._number:
                self._send(identity, self._state)
            return
        if not self._lockstep and not self._is_fresh(message.state_sequence):
            self._counts["refused_stale"] += 1  # its number is not noted: the controller asks again with a fresh state
            return
        mismatch = self._limits.mismatch(message.limits)
        if mismatch:
            self._counts["refused_limits"] += 1
            self._send(identity, to_bytes(Refused(mismatch, request=message.request)))
            return
        if why := self._heed():
            refusal = f"it does not move before this is over: {why}"
            self._send(identity, to_bytes(Refused(refusal, request=message.request)))
            if self._lockstep:
                self._advance()  # its time passes with requests only, and it shall be over at some time
            return
        self._pulse.beat("resetting", _RESET_S)
        self._go_to_start(message.seed)
        self._motion.reset(self._clock.now())
        self._note(Outcome.RESET, message)
        self._counts["resets"] += 1
        self._number = message.request
        self._heard_s = self._clock.now()  # it waited for us
        self._measure()
        self._send(identity, self._state)

    def _note(self, outcome: Outcome, message: CommandMessage | Reset | None = None) -> None:
        if self._book is None:
            return
        match message:
            case CommandMessage():
                numbers = (message.sequence, message.state_sequence, self._sequence)
                self._book.add(outcome, message.boot, *numbers, message.values)
            case Reset():
                self._book.add(outcome, message.boot, message.request, message.state_sequence, self._sequence)
            case None:
                self._book.add(outcome, self._controller, state=self._sequence)

    def _measure(self) -> None:
        self._sequence += 1
        # A simulator in lock-step has a clock of its own, so that the same run gives the same stamps.
        measured_s = self._sequence * self._period_s if self._lockstep else self._clock.now()
        self._stamps.append((self._sequence, measured_s))
        values, stamp_s = self._robot.read(), self._stamp(measured_s)
        self._state = to_bytes(State(self._sequence, stamp_s, self._number, self._motion.executed, values))

    def _stamp(self, measured_s: float) -> float:
        """What a state tells of when it was measured [s]."""
        return measured_s

    def _check(self, values: dict[str, NDArray[Any]]) -> None:
        want = {f.name: (f.shape, f.dtype) for f in self._spec.state}
        have = {name: (array.shape, array.dtype.name) for name, array in values.items()}
        if want != have:
            raise SpecError(f"Robot '{self._spec.name}'", f"it measures {have}", f"{want}, as its spec says")

    def _send(self, identity: bytes, data: bytes) -> None:
        # A ROUTER drops what its peer cannot take: the stream goes on, and an answer in lock-step is asked for again.
        self._socket.send_multipart((identity, data), zmq.NOBLOCK)


def _nothing(seed: int | None = None) -> None:
    """What an optional method that the robot has not got does."""


def serve(
    robot: Robot,
    address: str,
    lockstep: bool,
    stop: threading.Event,
    security: Security = LOOPBACK_ONLY,
    book: Path | None = None,
) -> None:
    """Serve a robot until `stop` is set. See `RobotServer` for arguments and errors."""
    server = RobotServer(robot, address, lockstep, security, book=book)
    started = time.monotonic()
    try:
        server.run(stop)
    finally:
        server.close()
        _log.info("served %s for %.0f s: %s", robot.spec.name, time.monotonic() - started, server.stats())
