"""The course of learning: what is learned from, in which order, and which policies come of it. No sockets, no files.

Everything that decides how learning goes on is here and in the trainer, so a checkpoint of both, the rows of its book
and the rows after it give the same course again, bit for bit where a simulator in lock-step acts.
"""

from collections.abc import Callable

from rlpd_robot.run.checkpoint import Checkpoint
from rlpd_robot.run.consumed import ConsumedBook, Rows, joined
from rlpd_robot.run.pacing import Pacing
from rlpd_robot.run.refill import Refill
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import PolicySnapshot

_UNKNOWN = -1


class Course:
    """Rows in; updates and published policies out.

    Args:
        trainer: agent, ring and budget.
        block: transitions of a block in lock-step, and between two policies otherwise.
        total: transitions after which learning is finished.
        publish: sends a policy to the actors.

    Attributes:
        version: of the policy published last.
        book: of what was learned from.
        lockstep: whether actors act in lock-step; None until one has told.
        complete: enough has come in; later rows are no more learned from.
        concluded: the last policy of a complete course has been published.
    """

    def __init__(self, trainer: Trainer, block: int, total: int, publish: Callable[[PolicySnapshot], None]) -> None:
        self.trainer = trainer
        self.version = 0
        self.book = ConsumedBook()
        self.lockstep: bool | None = None
        self.complete = self.concluded = False
        self._block, self._publish_snapshot = block, publish
        self._pacing = Pacing(block, total)
        self._refill = Refill(self.book)
        self._published: PolicySnapshot | None = None
        self._leaving: Callable[[], PolicySnapshot] | None = None  # on its way from the device
        self._trained_at_publication = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up a checkpoint; the rows of its book must be received again.

        Raises:
            DataError: it is of another agent; nothing has changed.
        """
        counters = checkpoint.counters
        self.trainer.restore(checkpoint.arrays, counters["received"], counters["critic_updates"])
        self.book = checkpoint.book
        self.version = counters["policy_version"]
        self.concluded = bool(counters["concluded"])
        self.lockstep = None if counters["lockstep"] == _UNKNOWN else bool(counters["lockstep"])
        self._trained_at_publication = counters["trained_at_publication"]
        self._published = checkpoint.policy
        self._refill = Refill(self.book)

    def capture(self, fingerprint: str, config_text: str) -> Checkpoint:
        """This moment, copied; the agent's arrays are on their way. Something must have been published."""
        self.send_off()
        assert self._published is not None
        budget = self.trainer.budget
        counters = {
            "received": budget.received,
            "critic_updates": budget.updates,
            "policy_version": self.version,
            "trained_at_publication": self._trained_at_publication,
            "lockstep": _UNKNOWN if self.lockstep is None else int(self.lockstep),
            "concluded": int(self.concluded),
        }
        consumed = self.book.boots, self.book.runs
        return Checkpoint(self.trainer.export_state(), counters, consumed, self._published, fingerprint, config_text)

    def receive(self, rows: Rows) -> None:
        """Take rows from the store or an actor, those of each boot in order and once."""
        new = self._refill.offer(rows)
        for old in self._refill.take():
            self.trainer.refill(old.batch)
        if new is not None and not self.complete:
            self._pacing.hold(new)

    @property
    def missing(self) -> int:
        """Rows that were learned from and are not back yet."""
        return self._refill.missing

    def give_up(self) -> int:
        """Go on without the rows that are missing; returns how many will not come."""
        self._refill.give_up()
        for rows in self._refill.take():
            self.trainer.refill(rows.batch)
        return self._refill.lost

    @property
    def lost(self) -> int:
        """Rows that were learned from and will not come back."""
        return self._refill.lost

    def begin(self, seen: int) -> None:
        """Publish the first policy of this start.

        In lock-step it is the checkpoint's own, under its own number: what follows is done again as it was. Otherwise
        actors may have newer ones than the checkpoint, so the number rises above `seen`, the highest that is known.
        """
        if self._published is not None and self.lockstep:
            self._publish_snapshot(self._published)
        else:
            self.version = max(self.version, 0 if self.lockstep else seen)
            self.publish()

    def admit(self) -> bool:
        """Learn from what has come, as far as it is its turn; whether anything was."""
        if self.complete or self.lockstep is None:
            return False
        rows = self._pacing.admit(self.trainer.budget, self.lockstep)
        if not rows:
            return False
        for part in rows:
            self.book.add(part)
        self.trainer.receive(joined(rows))
        if self.lockstep:  # each block has its own policy
            self.publish()
        return True

    def step(self) -> None:
        """One super-step of the updates that are owed; for real robots, a policy leaves when it is time.

        It is published after the next one has begun, so that the device does not wait for its own policy, or by
        `send_off`.
        """
        self.trainer.step()
        self.send_off()
        due = self.trainer.budget.trained - self._trained_at_publication >= self._block
        if due and not self.lockstep:
            self.version += 1
            self._trained_at_publication = self.trainer.budget.trained
            self._leaving = self.trainer.begin_snapshot(self.version)

    def send_off(self) -> None:
        """Publish a policy that is on its way."""
        if self._leaving is not None:
            self._published, self._leaving = self._leaving(), None
            self._publish_snapshot(self._published)

    def publish(self) -> None:
        """The policy as it is now, as the next version."""
        self.send_off()
        self.version += 1
        self._trained_at_publication = self.trainer.budget.trained
        self._published = self.trainer.snapshot(self.version)
        self._publish_snapshot(self._published)

    def rise_above(self, seen: int) -> None:
        """With real robots: publish anew when an actor has a later version, of a learner before this one."""
        if seen > self.version and not self.lockstep:
            self.version = seen
            self.publish()

    def leave(self, next_sequence: int) -> int:
        """As `Pacing.leave`."""
        return self._pacing.leave(self.trainer.budget, next_sequence)
