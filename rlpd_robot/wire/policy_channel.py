"""Policies from the learner to actors: the newest wins, and whoever comes late is served at once."""

import logging
import threading
import time
import uuid
from collections import deque

import zmq

from rlpd_robot.errors import PeerVersionError, ProtocolError
from rlpd_robot.liveness import beating
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES
from rlpd_robot.wire.gate import refused_peers
from rlpd_robot.wire.messages import PolicyMessage, from_bytes, to_bytes
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, Waker, dial, listen, make_socket

_REPEAT_S = 5.0
"""The last snapshot is sent again this often: a frozen subscriber misses what its full queue cannot take."""

MAX_SUBSCRIPTION_BYTES = 1 << 10
"""Largest message that a publisher takes: a handshake with keys needs about half of it."""

_QUEUE = 8
_LOOK_MS = 500
_TURN = 1000  # messages of subscribers taken at a time
_STRANGE_TOPICS = 1000  # kept until then for whoever subscribes to what is not published
_CLOSE_S = 5.0

_log = logging.getLogger(__name__)


class PolicyPublisher:
    """Publishes snapshots from a small thread of its own, so that a long update does not keep a late joiner waiting.

    Args:
        address: where to listen; port * or 0 chooses one.
        security: of the link; loopback alone unless told otherwise.
        key: the setting that `address` came from, for errors.

    Attributes:
        address: where subscribers connect.

    Raises:
        ConfigError, AddressError: the address cannot be used.
    """

    def __init__(self, address: str, security: Security = LOOPBACK_ONLY, key: str = "link.policy") -> None:
        self._boot = uuid.uuid4().hex
        self._security, self._key = security, key
        self._context, self._socket, self.address = self._open(address)
        self._unauthorized = self._strange = 0
        self._rubbish = Complaints(_log)
        self._waker = Waker()
        self._pending: deque[bytes] = deque(maxlen=_QUEUE)  # all are sent: lock-step may wait for each version
        self._published = self._served = 0
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="policy publisher", daemon=True)
        self._thread.start()

    def publish(self, snapshot: PolicySnapshot) -> None:
        """Make this the newest policy. Does not wait.

        Raises:
            Exception: whatever ended the publisher's thread.
        """
        if self._error is not None:
            raise self._error
        self._pending.append(to_bytes(PolicyMessage(self._boot, snapshot)))
        self._published += 1
        self._waker.wake()

    def stats(self) -> dict[str, float]:
        """Snapshots published, subscriptions served, rubbish received, peers without the right key turned away."""
        return {
            "published": float(self._published),
            "subscriptions": float(self._served),
            "rubbish": float(self._rubbish.count),
            "unauthorized": float(self._unauthorized + refused_peers(self._context)),
        }

    def close(self) -> None:
        """End the thread and release the address. A second call does nothing."""
        if not self._closing:
            self._closing = True
            self._waker.wake()
            self._thread.join(_CLOSE_S)
            self._waker.close()

    def _open(self, address: str) -> "tuple[zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes], str]":
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        # VERBOSE: every subscription is reported, not only the first of its topic; each means a late joiner.
        options: Options = {zmq.XPUB_VERBOSE: 1, zmq.SNDHWM: _QUEUE, zmq.RCVHWM: 1000}
        try:
            sock = make_socket(context, zmq.XPUB, MAX_SUBSCRIPTION_BYTES, options)
            return context, sock, listen(sock, self._key, address, self._security)
        except BaseException:
            context.term()
            raise

    def _run(self) -> None:
        try:
            latest: bytes | None = None
            repeat_s = time.monotonic() + _REPEAT_S
            with beating("policy publisher") as pulse:
                while not self._closing:
                    pulse.beat()
                    zmq.zmq_poll([(self._socket, zmq.POLLIN), (self._waker.fd, zmq.POLLIN)], _LOOK_MS)
                    self._waker.clear()
                    due = time.monotonic() >= repeat_s
                    repeat_s += _REPEAT_S * due
                    again = self._take_subscriptions() or due
                    if again and latest is not None and not self._pending:
                        self._socket.send(latest)
                    while self._pending:
                        latest = self._pending.popleft()
                        self._socket.send(latest)  # an XPUB never waits: it drops for a subscriber whose queue is full
                    if self._strange >= _STRANGE_TOPICS:
                        self._renew()
        except BaseException as error:
            self._error = error  # raised by the next `publish`
        finally:
            self._socket.close(linger=200)
            self._context.term()

    def _take_subscriptions(self) -> bool:
        """Whether somebody joined."""
        joined = False
        for _ in range(_TURN):
            if not self._socket.poll(0):
                break
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
            if frames == [b"\x01"]:
                self._served += 1
                joined = True
            elif frames != [b"\x00"]:
                self._strange += 1
                self._rubbish.add(f"Message from a subscriber at {self.address}: no subscription to policies")
        return joined

    def _renew(self) -> None:
        """Cut everybody off: ZeroMQ keeps each topic until its subscriber goes. Ours come back by themselves."""
        self._strange = 0
        self._unauthorized += refused_peers(self._context)
        self._socket.close(linger=0)
        self._context.term()  # returns when the address is free again
        self._context, self._socket, _ = self._open(self.address)


