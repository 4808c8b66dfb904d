"""Robots that tell their state only when asked: a service whose answers count as messages of a topic of its name."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rlpd_robot.errors import ProtocolError
from rlpd_robot.robot.rosbridge.settings import Poll


@dataclass(frozen=True)
class Link:
    """One connection, as a poller needs it; all in the I/O thread.

    Attributes:
        ask: `ask(service, args, answered)` asks; `answered(succeeded, values)` is called once or never. What it returns
            has a late answer thrown away.
        heard: takes each answer, and the moment of the question [s]: what is told is not older than that.
        complain: takes what is no answer.
        later: `later(seconds, act)`.
        alive: whether the connection is still there.
    """

    ask: Callable[[str, Mapping[str, Any], Callable[[bool, Any], None]], Callable[[], None]]
    heard: Callable[[str, Mapping[str, Any], float], None]
    complain: Callable[[ProtocolError], None]
    later: Callable[[float, Callable[[], None]], Any]
    alive: Callable[[], bool]


class Poller:
    """Asks one service again and again on one connection, one question at a time.

    Args:
        service, poll: which, and how often.
        peer: whose service it is, for errors.
        link: to ask through.
    """

    def __init__(self, service: str, poll: Poll, peer: str, link: Link) -> None:
        self._service, self._poll, self._peer, self._link = service, poll, peer, link
        self._turn = 0

    def turn(self) -> None:
        """Ask; and once there is an answer, or none in time, ask again. It ends with the connection."""
        if not self._link.alive():
            return
        self._turn += 1
        turn, asked_s = self._turn, time.monotonic()

        def answered(succeeded: bool, values: Any) -> None:
            self._turn += 1
            if succeeded and isinstance(values, dict):
                self._link.heard(self._service, values, asked_s)
            else:
                problem = f"service '{self._service}' answers {str(values)[:80]!r}"
                self._link.complain(ProtocolError(self._peer, problem, "its values"))
            self._link.later(max(0.0, asked_s + self._poll.every_s - time.monotonic()), self.turn)

        forget = self._link.ask(self._service, self._poll.args, answered)

        def give_up() -> None:
            if turn == self._turn:
                forget()
                self.turn()

        self._link.later(self._poll.timeout_s, give_up)
