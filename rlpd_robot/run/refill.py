"""After a restart: the rows that a checkpoint has learned from come back into the ring, in their first order.

Those of committed episodes are in `live.zarr`; those of an episode that was open are sent again from its actor's
journal. The order matters: minibatches are drawn by place in the ring.
"""

from collections import deque
from collections.abc import Iterator

from rlpd_robot.run.consumed import ConsumedBook, Rows


class Refill:
    """Puts rows into the order of a book.

    Args:
        book: of the checkpoint.

    Attributes:
        missing: rows of the book that have not been taken yet.
        lost: rows of it that will not come.
    """

    def __init__(self, book: ConsumedBook) -> None:
        self._wanted = deque(book)
        self._until = dict(book.next_sequences)
        self._pool: dict[str, deque[Rows]] = {}
        self._gave_up = False
        self.missing = book.rows
        self.lost = 0

    def offer(self, rows: Rows) -> Rows | None:
        """Keep what is in the book; returns what came after it. Rows of one boot must come in order."""
        old, new = rows.cut(self._until.get(rows.boot, 0) - rows.first)
        if old is not None:
            self._pool.setdefault(old.boot, deque()).append(old)
        return new

    def take(self) -> Iterator[Rows]:
        """The rows whose turn it is. Those that were given up and come after all are let in at once."""
        while self._wanted:
            boot, first, count = self._wanted.popleft()
            pool = self._pool.get(boot)
            if pool and pool[0].first <= first:
                rows = self._head(pool, count)
                self._put_back(boot, first + len(rows), count - len(rows))
                self.missing -= len(rows)
                yield rows
            elif pool or self._gave_up:  # a boot's rows come in order: what was left out has gone for good
                gone = min(count, pool[0].first - first) if pool else count
                self._put_back(boot, first + gone, count - gone)
                self.missing -= gone
                self.lost += gone
            else:
                self._put_back(boot, first, count)
                return
        for pool in self._pool.values():
            while pool:
                yield pool.popleft()

    def give_up(self) -> None:
        """Wait no longer for what has not come."""
        self._gave_up = True

    def _head(self, pool: deque[Rows], count: int) -> Rows:
        head, rest = pool.popleft().cut(count)
        assert head is not None
        if rest is not None:
            pool.appendleft(rest)
        return head

    def _put_back(self, boot: str, first: int, count: int) -> None:
        if count:
            self._wanted.appendleft((boot, first, count))


class Patience:
    """How long to wait for rows that an actor should have in its journal.

    Args:
        answering_s: without any progress, while some actor is there [s].
        absent_s: while none is [s].
        now: on the monotonic clock [s].
    """

    def __init__(self, answering_s: float, absent_s: float, now: float) -> None:
        self._answering_s, self._absent_s = answering_s, absent_s
        self._absent_since = self._idle_since = now
        self._missing = -1

    def is_over(self, missing: int, heard: bool, now: float) -> bool:
        """Whether to go on without the rest; `heard`: an actor was, just now."""
        if missing != self._missing or not heard:
            self._idle_since = now
        if heard or missing != self._missing:
            self._absent_since = now
        self._missing = missing
        return now - self._idle_since > self._answering_s or now - self._absent_since > self._absent_s
