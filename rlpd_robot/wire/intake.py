"""The learner's end of the data link: segments of any number of actors, each transition once and in order.

No thread: the learner calls `poll` or `pump` between its updates, and meanwhile actors keep what they have. A segment
is acknowledged when the learner says that it is on its disk, not when it arrives.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import zmq

from rlpd_robot.errors import PeerVersionError, ProtocolError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES
from rlpd_robot.wire.gate import refused_peers
from rlpd_robot.wire.messages import (
    Ack,
    ActorHello,
    AnyMessage,
    EpisodeEnd,
    Event,
    Grant,
    Heartbeat,
    LearnerWelcome,
    Refused,
    SayHello,
    SegmentMessage,
    from_bytes,
    to_bytes,
)
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, listen, make_socket

_TURN = 1000
"""Messages handled in one call: the learner must get back to its updates."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActorInfo:
    """What is known of one actor.

    Attributes:
        problem: its robot and task.
        lockstep: whether it waits for grants.
        next_sequence: sequence number of the transition that is expected next.
        last_heard_s: when it was heard last, on the monotonic clock [s].
        stats: from its last heartbeat.
    """

    problem: ProblemSpec
    lockstep: bool
    next_sequence: int
    last_heard_s: float
    stats: Mapping[str, float]


@dataclass(slots=True)
class _Boot:
    identity: bytes
    problem: ProblemSpec
    lockstep: bool
    first: int
    expected: int
    committed: int
    end: int  # -1: goes on
    end_told: bool
    last_heard_s: float
    episode: int | None = None  # the one that goes on
    stats: Mapping[str, float] = field(default_factory=dict)
    grant: Grant | None = None


