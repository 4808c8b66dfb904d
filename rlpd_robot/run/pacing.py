"""When live transitions begin to count, and how far a simulator in lock-step may go."""

from collections import deque

from rlpd_robot.run.budget import UpdateBudget
from rlpd_robot.run.consumed import Rows


class Pacing:
    """Holds transitions back until it is their turn.

    A real robot is never held up, and its transitions count as they come. A simulator in lock-step and the learner take
    turns by blocks: while one block is acted, the updates for the one before are made. A block counts as a whole, once
    those updates are done, and only then is leave given for the next, with the policy of that moment. So the same
    settings give the same run, bit for bit, however the processes are scheduled. After a restart several blocks may be
    held at once: they are let in one by one, as they were before.

    Args:
        block: transitions of a block.
        total: transitions after which learning is finished.
    """

    def __init__(self, block: int, total: int) -> None:
        self._block, self._total = block, total
        self._rows: deque[Rows] = deque()
        self.held = 0

    def hold(self, rows: Rows) -> None:
        """Keep rows until they are admitted."""
        self._rows.append(rows)
        self.held += len(rows)

    def admit(self, budget: UpdateBudget, lockstep: bool) -> list[Rows]:
        """The rows whose turn it is, in the order in which they came; they are no longer held."""
        block = self._until(budget.received) - budget.received
        if lockstep and (budget.owed or self.held < block):
            return []
        return self._take(block if lockstep else self.held)

    def leave(self, budget: UpdateBudget, next_sequence: int) -> int:
        """The sequence number that an actor in lock-step may go up to, not including it.

        Args:
            budget: tells how many transitions, of all actors together, have been admitted.
            next_sequence: of this actor's transitions, the first that has not been received.
        """
        return next_sequence + self._until(budget.received) - budget.received - self.held

    def _take(self, count: int) -> list[Rows]:
        taken: list[Rows] = []
        while count > 0:
            head, rest = self._rows.popleft().cut(count)
            assert head is not None
            taken.append(head)
            count -= len(head)
            self.held -= len(head)
            if rest is not None:
                self._rows.appendleft(rest)
        return taken

    def _until(self, received: int) -> int:
        return max(received, min(received + self._block, self._total))
