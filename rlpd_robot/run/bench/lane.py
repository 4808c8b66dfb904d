"""One direction of a faulty link, without sockets or clocks: messages go in at one time and come out at another."""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

LinkFaultKind = Literal["cut", "reopen", "delay", "duplicate", "reorder"]
LINK_FAULTS: tuple[LinkFaultKind, ...] = ("cut", "reopen", "delay", "duplicate", "reorder")

_SHARE = 0.5  # of the messages that are sent twice, or overtaken

Item = TypeVar("Item")


@dataclass(frozen=True)
class LinkFault:
    """Something that is wrong with a link for a while.

    Attributes:
        kind: "cut": every message is dropped. "reopen": that, and the connections are closed and made anew at the end.
            "delay": messages wait, in order. "duplicate": half of them come twice, the second time late. "reorder":
            half of them wait while later ones overtake them.
        seconds: how long [s].
        hold_s: longest wait of a message that waits [s].
    """

    kind: LinkFaultKind
    seconds: float
    hold_s: float


class Lane(Generic[Item]):
    """Messages under way in one direction.

    Args:
        rng: decides which messages suffer, and how much.

    Attributes:
        fault: at present, or None.
        counts: messages passed on, dropped, delayed, duplicated and reordered.
    """

    def __init__(self, rng: random.Random) -> None:
        self.fault: LinkFault | None = None
        self.counts = dict.fromkeys(("passed", "dropped", "delayed", "duplicated", "reordered"), 0)
        self._rng = rng
        self._waiting: list[tuple[float, int, Item]] = []
        self._number = 0
        self._last_due_s = float("-inf")

    def put(self, now_s: float, item: Item) -> None:
        """A message enters."""
        fault = self.fault
        wait_s = self._rng.uniform(0.0, fault.hold_s) if fault is not None else 0.0
        struck = self._rng.random() < _SHARE
        match fault.kind if fault is not None else None:
            case "cut" | "reopen":
                self.counts["dropped"] += 1
            case "reorder" if struck:
                self.counts["reordered"] += 1
                self._push(now_s + wait_s, item)
            case "delay":
                self.counts["delayed"] += 1
                self._push_in_order(now_s + wait_s, item)
            case "duplicate" if struck:
                self.counts["duplicated"] += 1
                self._push_in_order(now_s, item)
                self._push(now_s + wait_s, item)
            case _:
                self._push_in_order(now_s, item)

    def take(self, now_s: float) -> Iterator[Item]:
        """The messages that leave by now."""
        while self._waiting and self._waiting[0][0] <= now_s:
            self.counts["passed"] += 1
            yield heapq.heappop(self._waiting)[2]

    def due_s(self) -> float | None:
        """When the next one leaves; None: there is none."""
        return self._waiting[0][0] if self._waiting else None

    def drop_all(self) -> None:
        """Lose what is under way."""
        self.counts["dropped"] += len(self._waiting)
        self._waiting.clear()

    def _push_in_order(self, due_s: float, item: Item) -> None:
        """Not before any message that entered in order earlier."""
        self._last_due_s = max(self._last_due_s, due_s)
        self._push(self._last_due_s, item)

    def _push(self, due_s: float, item: Item) -> None:
        heapq.heappush(self._waiting, (due_s, self._number, item))
        self._number += 1