class PolicySubscriber:
    """Receives snapshots. One thread owns it.

    What is no policy is counted and logged, never raised: rubbish on this link must not stop a moving robot.

    Args:
        address: of the learner's publisher; nobody needs to be there yet.
        newest_only: keep one snapshot, the newest, while nobody looks. False keeps a few, so that lock-step can take
            exactly the version that it was told.
        security: of the link; loopback alone unless told otherwise.
        max_bytes: largest snapshot accepted.

    Attributes:
        latest: the snapshot returned last, or None.
        refusal: why the last message was not taken, or None when it was.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(
        self,
        address: str,
        newest_only: bool = True,
        security: Security = LOOPBACK_ONLY,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.latest: PolicySnapshot | None = None
        self.refusal: str | None = None
        self._peer, self._max_bytes = f"learner at {address}", max_bytes
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.CONFLATE: 1} if newest_only else {zmq.RCVHWM: _QUEUE}
        try:
            self._socket = make_socket(self._context, zmq.SUB, max_bytes, {**options, zmq.SUBSCRIBE: b""})
            dial(self._socket, "link.policy", address, security)
        except BaseException:
            self._context.term()
            raise
        self._last_id: tuple[str, int] | None = None
        self._received = self._repeats = 0
        self._rubbish = Complaints(_log)

    def poll(self, timeout_s: float = 0.0) -> PolicySnapshot | None:
        """The next snapshot that was not returned before, or None. Without a time it never waits."""
        return self._receive(int(1e3 * timeout_s))

    def wait(self, version: int, timeout_s: float) -> PolicySnapshot | None:
        """The first snapshot of at least this version; None when there is none in time.

        With `newest_only=False` older ones are passed over and later ones stay for later calls. One that was returned
        before counts too.
        """
        deadline = time.monotonic() + timeout_s
        while self.latest is None or self.latest.version < version:
            left_s = deadline - time.monotonic()
            if self._receive(max(0, int(1e3 * left_s) + 1)) is None and left_s <= 0:
                return None
        return self.latest

    def stats(self) -> dict[str, float]:
        """Snapshots received, repeated and not understood."""
        return {
            "received": float(self._received),
            "repeats": float(self._repeats),
            "rubbish": float(self._rubbish.count),
        }

    def close(self) -> None:
        """Release the link. A second call does nothing."""
        self._socket.close(linger=0)
        self._context.term()

    def _receive(self, wait_ms: int) -> PolicySnapshot | None:
        while zmq.zmq_poll([(self._socket, zmq.POLLIN)], wait_ms):
            wait_ms = 0
            data = self._socket.recv(zmq.NOBLOCK)
            try:
                message = from_bytes(data, self._peer, self._max_bytes)
                if not isinstance(message, PolicyMessage):
                    raise ProtocolError(self._peer, f"a '{message.kind}'", "a policy")
            except (ProtocolError, PeerVersionError) as error:
                self.refusal = str(error)
                self._rubbish.add(error)
                continue
            self.refusal = None
            identity = (message.publisher, message.snapshot.version)
            if identity == self._last_id:
                self._repeats += 1
                continue
            self._last_id, self.latest = identity, message.snapshot
            self._received += 1
            return self.latest
        return None
