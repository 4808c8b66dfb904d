"""Which transitions a learner has learned from, and in which order: what a restarted one needs to do it again."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import Batch, Segment, to_batch


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N ≥ 1 consecutive transitions of one boot.

    Attributes:
        boot: of the actor that executed them.
        first: sequence number of the first.
        batch: [N].
    """

    boot: str
    first: int
    batch: Batch

    @staticmethod
    def of(segment: Segment) -> "Rows":
        """Live transitions, as the ring takes them."""
        return Rows(segment.boot, segment.first_sequence, to_batch(segment, is_demo=False))

    def __len__(self) -> int:
        return len(self.batch.reward)

    @property
    def end(self) -> int:
        """The sequence number after the last."""
        return self.first + len(self)

    def cut(self, count: int) -> tuple["Rows | None", "Rows | None"]:
        """The first `count` of them, and the others; None for none."""
        if count <= 0:
            return None, self
        if count >= len(self):
            return self, None
        head, tail = (Batch(*(column[part] for column in self.batch)) for part in (slice(count), slice(count, None)))
        return Rows(self.boot, self.first, head), Rows(self.boot, self.first + count, tail)


def joined(rows: Sequence[Rows]) -> Batch:
    """All of them as one batch, in this order; there must be one."""
    if len(rows) == 1:
        return rows[0].batch
    return Batch(*(np.concatenate(columns) for columns in zip(*(r.batch for r in rows), strict=True)))


class ConsumedBook:
    """The learner's book: runs of (boot, first sequence, count) in the order in which they were learned from.

    Attributes:
        rows: transitions in all.
        next_sequences: by boot, the sequence number after the last that was learned from.
    """

    def __init__(self, boots: Sequence[str] = (), runs: NDArray[np.int64] | None = None) -> None:
        """An empty book, or the one that gave these `boots` and `runs` [R, 3]."""
        self._boots = list(boots)
        self._numbers = {boot: number for number, boot in enumerate(self._boots)}
        self._runs = array("q")
        self.rows = 0
        self.next_sequences: dict[str, int] = {}
        for number, first, count in (runs if runs is not None else np.zeros((0, 3), np.int64)).tolist():
            self._add(number, first, count)

    def add(self, rows: Rows) -> None:
        """Book rows that were learned from."""
        if rows.boot not in self._numbers:
            self._numbers[rows.boot] = len(self._boots)
            self._boots.append(rows.boot)
        self._add(self._numbers[rows.boot], rows.first, len(rows))

    def _add(self, number: int, first: int, count: int) -> None:
        runs, boot = self._runs, self._boots[number]
        if runs and runs[-3] == number and runs[-2] + runs[-1] == first:
            runs[-1] += count
        else:
            runs.extend((number, first, count))
        self.rows += count
        self.next_sequences[boot] = first + count

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """(boot, first sequence, count) of each run."""
        for i in range(0, len(self._runs), 3):
            number, first, count = self._runs[i : i + 3]
            yield self._boots[number], first, count

    @property
    def boots(self) -> tuple[str, ...]:
        """In the order of their first rows."""
        return tuple(self._boots)

    @property
    def runs(self) -> NDArray[np.int64]:
        """[R, 3] number of the boot, first sequence, count: a copy."""
        return np.array(self._runs, np.int64).reshape(-1, 3)
