"""Any robot behind our wire protocol (`robot/server.py`), over one DEALER socket.

No command of ours may reach the robot late. So nothing is queued for a robot that is not connected (IMMEDIATE), nothing
is sent that answers a state older than `FRESH_PERIODS`, and the server judges freshness again by its own clock.
"""

import math
import time
import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import PeerRefusedError, PeerTimeoutError, ProtocolError, SpecMismatchError
from rlpd_robot.robot.diagnosis import JointLimit, Verdict
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.zmq_diagnosis import link_verdict, stop_verdict
from rlpd_robot.spec import ProblemSpec, RobotSpec
from rlpd_robot.types import RobotState
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES
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
from rlpd_robot.wire.settings import LinkSettings
from rlpd_robot.wire.sockets import Lifeline, Options, dial, make_socket

_HELLO_S = 0.2  # between attempts
_BUSY_S = 2.0  # a dead controller is forgotten sooner than that
_PING_S = 0.25  # silence of ours after which to say that we are there, and before which arrived states count as recent
_RESEND_S = 1.0
_LOST_S = 0.5  # without a connection, after which a simulator that owes an answer is gone
_NEVER_S = -1e9


class ZmqDriver:
    """Implements `Driver`, and `Diagnosable` for the doctor.

    Args:
        address: of the robot's server.
        security: of the link; loopback alone unless told otherwise.
        max_message_bytes: largest state accepted.

    Raises:
        ConfigError: the address cannot be used. Nobody needs to be there yet.
    """

    def __init__(
        self,
        address: str = LinkSettings.robot,
        security: Security = LOOPBACK_ONLY,
        max_message_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.lockstep = False
        self._address, self._max_bytes = address, max_message_bytes
        self._peer = f"robot at {address}"
        self._boot = uuid.uuid4().hex
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.IMMEDIATE: 1, zmq.SNDHWM: 4, zmq.RCVHWM: 2000, zmq.ROUTING_ID: self._boot.encode()}
        try:
            self._socket = make_socket(self._context, zmq.DEALER, max_message_bytes, options)
            dial(self._socket, "link.robot", address, security)
        except BaseException:
            self._context.term()
            raise
        self._lifeline = Lifeline(self._socket)
        self._limits: NDArray[np.float64] | None = None
        self._spec: RobotSpec | None = None
        self._layout: dict[str, tuple[tuple[int, ...], str]] = {}
        self._welcomed = False
        self._number = 0  # of the last request or command
        self._valid_from = -1  # states that had not seen this request are not returned
        self._last: RobotState | None = None  # returned last
        self._outstanding: bytes | None = None  # lock-step: the command without an answer
        self._sent_s = self._heard_s = _NEVER_S
        self._counts = dict.fromkeys(("sent", "dropped", "dropped_stale", "states", "resent"), 0)

    def connect(self, timeout_s: float) -> RobotSpec:
        """See `Driver.connect`. A robot that is still busy with another controller is asked again for 2 s.

        Raises:
            PeerTimeoutError, PeerVersionError, PeerRefusedError: as `Driver.connect`.
            SpecMismatchError: on a second call, the robot is not the one it was.
        """
        started = time.monotonic()
        deadline, busy_until = started + timeout_s, started + _BUSY_S
        self._welcomed = False
        next_hello_s, refused = 0.0, None
        while time.monotonic() < deadline and self._receive(started) is not None:
            continue  # answers to what was said before
        while (now := time.monotonic()) < deadline:
            if now >= next_hello_s and self._try_send(to_bytes(Hello(self._boot))):
                next_hello_s = now + _HELLO_S
            message = self._receive(min(deadline, now + 0.05))
            if isinstance(message, Welcome):
                return self._accept(message)
            if isinstance(message, Refused) and message.request < 0:  # not of a command that we sent before
                refused = message
                if not message.busy or now > busy_until:
                    break
        if refused is not None:
            raise PeerRefusedError(f"The {self._peer}", refused.reason)
        raise PeerTimeoutError("a robot", self._address, timeout_s, "Start the robot's server, or `rlpd-robot sim`.")

    def declare(self, limits: NDArray[np.float64]) -> None:
        """(3, C) lowest and highest value and fastest change [1/s] that our safety filter lets through.

        The robot compares them with its own at each reset, and refuses what lies outside.
        """
        self._limits = np.ascontiguousarray(limits, np.float64)

    def reset(self, seed: int | None, timeout_s: float) -> RobotState:
        """See `Driver.reset`. Shakes hands again first, since the server may have been restarted.

        Raises:
            PeerTimeoutError, PeerRefusedError: no state, or a refusal, in time.
            SpecMismatchError: the robot is not the one it was.
        """
        deadline = time.monotonic() + timeout_s
        self.connect(timeout_s)
        seen = -1 if self.lockstep else self._fresh(deadline, timeout_s).sequence
        request = self._next_number()
        next_send_s = 0.0
        while (now := time.monotonic()) < deadline:
            if now >= next_send_s and self._try_send(to_bytes(Reset(self._boot, request, seen, seed, self._limits))):
                next_send_s = now + (_RESEND_S if self.lockstep else _HELLO_S)
            state = self._receive_state(min(deadline, now + 0.05))
            if state is not None and state.reply_to >= request:
                return self._take(state)
            seen = seen if state is None else max(seen, state.sequence)
        raise self._timeout(timeout_s)

    def read(self, timeout_s: float) -> RobotState:
        """See `Driver.read`.

        Raises:
            PeerTimeoutError: no new state in time; in lock-step at once when no command was sent, and soon after the
                connection ended.
            PeerRefusedError: the server refused a command, or no longer knows us.
        """
        deadline = time.monotonic() + timeout_s
        return self._answer(deadline, timeout_s) if self.lockstep else self._take(self._fresh(deadline, timeout_s))

    def send(self, command: SafeCommand) -> int:
        """See `Driver.send`. In real time, a command that answers a state received too long ago is dropped as well."""
        state = self._last
        too_old = not self.lockstep and time.monotonic() - self._heard_s > FRESH_PERIODS * self._period_s
        if state is None or too_old or not self._welcomed:
            self._counts["dropped_stale"] += 1
            return -1
        values = np.asarray(command.values, np.float64)
        data = to_bytes(CommandMessage(self._boot, self._next_number(), state.sequence, values))
        if self._try_send(data):
            self._counts["sent"] += 1
            self._outstanding = data
            self._valid_from = self._number if self.lockstep else self._valid_from
            return self._number
        self._counts["dropped"] += 1
        return -1

    def stop(self) -> None:
        """See `Driver.stop`."""
        self._outstanding = None
        self._try_send(to_bytes(Stop(self._boot)))

    def close(self) -> None:
        """See `Driver.close`. Tells the server, so that another controller need not wait."""
        if not self._socket.closed:
            if self._welcomed:
                self._try_send(to_bytes(Bye(self._boot)))
            self._lifeline.close()
            self._socket.close(linger=100)
            self._context.term()

    def stats(self) -> Mapping[str, float]:
        """Commands sent and dropped, states returned, commands sent again in lock-step."""
        return {name: float(count) for name, count in self._counts.items()}

    def diagnose_link(self, timeout_s: float) -> Sequence[Verdict]:
        """See `Diagnosable.diagnose_link`."""
        return (link_verdict(self._address, timeout_s),)

    def diagnose_robot(self, timeout_s: float) -> Sequence[Verdict]:
        """See `Diagnosable.diagnose_robot`. A robot that stands is told to stop, which is harmless."""
        left = self._try_send(to_bytes(Stop(self._boot)))
        return (stop_verdict(left, self.echo(timeout_s)),)

    def echo(self, timeout_s: float) -> float:
        """See `Diagnosable.echo`: a handshake with a controller that the server knows changes nothing there."""
        started = time.monotonic()
        self.connect(timeout_s)
        return time.monotonic() - started

    def reported_limits(self, timeout_s: float) -> Mapping[str, JointLimit]:
        """None beside those of its description, which `connect` returned."""
        return {}

    @property
    def _period_s(self) -> float:
        return self._spec.period_s if self._spec is not None else 0.0

    def _accept(self, welcome: Welcome) -> RobotSpec:
        spec = welcome.spec
        if self._spec is not None and (found := _differences(self._spec, spec)):
            raise SpecMismatchError("the robot of before", f"The {self._peer}", found, "Start the actor again.")
        self._spec, self.lockstep, self._welcomed = spec, welcome.lockstep, True
        self._layout = {f.name: (f.shape, np.dtype(f.dtype).str) for f in spec.state}
        self._last, self._outstanding = None, None
        return spec

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _answer(self, deadline: float, timeout_s: float) -> RobotState:
        """Lock-step: the state that followed the last command."""
        resend_s = time.monotonic() + _RESEND_S
        while self._outstanding is not None and (now := time.monotonic()) < deadline:
            state = self._receive_state(min(deadline, resend_s, now + _LOST_S / 4))
            if self._lifeline.cut_for() > _LOST_S:
                break
            if state is not None and state.reply_to >= self._valid_from:
                self._outstanding = None
                return self._take(state)
            if now >= resend_s:
                self._counts["resent"] += self._try_send(self._outstanding)
                resend_s = now + _RESEND_S
        raise self._timeout(timeout_s)

    def _fresh(self, deadline: float, timeout_s: float) -> State:
        """Real time: the newest state, one that was not returned before and did not wait for us in a queue."""
        if time.monotonic() - self._heard_s > max(_PING_S, 2 * self._period_s):
            # Nobody looked for a while. What has piled up is old: only a state that has seen our next ping counts.
            self._valid_from, self._sent_s = self._number + 1, _NEVER_S
        newest = None
        while True:
            now = time.monotonic()
            if now - self._sent_s > _PING_S:
                self._try_send(to_bytes(Ping(self._boot, self._next_number())))
            state = self._receive_state(now if newest is not None else min(deadline, now + _PING_S / 5))
            if state is None and newest is not None:
                return newest
            if state is None and now >= deadline:
                raise self._timeout(timeout_s)
            if state is not None and self._is_new(state):
                newest = state

    def _is_new(self, state: State) -> bool:
        return state.reply_to >= self._valid_from and (self._last is None or state.sequence > self._last.sequence)

    def _take(self, state: State) -> RobotState:
        self._counts["states"] += 1
        self._last = RobotState(state.values, state.sequence, state.stamp_s, time.monotonic(), state.executed)
        return self._last

    def _receive_state(self, until_s: float) -> State | None:
        """One state, or None when there is none until then (or something else came)."""
        message = self._receive(until_s)
        if isinstance(message, Refused):
            self._welcomed, self._outstanding = False, None
            raise PeerRefusedError(f"The {self._peer}", message.reason)
        if not isinstance(message, State):
            return None
        layout = {name: (array.shape, array.dtype.str) for name, array in message.values.items()}
        if layout != self._layout:
            raise ProtocolError(self._peer, f"a state of {layout}", f"{self._layout}, as its description says")
        self._heard_s = time.monotonic()
        return message

    def _receive(self, until_s: float) -> AnyMessage | None:
        wait_ms = max(0, math.ceil(1e3 * (until_s - time.monotonic())))
        if not zmq.zmq_poll([(self._socket, zmq.POLLIN)], wait_ms):
            return None
        return from_bytes(self._socket.recv(zmq.NOBLOCK), self._peer, self._max_bytes)

    def _try_send(self, data: bytes) -> bool:
        """Whether it left at once."""
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EAGAIN, zmq.ENOTSOCK):  # not connected, or closed by us
                return False
            raise
        self._sent_s = time.monotonic()
        return True

    def _timeout(self, timeout_s: float) -> PeerTimeoutError:
        if (cut_s := self._lifeline.cut_for()) > 0:
            remedy = "The connection has ended: see whether its server still runs."
            return PeerTimeoutError("the robot", self._address, round(cut_s, 1), remedy)
        if self.lockstep and self._outstanding is None:
            return PeerTimeoutError("the robot", self._address, 0, "In lock-step, send a command before each read.")
        return PeerTimeoutError("the robot", self._address, timeout_s, "See whether its server still runs.")


def _differences(one: RobotSpec, other: RobotSpec) -> list[str]:
    return ProblemSpec(one, "", 1, 1, 1).differences(ProblemSpec(other, "", 1, 1, 1))
