"""`rlpd-robot serve`: a process in any language sends an observation and gets an action within its deadline.

It answers with actions, unit-less and in [-1, 1], and knows neither robot nor limits: whoever turns them into commands
must filter those. A late answer is not sent, because a robot must not act on it.
"""

import gc
import logging
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import DataError, ProtocolError
from rlpd_robot.policy.base import Policy
from rlpd_robot.policy.numpy_actor import NumpyActor, layers
from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.run.settings import Settings
from rlpd_robot.timing import Histogram
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.gate import refused_peers
from rlpd_robot.wire.policy_channel import PolicySubscriber
from rlpd_robot.wire.policy_protocol import (
    MAX_REQUEST_BYTES,
    Refusal,
    Reply,
    Request,
    Status,
    pack_reply,
    unpack_request,
)
from rlpd_robot.wire.security import LOOPBACK_ONLY, Security
from rlpd_robot.wire.sockets import Complaints, Options, listen, make_socket

_LOOK_MS = 20
_HELD_UP_S = 1.5e-3 * _LOOK_MS
_SETTLE_S = 0.1
_TURN_S = 0.2  # between two looks whether to end
_SWITCH_S = 2e-4  # the thread that takes policies hands the interpreter over this fast
_CLOSE_S = 5.0
_NO_ACTION = np.empty(0, np.float32)
_NO_VERSION = -1

_log = logging.getLogger(__name__)


class ServedPolicy:
    """The policy that answers; swapped whole, between two requests.

    Args:
        explore: sample actions; otherwise the most likely ones.
        rng: draws them.

    Attributes:
        current: (policy, O), or None before the first.
        refused: snapshots that were not taken.
    """

    def __init__(self, explore: bool, rng: np.random.Generator) -> None:
        self.current: tuple[Policy, int] | None = None
        self.refused = 0
        self.explore = explore
        self._rng = rng
        self._fingerprint: str | None = None

    def take(self, snapshot: PolicySnapshot) -> None:
        """Answer with this snapshot from the next request on.

        Raises:
            DataError: it is no network, holds a non-finite number, or is of another robot or task than the first.
        """
        try:
            hidden, mean, _ = layers(snapshot)
            if self._fingerprint not in (None, snapshot.fingerprint):
                raise DataError(
                    f"Policy snapshot {snapshot.version}", "it is of another robot or task", self._fingerprint or ""
                )
            policy = NumpyActor(snapshot, self._rng)
            size = (hidden or [mean])[0][0].shape[0]
            policy.act(np.zeros(size, np.float32), explore=False)  # the first call is the slow one
        except DataError:
            self.refused += 1  # the last good one goes on
            raise
        self._fingerprint = snapshot.fingerprint
        self.current = policy, size


