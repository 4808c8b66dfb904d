"""What a driver may offer beside `Driver`, so that `rlpd-robot doctor` need not know its protocol."""

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable


class Outcome(StrEnum):
    """How one check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """One line of a diagnosis.

    Attributes:
        check: what was looked at, such as "topics".
        outcome: of it.
        found: what was seen, with numbers and units.
        remedy: what to do about it; "" where nothing needs doing.
    """

    check: str
    outcome: Outcome
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class JointLimit:
    """Limits of one joint as the robot itself publishes them; none where it does not say.

    Attributes:
        lower, upper: [rad] or [m].
        velocity: largest magnitude [rad/s] or [m/s].
        effort: largest magnitude [N m] or [N].
    """

    lower: float | None = None
    upper: float | None = None
    velocity: float | None = None
    effort: float | None = None


@runtime_checkable
class Diagnosable(Protocol):
    """A driver that can tell more about its robot than `Driver` says. Nothing here moves the robot.

    Verdicts bear the names of the doctor's own checks where they take their place, and other names where they add one.
    """

    def diagnose_link(self, timeout_s: float) -> Sequence[Verdict]:
        """Before `connect`: how far the way to the robot is open. After a FAIL nothing else is tried."""

    def diagnose_robot(self, timeout_s: float) -> Sequence[Verdict]:
        """After `connect`: what only this protocol can tell, such as whether a stop would arrive."""

    def echo(self, timeout_s: float) -> float:
        """After `connect`: time of one round trip to whatever answers at once [s].

        Raises:
            PeerTimeoutError: nothing came back.
        """

    def reported_limits(self, timeout_s: float) -> Mapping[str, JointLimit]:
        """After `connect`: limits that the robot publishes, by joint name; empty where it publishes none."""


@runtime_checkable
class TellsEStop(Protocol):
    """A driver whose robot may tell when its emergency stop is pressed."""

    def e_stop_pressed(self) -> bool | None:
        """After `connect`: whether it is pressed now, or silent where it must not be; None: nothing tells of it."""


def reach(host: str, port: int, timeout_s: float) -> Verdict:
    """Whether somebody takes a TCP connection there; it is closed at once."""
    started = time.monotonic()
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        remedy = "Start the robot's server, and look at address, network and firewall."
        return Verdict("reachable", Outcome.FAIL, f"no connection to {host}:{port} ({reason})", remedy)
    took_ms = 1e3 * (time.monotonic() - started)
    return Verdict("reachable", Outcome.OK, f"{host}:{port} took a connection within {took_ms:.1f} ms")
