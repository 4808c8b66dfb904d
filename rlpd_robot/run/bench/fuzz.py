"""`rlpd-robot bench fuzz`: spoiled frames against every listening socket of real processes.

Each process must go on answering, in time, without growing; no command may be executed and nothing armed. After every
burst a valid question follows on the same connection: ZeroMQ keeps the order, so its answer proves that the whole burst
has been handled.
"""

import contextlib
import random
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from rlpd_robot.errors import PeerTimeoutError, RlpdRobotError
from rlpd_robot.robot import server as robot
from rlpd_robot.robot.book import Outcome
from rlpd_robot.run.bench.fuzz_processes import Processes
from rlpd_robot.run.bench.mutations import corpus, mutate, other_version, spoil_subscription
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.processes import Child
from rlpd_robot.run.settings import Settings
from rlpd_robot.wire import control
from rlpd_robot.wire.codec import DEFAULT_MAX_BYTES, Message, encode_single
from rlpd_robot.wire.policy_channel import MAX_SUBSCRIPTION_BYTES
from rlpd_robot.wire.policy_protocol import MAX_REQUEST_BYTES, Request, pack_request
from rlpd_robot.wire.sockets import dial, make_socket

MAX_GROWTH_MB = 16.0
"""Of a process's resident memory, from a fifth of its frames to the last."""

ANSWER_S = 10.0
"""Longest wait for the answer that follows a burst, and for room in a queue."""

_BURST = 500  # frames
_STRANGERS = 100  # raw connections to each socket, with bytes that are no ZeroMQ
_OVERSIZE = 70_000_000  # [bytes], beyond the largest message of any link

Spoil = Callable[[random.Random, bytes], list[bytes]]
Question = Callable[[int], tuple[bytes, bytes]]
"""number → (a valid message, bytes that are in its answer and in no other)."""