class PolicyServer:
    """Answers observations with actions. Made, run and closed by one thread.

    Args:
        address: where to listen; port * or 0 chooses one.
        served: the policy; another thread may swap it.
        max_observation: largest magnitude of an observation's number.
        security: of the link.

    Attributes:
        address: where clients connect.

    Raises:
        ConfigError, AddressError, KeyFileError: the address cannot be used.
    """

    def __init__(
        self, address: str, served: ServedPolicy, max_observation: float = 1e6, security: Security = LOOPBACK_ONLY
    ) -> None:
        self._served, self._max_observation = served, max_observation
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        options: Options = {zmq.SNDHWM: 64, zmq.RCVHWM: 64, zmq.RCVTIMEO: _LOOK_MS}
        try:
            self._socket = make_socket(self._context, zmq.ROUTER, MAX_REQUEST_BYTES, options)
            self.address = listen(self._socket, "link.serve", address, security)
        except BaseException:
            self._context.term()
            raise
        self._time = Histogram()
        self._rubbish = Complaints(_log)
        self._counts = dict.fromkeys(("answered", "late", *(s.name.lower() for s in Status if s)), 0)

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set.

        A process that was held up (suspended, swapped out) finds requests that may have come as long ago as it last
        came round: those count as received then. ZeroMQ's own thread may need a while to hand them over, so for
        `_SETTLE_S` no request is taken for a fresh one.
        """
        came_round_s = turned_s = settled_s = time.monotonic()
        while not stop.is_set():
            try:
                frames = self._socket.recv_multipart()
            except zmq.Again:
                frames = None
            now = time.monotonic()
            if now - turned_s > _HELD_UP_S:
                settled_s = now + _SETTLE_S
            turned_s = now
            if now >= settled_s:
                came_round_s = now
            if frames is not None:
                self._serve(frames, came_round_s)

    def stats(self) -> dict[str, float]:
        """Requests answered, late, and refused by reason; time from receipt to reply [ms]."""
        counts = {name: float(count) for name, count in self._counts.items()}
        strangers = {"rubbish": float(self._rubbish.count), "unauthorized": float(refused_peers(self._context))}
        return {**counts, **strangers, **self._time.summary("server_ms", 1e3)}

    def close(self) -> None:
        """Release the address. A second call does nothing."""
        self._socket.close(linger=0)
        self._context.term()

    def _serve(self, frames: list[bytes], received_s: float) -> None:
        try:
            if len(frames) != 2:
                raise ProtocolError("a client", f"{len(frames) - 1} frames", "one")
            request = unpack_request(frames[1], "a client")
        except ProtocolError as error:
            self._rubbish.add(error)
            return
        status, version, action = self._act(request)
        spent_s = time.monotonic() - received_s
        if isinstance(request, Request) and 1e6 * spent_s > request.budget_us:
            self._counts["late"] += 1
            return
        self._counts[status.name.lower() if status else "answered"] += 1
        self._time.add(spent_s)
        server_us = min(int(1e6 * spent_s), 0xFFFFFFFF)
        reply = Reply(status, request.sequence, request.stamp, version, server_us, action)
        self._socket.send_multipart((frames[0], pack_reply(reply)), zmq.NOBLOCK)  # dropped for a client that is gone

    def _act(self, request: Request | Refusal) -> tuple[Status, int, NDArray[np.float32]]:
        if isinstance(request, Refusal):
            return request.status, _NO_VERSION, _NO_ACTION
        if self._served.current is None:
            return Status.NO_POLICY, _NO_VERSION, _NO_ACTION
        policy, size = self._served.current
        observation = request.observation
        if len(observation) != size:
            return Status.WRONG_SIZE, policy.version, _NO_ACTION
        if not np.abs(observation).max() <= self._max_observation:  # NaN compares false
            return Status.NOT_FINITE, policy.version, _NO_ACTION
        action = policy.act(observation, self._served.explore)
        if not np.abs(action).max() <= 1.0:
            return Status.POLICY_FAILED, policy.version, _NO_ACTION
        return Status.OK, policy.version, action


class PolicyFollower:
    """Takes the learner's policies in a thread of its own, so that no request waits for it.

    Args:
        served: gets them.
        subscriber: where they come from; this thread's from now on.
        stop: set when the thread fails.
    """

    def __init__(self, served: ServedPolicy, subscriber: PolicySubscriber, stop: threading.Event) -> None:
        self._served, self._subscriber, self._stop = served, subscriber, stop
        self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="policy follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread.

        Raises:
            Exception: whatever ended it before.
        """
        self._closing = True
        self._thread.join(_CLOSE_S)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._closing:
                snapshot = self._subscriber.poll(_TURN_S)
                if snapshot is not None:
                    self._take(snapshot)
        except BaseException as error:
            self._error = error  # raised by `close`
            self._stop.set()
        finally:
            self._subscriber.close()

    def _take(self, snapshot: PolicySnapshot) -> None:
        if not snapshot.arrays:
            return  # a learner that has not begun asks for random actions: no client wants those
        try:
            self._served.take(snapshot)
        except DataError as error:
            print(f"refused a policy: {error}", flush=True)
        else:
            print(f"serving policy {snapshot.version}", flush=True)


def run_serve(settings: Settings, stop: threading.Event) -> int:
    """Serve the learner's newest policy, or that of a file, until told to stop."""
    serve, link = settings.serve, settings.link
    served = ServedPolicy(serve.explore, np.random.default_rng([serve.seed, 0x5E]))
    if serve.policy is not None:
        served.take(load_snapshot(serve.policy))
    with ExitStack() as stack:
        server = PolicyServer(link.serve, served, serve.max_observation, settings.security)
        stack.callback(server.close)
        if serve.policy is None:
            subscriber = PolicySubscriber(link.policy, security=settings.security, max_bytes=link.max_message_bytes)
            stack.callback(PolicyFollower(served, subscriber, stop).close)
        source = serve.policy or f"the policies of {link.policy}"
        print(f"serving {source} at {server.address}; Ctrl-C ends it", flush=True)
        gc.collect()
        gc.freeze()  # what lives for ever need not be looked through while a client waits
        sys.setswitchinterval(_SWITCH_S)
        server.run(stop)
        print(", ".join(f"{name} {value:g}" for name, value in server.stats().items()), flush=True)
    return 0
