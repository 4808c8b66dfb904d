"""The actor's end of the data link: every transition to the learner, exactly once, without ever keeping a tick waiting.

`offer` journals in its caller's thread, one write; another thread sends it until the learner has it on its disk.
The learner's answers to heartbeats tell what it has received; what was lost with a connection or with a killed learner
is sent again from there. Duplicates are dropped by the learner, which knows each transition by (boot, sequence).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping

import zmq

from rlpd_robot.errors import DataError, PeerVersionError, ProtocolError
from rlpd_robot.liveness import beating
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Ending, Segment
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.journal_file import Position, Record
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
    from_bytes,
    to_bytes,
)
from rlpd_robot.wire.outbox import Stream
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, Waker, dial, make_socket

HEARTBEAT_S = 0.5
CONNECTED_S = 5.0
"""Silence of the learner [s] after which it does not count as connected."""

_HELLO_S = 0.5
_REFUSED_S = 2.0  # until a learner that refused is asked again: it may be another one by then
_CLOSE_S = 5.0
_TURN = 64  # messages
_OVERHEAD_BYTES = 4096  # of a segment: header, cause, padding

_log = logging.getLogger(__name__)


class ActorUplink:
    """Delivers the segments of one actor, and those that dead predecessors left in its journal.

    Args:
        address: of the learner's intake; nobody needs to be there yet.
        boot: this actor's boot.
        problem: robot and task.
        lockstep: whether this actor waits for grants.
        journal: where everything is kept until acknowledged.
        first_sequence: of this boot.
        security: of the link; loopback alone unless told otherwise.
        max_bytes: largest message.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(
        self,
        address: str,
        boot: str,
        problem: ProblemSpec,
        lockstep: bool,
        journal: Journal,
        first_sequence: int = 0,
        security: Security = LOOPBACK_ONLY,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._peer, self._boot, self._problem = f"learner at {address}", boot, problem
        self._lockstep, self._max_bytes, self._journal = lockstep, max_bytes, journal
        self._streams: dict[str, Stream] = {}  # of the dead first
        journal.begin(boot, first_sequence, problem.fingerprint)
        self._left = {left.boot: left for left in journal.pending()}
        for left in self._left.values():
            self._streams[left.boot] = Stream(left.boot, left.first, (left.next, left.end_told), journal)
        self._own = Stream(boot, first_sequence, (first_sequence, True), journal)
        self._streams[boot] = self._own
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.IMMEDIATE: 1, zmq.SNDHWM: 64, zmq.RCVHWM: 1000}
        try:
            self._socket = make_socket(self._context, zmq.DEALER, max_bytes, options)
            dial(self._socket, "link.data", address, security)
        except BaseException:
            self._context.term()
            raise
        self._waker = Waker()
        self._changed = threading.Condition()
        self._offered: deque[Record] = deque()
        self._offers = self._taken = 0
        self._episode: int | None = None  # the one that goes on
        self._next = first_sequence
        self._events: deque[bytes] = deque(maxlen=100)
        self._stats: Mapping[str, float] = {}
        self._grant: Grant | None = None
        self._refusal: str | None = None
        self._error: BaseException | None = None
        self._closing = False
        self._heard_s = self._hello_s = self._heartbeat_s = -1e9
        self._number = self._rewound_at = 0
        self._positions: deque[tuple[int, dict[str, Position]]] = deque(maxlen=32)  # at each heartbeat sent
        self._sent = 0
        self._rubbish = Complaints(_log)
        self._thread = threading.Thread(target=self._run, name="actor uplink", daemon=True)
        self._thread.start()

    @property
    def committed(self) -> int:
        """The learner has this boot's transitions below this sequence number on its disk."""
        return self._own.committed

    @property
    def granted(self) -> Grant | None:
        """The newest grant."""
        return self._grant

    @property
    def connected(self) -> bool:
        """Whether a learner has welcomed this actor and was heard lately."""
        heard_lately = time.monotonic() - self._heard_s < CONNECTED_S
        return heard_lately and self._refusal is None and self._own.welcomed

    @property
    def refusal(self) -> str | None:
        """Why the learner does not work with this actor, in its own words; None while nothing is wrong."""
        return self._refusal

    def offer(self, segment: Segment) -> None:
        """Journal one segment of this boot, now, and have it sent. Never waits for a peer or for the disk to hold it.

        Raises:
            DataError: it is of another boot or episode than it must be, or larger than a message may be.
            OSError: the disk refuses.
            Exception: whatever ended the uplink's thread.
        """
        self._raise_error()
        size = segment.observations.nbytes + segment.actions.nbytes * 2 + len(segment) * 64 + _OVERHEAD_BYTES
        if segment.boot != self._boot or size > self._max_bytes:
            expected = f"boot {self._boot} and at most {self._max_bytes} bytes"
            raise DataError("Segment to be sent", f"boot {segment.boot}, {size} bytes", expected)
        if self._episode not in (None, segment.episode):
            expected = f"the end of episode {self._episode} before it"
            raise DataError("Segment to be sent", f"it is of episode {segment.episode}", expected)
        self._journal_and_send(segment)
        self._episode, self._next = None if segment.ending else segment.episode, segment.next_sequence

    def end_episode(self, episode: int, ending: Ending, cause: str) -> None:
        """Journal how the episode of the last segment ended, unless it has ended already. Never waits.

        Raises:
            DataError: another episode goes on, or it ended in a terminal state, which only a transition can tell.
            OSError: the disk refuses.
            Exception: whatever ended the uplink's thread.
        """
        self._raise_error()
        if self._episode is None:
            return
        if self._episode != episode:
            raise DataError("End of an episode", f"it is of episode {episode}", f"one of episode {self._episode}")
        self._journal_and_send(EpisodeEnd(self._boot, self._next, episode, ending, cause))
        self._episode = None

    def _journal_and_send(self, given: Segment | EpisodeEnd) -> None:
        record = self._journal.append(given)
        self._offers += 1
        self._offered.append(record)
        self._waker.wake()

    def set_heartbeat(self, stats: Mapping[str, float]) -> None:
        """Counters to be sent with each heartbeat."""
        self._raise_error()
        self._stats = {str(name): float(value) for name, value in stats.items()}

    def tell(self, text: str, severity: str = "info") -> None:
        """Have the learner show something. It is sent once, and lost with a lost connection."""
        self._raise_error()
        self._events.append(to_bytes(Event(text, severity)))
        self._waker.wake()

    def wait_grant(self, until_sequence: int, timeout_s: float) -> Grant | None:
        """The newest grant once it reaches `until_sequence`; None when it does not in time, or the learner refuses."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._reaches(until_sequence) or self._error is not None or self._refusal is not None, timeout_s
            )
        self._raise_error()
        return self._grant if self._reaches(until_sequence) else None

    def flush(self, timeout_s: float) -> bool:
        """Wait until the learner has everything on its disk; False when it has not in time, or refuses."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._delivered or self._error is not None or self._refusal is not None, timeout_s
            )
        self._raise_error()
        return done and self._delivered

    def stats(self) -> dict[str, float]:
        """Transitions sent (again), committed and waiting; connection; the journal's."""
        streams = tuple(self._streams.values())
        return {
            "sent": float(self._sent),
            "sent_again": float(sum(s.again for s in streams)),
            "committed": float(self.committed),
            "uncommitted": float(sum(s.end[0] - s.committed for s in streams)),
            "outbox": float(len(self._offered)),
            "connected": float(self.connected),
            "rubbish": float(self._rubbish.count),
            **self._journal.stats(),
        }

    def close(self) -> None:
        """End the thread. What the learner has not committed stays in the journal. A second call does nothing."""
        if not self._closing:
            self._closing = True
            self._waker.wake()
            self._thread.join(_CLOSE_S)
            self._waker.close()

    @property
    def _delivered(self) -> bool:
        return self._taken == self._offers and all(stream.delivered for stream in tuple(self._streams.values()))

    def _reaches(self, until_sequence: int) -> bool:
        return self._grant is not None and self._grant.until_sequence >= until_sequence

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._waker.fd, zmq.POLLIN)
            with beating("uplink") as pulse:
                while not (self._closing and not self._offered):
                    pulse.beat()
                    poller.register(self._socket, zmq.POLLIN | (zmq.POLLOUT if self._has_output() else 0))
                    poller.poll(self._wait_ms())
                    self._waker.clear()
                    self._take_offers()
                    self._receive()
                    self._introduce()
                    self._beat()
                    self._send()
                    with self._changed:
                        self._changed.notify_all()
        except BaseException as error:
            self._error = error  # raised by the caller's next call
        finally:
            self._socket.close(linger=200)
            self._context.term()
            with self._changed:
                self._changed.notify_all()

    def _has_output(self) -> bool:
        return (
            self._hello_due(time.monotonic())
            or self._stream_to_send() is not None
            or bool(self._events and self._own.welcomed)
        )

    def _hello_due(self, now: float) -> bool:
        interval_s = _HELLO_S if self._refusal is None else _REFUSED_S
        return now >= self._hello_s + interval_s and not all(s.welcomed for s in self._streams.values())

    def _wait_ms(self) -> int:
        """Until the next heartbeat, at most; a hello that is due waits for the connection."""
        if self._offered:
            return 0
        return max(0, int(1e3 * (self._heartbeat_s + HEARTBEAT_S - time.monotonic()))) + 1

    def _stream_to_send(self) -> Stream | None:
        """The first stream that has something to send: what the dead left goes before our own."""
        return next((s for s in self._streams.values() if s.welcomed and s.head() is not None), None)

    def _take_offers(self) -> None:
        for _ in range(_TURN):  # then send, also when an actor offers without pause
            if not self._offered:
                return
            self._own.append(self._offered[0])
            self._offered.popleft()
            self._taken += 1

    def _introduce(self) -> None:
        now = time.monotonic()
        if not self._hello_due(now):
            return
        for stream in self._streams.values():
            if not stream.welcomed:
                left = self._left.get(stream.boot)
                end, told = (left.next, left.end_told) if left is not None else (-1, False)
                hello = ActorHello(stream.boot, self._problem, self._lockstep, stream.committed, end, told)
                if self._try_send(to_bytes(hello)):
                    self._hello_s = now

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._heartbeat_s + HEARTBEAT_S:
            return
        self._heartbeat_s = now
        if self._own.welcomed:
            self._number += 1
            if self._try_send(to_bytes(Heartbeat(self._number, self._stats))):
                self._positions.append((self._number, {boot: s.position for boot, s in self._streams.items()}))

    def _send(self) -> None:
        while self._events and self._own.welcomed and self._try_send(self._events[0]):
            self._events.popleft()
        for _ in range(_TURN):  # then look again whether something has come in
            stream = self._stream_to_send()
            record = stream.head() if stream is not None else None
            if stream is None or record is None or not self._try_send(record.data):
                return
            stream.sent()
            self._sent += record.next - record.first

    def _try_send(self, data: bytes) -> bool:
        try:
            self._socket.send(data, zmq.NOBLOCK)
        except zmq.Again:  # not connected, or the learner takes no more for now
            return False
        return True

    def _receive(self) -> None:
        while zmq.zmq_poll([(self._socket, zmq.POLLIN)], 0):
            try:
                self._handle(from_bytes(self._socket.recv(zmq.NOBLOCK), self._peer, self._max_bytes))
                self._heard_s = time.monotonic()
            except ProtocolError as error:
                self._rubbish.add(error)
            except PeerVersionError as error:
                self._refuse(str(error))

    def _handle(self, message: AnyMessage) -> None:
        match message:
            case LearnerWelcome():
                self._refusal = None
                if not self._lockstep:
                    self._grant = None  # of a learner before this one, whose run had another length
                stream = self._stream(message.boot)
                stream.welcomed = True
                stream.acknowledge(message.committed)
                stream.rewind((message.received, not message.episode_open))
            case Refused():
                self._refuse(message.reason)
            case SayHello():
                self._forget_welcomes()
            case Ack():
                self._take_ack(message)
            case Grant():
                if message.boot == self._boot:
                    self._grant = message
            case _:
                raise ProtocolError(self._peer, f"a '{message.kind}'", "a message of a learner")

    def _take_ack(self, ack: Ack) -> None:
        stream = self._stream(ack.boot)
        stream.acknowledge(ack.next_sequence)
        if ack.reply_to > self._rewound_at:
            # What was sent before a heartbeat arrives before it: whatever is missing then was lost.
            sent = next((p.get(ack.boot) for number, p in self._positions if number == ack.reply_to), None)
            received = (ack.received, not ack.episode_open)
            if sent is not None and received < sent:
                self._rewound_at = self._number
                stream.rewind(received)

    def _stream(self, boot: str) -> Stream:
        if boot not in self._streams:
            raise ProtocolError(self._peer, f"it speaks of boot {boot[:40]}", f"one of {list(self._streams)}")
        return self._streams[boot]

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        self._forget_welcomes()

    def _forget_welcomes(self) -> None:
        for stream in self._streams.values():
            stream.welcomed = False
