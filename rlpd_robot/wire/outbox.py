"""What an actor still has to deliver: which record goes next, from memory where possible, else from the journal."""

from collections import deque

from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.journal_file import Position, Record

READ_AHEAD_BYTES = 4_000_000
"""Unsent data kept in memory for each boot; the rest waits in the journal."""


class Stream:
    """The transitions of one boot, and the ends of its episodes, on their way to the learner. One thread owns it.

    Args:
        boot: whose.
        first, end: what is in the journal already: its first sequence number, and the position after it.
        journal: where it all is kept until acknowledged.

    Attributes:
        position: what is to be sent next.
        committed: the learner has those below it on its disk, and the ends of their episodes.
        end: position after the last thing there is to send.
        welcomed: whether the learner takes this stream.
        again: transitions sent more than once.
    """

    def __init__(self, boot: str, first: int, end: Position, journal: Journal) -> None:
        self.boot, self.first, self.end = boot, first, end
        self.position: Position = (first, True)
        self.committed = first
        self.welcomed = False
        self.again = 0
        self._sent_to = first
        self._journal = journal
        self._ahead: deque[Record] = deque()  # what follows the position without a gap, as far as memory is given
        self._ahead_bytes = 0
        self._more = end[0] > first  # the journal holds what follows those ahead

    @property
    def delivered(self) -> bool:
        """Whether the learner has all there is."""
        return self.committed >= self.end[0]

    def append(self, record: Record) -> None:
        """Have one more journalled record of this boot sent.

        Raises:
            DataError: it does not follow the last one.
        """
        if (record.boot, record.first) != (self.boot, self.end[0]):
            problem = f"a segment of boot {record.boot} starts at sequence {record.first}"
            raise DataError("Outbox", problem, f"boot {self.boot}, sequence {self.end[0]}")
        if self._more or self._ahead_bytes >= READ_AHEAD_BYTES:
            self._more = True
        else:
            self._push(record)
        self.end = record.after

    def head(self) -> Record | None:
        """The record to be sent next, or None.

        Raises:
            StoreError: the journal does not hold what it should.
        """
        if not self._ahead and self._more:
            self._refill()
        return self._ahead[0] if self._ahead else None

    def sent(self) -> None:
        """The head has left."""
        record = self._ahead.popleft()
        self._ahead_bytes -= len(record.data)
        self.again += max(0, min(self._sent_to, record.next) - record.first)
        self._sent_to = max(self._sent_to, record.next)
        self.position = record.after

    def rewind(self, received: Position) -> None:
        """Go back or forward to what the learner expects next."""
        received = min(max(received, (self.committed, True)), self.end)
        if received != self.position:
            self.position = received
            self._ahead.clear()
            self._ahead_bytes = 0
            self._more = True

    def acknowledge(self, next_sequence: int) -> None:
        """Those below `next_sequence` need not be kept, nor how their episodes ended."""
        if next_sequence > self.committed:
            self.committed = min(next_sequence, self.end[0])
            self._journal.trim(self.committed, self.boot)
            if self.position < (self.committed, True):
                self.rewind((self.committed, True))

    def _push(self, record: Record) -> None:
        self._ahead.append(record)
        self._ahead_bytes += len(record.data)

    def _refill(self) -> None:
        self._more = False
        for record in self._journal.read_from(self.position[0], self.boot):
            if self._ahead_bytes >= READ_AHEAD_BYTES:
                self._more = True
                return
            if self.position < record.after <= self.end:  # later ones are journalled, but have not been appended here
                self._push(record)
        if not self._ahead and self.position < self.end:
            problem = f"transition {self.position[0]} of boot {self.boot} should be in it, and is not"
            raise StoreError("the actor's journal", problem, "Was a file of it deleted or damaged? Start a new run.")