@dataclass(frozen=True)
class Target:
    """One listening socket: its setting, process and largest message, how to ask it, and what spoils its frames."""

    link: str
    child: Child
    address: str
    max_bytes: int
    question: Question
    kind: int = zmq.DEALER
    spoil: Spoil = mutate


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Start every process that listens, attack it, and see what is left.

    Args:
        settings: `fuzz.frames` says how many, `run.seed` which.
        words: of the processes.
        build: makes the task.

    Raises:
        ChildError, PeerTimeoutError: a process did not even start.
    """
    rng = random.Random(settings.run.seed)
    with tempfile.TemporaryDirectory(prefix="rlpd-fuzz-") as folder, Processes(Path(folder), words) as processes:
        problem = processes.start(build(settings.task))
        samples = corpus(problem, rng)
        before = processes.actor_status()
        targets = _targets(processes, problem.observation_size)
        each = -(-settings.fuzz.frames // len(targets))
        reports = {target.link: _attack(target, rng, samples, each) for target in targets}
        failures = [f"{link}: {report['failure']}" for link, report in reports.items() if report["failure"]]
        try:
            after = processes.actor_status()
            processes.connect_robot()
        except RlpdRobotError as error:
            failures.append(str(error))
        if not failures and after != before:
            failures.append(f"the actor's status changed from {before!r} to {after!r}")
        executed, resets = (processes.count(outcome) for outcome in (Outcome.EXECUTED, Outcome.RESET))
    growth = max(report["growth_mb"] for report in reports.values())
    return {
        "frames": sum(report["frames"] for report in reports.values()),
        "connections": _STRANGERS * len(reports),
        "executed": executed,
        "resets": resets,
        "growth_mb": growth,
        "max_growth_mb": MAX_GROWTH_MB,
        "actor": before,
        "failures": failures,
        "seed": settings.run.seed,
        "targets": reports,
        "passed": not failures and growth <= MAX_GROWTH_MB and executed == resets == 0,
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [f"{'link':8} {'frames':>8} {'[s]':>6} {'slowest answer [ms]':>20} {'memory [MB]':>14} {'growth [MB]':>12}"]
    for link, one in report["targets"].items():
        memory = f"{one['rss_before_mb']:.0f} → {one['rss_after_mb']:.0f}"
        figures = f"{one['frames']:8} {one['seconds']:6.1f} {one['slowest_answer_ms']:20.1f} {memory:>14}"
        lines.append(f"{link:8} {figures} {one['growth_mb']:12.1f}")
    lines += report["failures"]
    lines.append(
        f"frames={report['frames']} executed={report['executed']} resets={report['resets']} "
        f"failures={len(report['failures'])} growth_mb={report['growth_mb']:.1f}"
    )
    return "\n".join(lines)


def _targets(processes: Processes, observation_size: int) -> list[Target]:
    def version(number: int) -> tuple[bytes, bytes]:
        return other_version(1_000_000 + number), b"version %d," % (1_000_000 + number)

    def ticket(number: int) -> tuple[bytes, bytes]:
        nonce = f"question-{number}"
        return encode_single(Message("control_hello", {"nonce": nonce})), nonce.encode()

    def action(number: int) -> tuple[bytes, bytes]:
        observation = np.zeros(observation_size, np.float32)
        stamp = 0xF00D_0000_0000 + number
        return pack_request(Request(number, stamp, 4_000_000_000, observation)), stamp.to_bytes(8, "little")

    def policy(number: int) -> tuple[bytes, bytes]:
        return b"\x01", b"RLPD"

    children, addresses = processes.children, processes.addresses
    return [
        Target("robot", children["robot"], addresses["robot"], robot.MAX_MESSAGE_BYTES, version),
        Target("data", children["learner"], addresses["data"], DEFAULT_MAX_BYTES, version),
        Target(
            "policy",
            children["learner"],
            addresses["policy"],
            MAX_SUBSCRIPTION_BYTES,
            policy,
            zmq.XSUB,
            spoil_subscription,
        ),
        Target("control", children["actor"], addresses["control"], control.MAX_MESSAGE_BYTES, ticket),
        Target("serve", children["serve"], addresses["serve"], MAX_REQUEST_BYTES, action),
    ]


def _attack(target: Target, rng: random.Random, samples: Sequence[bytes], count: int) -> dict[str, Any]:
    """Frames in bursts, each followed by a question; then bytes that are no ZeroMQ, and a message beyond all bounds."""
    sent, slowest_s, failure, early_mb, base_mb = 0, 0.0, "", target.child.memory_mb, None
    started = time.monotonic()
    try:
        while sent < count:
            burst = [target.spoil(rng, rng.choice(samples)) for _ in range(min(_BURST, count - sent))]
            # A longer frame cuts the connection, and with it the rest of the burst: that is `_oversize`.
            burst = [[frame[: target.max_bytes] for frame in frames] for frames in burst]
            slowest_s = max(slowest_s, _burst(target, burst, sent))
            sent += len(burst)
            target.child.check()
            if base_mb is None and sent >= count / 5:
                base_mb = target.child.memory_mb
        for _ in range(_STRANGERS):
            _raw_connection(rng, target.address)
        _oversize(target)
        slowest_s = max(slowest_s, _burst(target, [], sent))
        target.child.check()
    except RlpdRobotError as error:
        failure = (
            str(error) if target.child.running else f"{error} It {target.child.state}: {target.child.last_words()}"
        )
    late_mb = target.child.memory_mb
    return {
        "frames": sent,
        "seconds": time.monotonic() - started,
        "slowest_answer_ms": 1e3 * slowest_s,
        "rss_before_mb": early_mb,
        "rss_after_mb": late_mb,
        "growth_mb": max(0.0, late_mb - (base_mb or early_mb)),
        "failure": failure,
    }


def _burst(target: Target, messages: Sequence[list[bytes]], number: int) -> float:
    """Send and ask; how long the answer took [s].

    Raises:
        PeerTimeoutError: no answer, or no room in the queue, in time.
    """
    question, wanted = target.question(number)
    with zmq.Context() as context, make_socket(context, target.kind, 0, {zmq.SNDHWM: 2 * _BURST}) as sock:
        sock.setsockopt(zmq.MAXMSGSIZE, -1)
        dial(sock, f"link.{target.link}", target.address)
        for frames in messages:
            _send(sock, frames, target)
        asked_s = time.monotonic()
        _send(sock, [question], target)
        while (left_s := asked_s + ANSWER_S - time.monotonic()) > 0:
            if zmq.zmq_poll([(sock, zmq.POLLIN)], int(1e3 * left_s) + 1) and wanted in b"".join(sock.recv_multipart()):
                return time.monotonic() - asked_s
    raise PeerTimeoutError(f"'{target.link}'", target.address, ANSWER_S, "It hangs, or has dropped the question.")


def _send(sock: "zmq.Socket[bytes]", frames: list[bytes], target: Target) -> None:
    """Send, and read what comes meanwhile, so that the other side is never held up by us."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        ready = zmq.zmq_poll([(sock, zmq.POLLIN | zmq.POLLOUT)], int(1e3 * ANSWER_S))
        if ready and ready[0][1] & zmq.POLLIN:
            sock.recv_multipart()
        if ready and ready[0][1] & zmq.POLLOUT:
            sock.send_multipart(frames)
            return
    raise PeerTimeoutError(f"'{target.link}'", target.address, ANSWER_S, "It takes nothing any more.")


def _raw_connection(rng: random.Random, address: str) -> None:
    """A connection that speaks no ZeroMQ, or stops in the middle of its greeting."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48)
    data = rng.choice(
        (rng.randbytes(rng.randint(1, 500)), greeting[: rng.randint(1, 64)], greeting + rng.randbytes(99))
    )
    with contextlib.suppress(ConnectionError), socket.create_connection((host, int(port)), ANSWER_S) as raw:
        raw.sendall(data)


def _oversize(target: Target) -> None:
    """A message that must cut its own connection, and cost the process no memory."""
    with zmq.Context() as context, make_socket(context, target.kind, 1 << 20, {zmq.RECONNECT_IVL: -1}) as sock:
        dial(sock, f"link.{target.link}", target.address)
        _send(sock, [bytes(_OVERSIZE)], target)
        with contextlib.suppress(zmq.Again):
            sock.rcvtimeo = 500
            sock.recv_multipart()
