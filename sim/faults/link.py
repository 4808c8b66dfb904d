"""What is wrong with the link and the clock of a robot: messages go in at one time and come out at another, or not."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from rlpd_robot.spec import RobotSpec
from sim.faults.fault import Fault, at_least, is_share, one_of

WAYS = ("both", "states", "commands")

Item = TypeVar("Item")


class Copy(NamedTuple):
    """A message on its way: how long it takes [s], and whether it stays behind those that were sent before it."""

    delay_s: float
    in_order: bool


@dataclass(eq=False)
class LinkFault(Fault):
    """Decides what becomes of one message.

    Attributes:
        way: "states" of the robot, "commands" to it (and whatever else a controller says), or "both".
    """

    way: str = "both"

    def check(self, where: str, spec: RobotSpec) -> None:
        one_of(where, "way", self.way, WAYS)
        for name in ("delay_s", "jitter_s", "by_s"):
            if hasattr(self, name):
                at_least(where, name, getattr(self, name), 0.0)
        if hasattr(self, "share"):
            is_share(where, "share", self.share)

    def fate(self, copies: list[Copy]) -> list[Copy]:
        """The copies of one message that arrive, of those that would have without this fault."""
        raise NotImplementedError


@dataclass(eq=False)
class Latency(LinkFault):
    """Messages take longer, in order.

    Attributes:
        delay_s: each [s].
        jitter_s: longest further delay, drawn evenly [s].
    """

    delay_s: float = 0.01
    jitter_s: float = 0.0

    def fate(self, copies: list[Copy]) -> list[Copy]:
        return [
            copy._replace(delay_s=copy.delay_s + self.delay_s + self.rng.uniform(0.0, self.jitter_s)) for copy in copies
        ]


@dataclass(eq=False)
class Loss(LinkFault):
    """Messages that never arrive.

    Attributes:
        share: of them.
    """

    share: float = 0.05

    def fate(self, copies: list[Copy]) -> list[Copy]:
        return [] if self.rng.random() < self.share else copies


@dataclass(eq=False)
class Cut(Loss):
    """No message arrives."""

    share: float = 1.0


@dataclass(eq=False)
class Duplication(LinkFault):
    """Messages that arrive twice.

    Attributes:
        share: of them.
        by_s: longest time by which the second comes later [s].
    """

    share: float = 0.5
    by_s: float = 0.02

    def fate(self, copies: list[Copy]) -> list[Copy]:
        if not copies or self.rng.random() >= self.share:
            return copies
        return [*copies, Copy(copies[0].delay_s + self.rng.uniform(0.0, self.by_s), False)]


@dataclass(eq=False)
class Reordering(LinkFault):
    """Messages that wait while later ones overtake them.

    Attributes:
        share: of them.
        by_s: longest wait [s].
    """

    share: float = 0.3
    by_s: float = 0.03

    def fate(self, copies: list[Copy]) -> list[Copy]:
        if self.rng.random() >= self.share:
            return copies
        return [Copy(copy.delay_s + self.rng.uniform(0.0, self.by_s), False) for copy in copies]


@dataclass(eq=False)
class ClockFault(Fault):
    """Changes the stamps of states."""

    def begin(self, now_s: float) -> None:
        self._since_s = now_s

    def offset_s(self, now_s: float) -> float:
        """What is added to a stamp [s]."""
        raise NotImplementedError


@dataclass(eq=False)
class ClockJump(ClockFault):
    """The robot's clock is set to another time, and back at the end.

    Attributes:
        by_s: later, or earlier when negative [s].
    """

    by_s: float = -1.0

    def offset_s(self, now_s: float) -> float:
        return self.by_s


@dataclass(eq=False)
class ClockSkew(ClockFault):
    """The robot's clock runs too fast, and is set right at the end.

    Attributes:
        rate: [s/s].
    """

    rate: float = 1e-3

    def offset_s(self, now_s: float) -> float:
        return self.rate * (now_s - self._since_s)


class Lane(Generic[Item]):
    """Messages under way in one direction; pure, and without a clock."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Item]] = []
        self._number = 0
        self._last_due_s = float("-inf")

    def put(self, now_s: float, item: Item, faults: Sequence[LinkFault]) -> None:
        """A message enters."""
        copies = [Copy(0.0, True)]
        for fault in faults:
            copies = fault.fate(copies)
        for copy in copies:
            due_s = now_s + copy.delay_s
            if copy.in_order:
                due_s = self._last_due_s = max(self._last_due_s, due_s)
            heapq.heappush(self._waiting, (due_s, self._number, item))
            self._number += 1

    def take(self, now_s: float) -> Iterator[Item]:
        """The messages that arrive by now."""
        while self._waiting and self._waiting[0][0] <= now_s:
            yield heapq.heappop(self._waiting)[2]

    def due_s(self) -> float | None:
        """When the next one arrives; None: none is under way."""
        return self._waiting[0][0] if self._waiting else None
