"""What an actor still has to deliver: which segment goes next, from memory where possible, else from the journal."""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.types import Segment
from rlpd_robot.wire.journal import Record
from rlpd_robot.wire.messages import SegmentMessage, to_bytes

READ_AHEAD_BYTES = 4_000_000
"""Unsent data kept in memory for each boot; the rest waits in the log."""


class Log(Protocol):
    """Where unacknowledged segments are kept: a `Journal`, or memory."""

    def append(self, segment: Segment) -> Record:
        """Keep one more."""

    def read_from(self, sequence: int, boot: str | None = None) -> Iterator[Record]:
        """Those that reach beyond `sequence`, oldest first."""

    def trim(self, next_sequence: int, boot: str | None = None) -> None:
        """Forget those below `next_sequence`."""


class MemoryLog:
    """A log for actors without a disk. What it holds dies with the process.

    Args:
        budget_mb: most that it holds [MB].
    """

    def __init__(self, budget_mb: float = 256) -> None:
        self._budget = budget_mb * 1e6
        self._records: deque[Record] = deque()
        self._size = 0

    def append(self, segment: Segment) -> Record:
        """Keep one more.

        Raises:
            StoreError: it is full, because no learner takes anything.
        """
        record = Record(segment.boot, segment.first_sequence, segment.next_sequence, to_bytes(SegmentMessage(segment)))
        if self._size + len(record.data) > self._budget:
            remedy = "Start the learner, or give the actor a journal on disk."
            raise StoreError("(memory)", f"{self._size / 1e6:.0f} MB of transitions wait for a learner", remedy)
        self._records.append(record)
        self._size += len(record.data)
        return record

    def read_from(self, sequence: int, boot: str | None = None) -> Iterator[Record]:
        """Those that reach beyond `sequence`, oldest first."""
        return (record for record in tuple(self._records) if record.next > sequence)

    def trim(self, next_sequence: int, boot: str | None = None) -> None:
        """Forget those below `next_sequence`."""
        while self._records and self._records[0].next <= next_sequence:
            self._size -= len(self._records.popleft().data)


class Stream:
    """The transitions of one boot on their way to the learner. One thread owns it.

    Args:
        boot: whose.
        first, end: sequence numbers that are in the log already, `end` exclusive.
        log: where unacknowledged segments are kept.

    Attributes:
        cursor: sequence number to be sent next.
        committed: the learner has those below it on its disk.
        end: as far as there is anything to send.
        welcomed: whether the learner takes this stream.
        again: transitions sent more than once.
    """

    def __init__(self, boot: str, first: int, end: int, log: Log) -> None:
        self.boot, self.first, self.end = boot, first, end
        self.cursor = self.committed = first
        self.welcomed = False
        self.again = 0
        self._sent_to = first
        self._log = log
        self._ahead: deque[Record] = deque()  # what follows the cursor without a gap, as far as memory is given
        self._ahead_bytes = 0

    @property
    def delivered(self) -> bool:
        """Whether the learner has all there is."""
        return self.committed >= self.end

    def append(self, segment: Segment) -> None:
        """Log one more segment of this boot, then have it sent.

        Raises:
            DataError: it does not follow the last one.
        """
        if (segment.boot, segment.first_sequence) != (self.boot, self.end):
            problem = f"a segment of boot {segment.boot} starts at sequence {segment.first_sequence}"
            raise DataError("Outbox", problem, f"boot {self.boot}, sequence {self.end}")
        record = self._log.append(segment)
        contiguous = self._ahead[-1].next == record.first if self._ahead else self.cursor == record.first
        if contiguous and self._ahead_bytes < READ_AHEAD_BYTES:
            self._push(record)
        self.end = record.next

    def head(self) -> Record | None:
        """The record to be sent next, or None.

        Raises:
            StoreError: the log does not hold what it should.
        """
        if not self._ahead and self.cursor < self.end:
            self._refill()
        return self._ahead[0] if self._ahead else None

    def sent(self) -> None:
        """The head has left."""
        record = self._ahead.popleft()
        self._ahead_bytes -= len(record.data)
        self.again += max(0, min(self._sent_to, record.next) - record.first)
        self._sent_to = max(self._sent_to, record.next)
        self.cursor = record.next

    def rewind(self, received: int) -> None:
        """The learner expects `received` next: go back or forward to it."""
        received = min(max(received, self.committed), self.end)
        if received != self.cursor:
            self.cursor = received
            self._ahead.clear()
            self._ahead_bytes = 0

    def acknowledge(self, next_sequence: int) -> None:
        """Those below `next_sequence` need not be kept."""
        if next_sequence > self.committed:
            self.committed = min(next_sequence, self.end)
            self._log.trim(self.committed, self.boot)
            if self.cursor < self.committed:
                self.rewind(self.committed)

    def _push(self, record: Record) -> None:
        self._ahead.append(record)
        self._ahead_bytes += len(record.data)

    def _refill(self) -> None:
        for record in self._log.read_from(self.cursor, self.boot):
            if self._ahead_bytes >= READ_AHEAD_BYTES:
                return
            self._push(record)
        if not self._ahead:
            problem = f"transition {self.cursor} of boot {self.boot} should be in it, and is not"
            raise StoreError("the actor's journal", problem, "Was a file of it deleted or damaged? Start a new run.")