class LearnerIntake:
    """Receives from actors. One thread owns it.

    Args:
        address: where to listen; port * or 0 chooses one.
        run: the run's name, told to actors.
        accept: called with an actor's problem; None welcomes it, a text is the refusal's reason.
        committed: the next sequence of a boot that is not on this learner's disk; 0 for an unknown boot.
        security: of the link; loopback alone unless told otherwise.
        max_bytes: largest message accepted.
        key: the setting that `address` came from, for errors.

    Attributes:
        address: where actors connect.

    Raises:
        ConfigError, AddressError: the address cannot be used.
    """

    def __init__(
        self,
        address: str,
        run: str,
        accept: Callable[[ProblemSpec], str | None],
        committed: Callable[[str], int],
        security: Security = LOOPBACK_ONLY,
        max_bytes: int = DEFAULT_MAX_BYTES,
        key: str = "link.data",
    ) -> None:
        self._run, self._accept, self._committed, self._max_bytes = run, accept, committed, max_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.SNDHWM: 1000, zmq.RCVHWM: 256}
        try:
            self._socket = make_socket(self._context, zmq.ROUTER, max_bytes, options)
            self.address = listen(self._socket, key, address, security)
        except BaseException:
            self._context.term()
            raise
        self._boots: dict[str, _Boot] = {}
        self._inbox: list[Segment | EpisodeEnd] = []
        self._events: deque[tuple[str, Event]] = deque(maxlen=100)
        self._rubbish = Complaints(_log)
        self._counts = dict.fromkeys(("received", "duplicates", "gaps", "lost", "refused"), 0)

    def poll(self, timeout_s: float) -> list[Segment | EpisodeEnd]:
        """What has come, waiting up to `timeout_s` for a first piece. Of each boot in order, no gap, nothing twice.

        Each piece is handed over once. Whoever drops it must restart the learner to see it again.
        """
        self.pump(timeout_s)
        pieces, self._inbox = self._inbox, []
        return pieces

    def pump(self, timeout_s: float) -> None:
        """As `poll`, keeping what came for the next `poll`: answers handshakes and heartbeats during long work."""
        deadline = time.monotonic() + timeout_s
        for _ in range(_TURN):
            left_s = 0.0 if self._inbox else deadline - time.monotonic()
            if not zmq.zmq_poll([(self._socket, zmq.POLLIN)], max(0, int(1e3 * left_s + 0.999))):
                return
            self._receive()

    def acknowledge(self, boot: str, next_sequence: int) -> None:
        """Tell the actor that everything of `boot` below `next_sequence` is on this learner's disk."""
        state = self._boots.get(boot)
        if state is not None and next_sequence > state.committed:
            state.committed = next_sequence
            self._reply(state.identity, Ack(boot, next_sequence, state.expected, -1, state.episode is not None))

    def grant(self, boot: str, until_sequence: int, policy_version: int) -> None:
        """Let the actor of `boot` act up to, not including, `until_sequence`, with this policy.

        It is told again with each of its heartbeats, so that a lost grant does not hold it up for good.
        """
        state = self._boots.get(boot)
        if state is not None:
            state.grant = Grant(boot, until_sequence, policy_version)
            self._reply(state.identity, state.grant)

    def actors(self) -> dict[str, ActorInfo]:
        """Every actor that has introduced itself, by boot; dead ones whose journal a successor delivers left out."""
        return {
            boot: ActorInfo(s.problem, s.lockstep, s.expected, s.last_heard_s, s.stats)
            for boot, s in self._boots.items()
            if s.end < 0
        }

    def ended(self) -> list[str]:
        """Boots of dead actors of which everything has been received: their last episode will not go on."""
        return [
            boot
            for boot, s in self._boots.items()
            if 0 <= s.end <= s.expected and not (s.end_told and s.end == s.expected and s.episode is not None)
        ]

    def events(self) -> list[tuple[str, Event]]:
        """(boot, event) that actors told since the last call."""
        events = list(self._events)
        self._events.clear()
        return events

    def stats(self) -> dict[str, float]:
        """Transitions received, committed, dropped as duplicates, missing for good; messages that left a gap."""
        committed = sum(max(0, s.committed - s.first) for s in self._boots.values())
        counts = {name: float(count) for name, count in self._counts.items()}
        return {
            **counts,
            "committed": float(committed),
            "rubbish": float(self._rubbish.count),
            "unauthorized": float(refused_peers(self._context)),
        }

    def close(self) -> None:
        """Send what is on its way out for up to 0.2 s and release the address. A second call does nothing."""
        if not self._socket.closed:
            self._socket.close(linger=200)
            self._context.term()

    def _receive(self) -> None:
        frames = self._socket.recv_multipart(zmq.NOBLOCK)
        identity, peer = frames[0], f"actor {frames[0].hex()} on {self.address}"
        try:
            if len(frames) != 2:
                raise ProtocolError(peer, f"{len(frames) - 1} frames", "one")
            self._handle(identity, from_bytes(frames[1], peer, self._max_bytes), peer)
        except ProtocolError as error:
            self._rubbish.add(error)
        except PeerVersionError as error:
            self._rubbish.add(error)
            self._reply(identity, Refused(str(error)))

    def _handle(self, identity: bytes, message: AnyMessage, peer: str) -> None:
        match message:
            case ActorHello():
                self._greet(identity, message)
            case SegmentMessage():
                self._take(identity, message.segment)
            case EpisodeEnd():
                self._take_end(identity, message)
            case Heartbeat():
                self._answer(identity, message)
            case Event():
                own = self._own(identity)
                if own is not None:
                    self._events.append((own, message))
            case _:
                raise ProtocolError(peer, f"a '{message.kind}'", "a message of an actor")

    def _greet(self, identity: bytes, hello: ActorHello) -> None:
        reason = self._accept(hello.problem)
        if reason is not None:
            self._counts["refused"] += 1
            self._reply(identity, Refused(reason))
            return
        committed = max(0, self._committed(hello.boot))
        state = self._boots.get(hello.boot)
        if state is None:
            start = max(committed, hello.next_sequence)
            end = hello.end_sequence, hello.end_told
            state = _Boot(identity, hello.problem, hello.lockstep, start, start, committed, *end, 0.0)
            self._boots[hello.boot] = state
        elif hello.next_sequence > state.expected:
            self._counts["lost"] += hello.next_sequence - state.expected  # the actor no longer has them
            state.expected, state.episode = hello.next_sequence, None
        state.identity, state.last_heard_s = identity, time.monotonic()
        state.end, state.end_told = hello.end_sequence, hello.end_told
        state.committed = max(state.committed, committed)
        fingerprint, is_open = hello.problem.fingerprint, state.episode is not None
        welcome = LearnerWelcome(self._run, fingerprint, hello.boot, state.committed, state.expected, is_open)
        self._reply(identity, welcome)
        if state.grant is not None:
            self._reply(identity, state.grant)

    def _take(self, identity: bytes, segment: Segment) -> None:
        state = self._known(identity, segment.boot)
        if state is None:
            return
        known = min(max(0, state.expected - segment.first_sequence), len(segment))
        self._counts["duplicates"] += known
        end_missing = known == 0 and state.episode not in (None, segment.episode)
        if segment.first_sequence > state.expected or end_missing:
            self._counts["gaps"] += 1  # the answer to its next heartbeat makes the actor send what is missing
        elif known < len(segment):
            state.expected = segment.next_sequence
            state.episode = None if segment.ending else segment.episode
            self._counts["received"] += len(segment) - known
            self._inbox.append(_after(segment, known))

    def _take_end(self, identity: bytes, end: EpisodeEnd) -> None:
        state = self._known(identity, end.boot)
        if state is None:
            return
        if end.sequence > state.expected:
            self._counts["gaps"] += 1
        elif (end.sequence, end.episode) == (state.expected, state.episode):
            state.episode = None
            self._inbox.append(end)

    def _known(self, identity: bytes, boot: str) -> _Boot | None:
        """The boot, if it introduced itself on this connection; otherwise it is asked to."""
        state = self._boots.get(boot)
        if state is None or state.identity != identity:
            self._reply(identity, SayHello())
            return None
        state.last_heard_s = time.monotonic()
        return state

    def _answer(self, identity: bytes, heartbeat: Heartbeat) -> None:
        mine = [(boot, state) for boot, state in self._boots.items() if state.identity == identity]
        if not mine:
            self._reply(identity, SayHello())
        for boot, state in mine:
            is_open = state.episode is not None
            self._reply(identity, Ack(boot, state.committed, state.expected, heartbeat.number, is_open))
            if state.end < 0:
                state.last_heard_s, state.stats = time.monotonic(), heartbeat.stats
                if state.grant is not None:
                    self._reply(identity, state.grant)

    def _own(self, identity: bytes) -> str | None:
        return next((boot for boot, s in self._boots.items() if s.identity == identity and s.end < 0), None)

    def _reply(self, identity: bytes, message: AnyMessage) -> None:
        self._socket.send_multipart((identity, to_bytes(message)), zmq.NOBLOCK)  # dropped for a peer that is gone


def _after(segment: Segment, known: int) -> Segment:
    """The segment without its first `known` transitions."""
    if known == 0:
        return segment
    columns = (
        "actions",
        "proposed_actions",
        "rewards",
        "success",
        "intervened",
        "safety",
        "policy_versions",
        "stamps_s",
    )
    return replace(
        segment,
        first_sequence=segment.first_sequence + known,
        first_step=segment.first_step + known,
        observations=segment.observations[known:],
        **{name: getattr(segment, name)[known:] for name in columns},
    )
