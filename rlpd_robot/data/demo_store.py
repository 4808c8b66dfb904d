"""The demonstration store: a read-only view of one, and the way to its writer.

Recorded demonstrations and the live data of a run lie in the same format, so that any run can be the prior data of
the next. `layout` has the format, `store_writer` the commit protocol.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.durable import exclusive
from rlpd_robot.data.edits import hidden_episodes
from rlpd_robot.data.layout import create_store
from rlpd_robot.data.opening import OpenedStore, open_store, read_rows, something_at
from rlpd_robot.data.rows import read_episodes, read_meta, read_sequences, sequence_ranges, to_segment
from rlpd_robot.data.store_writer import StoreWriter
from rlpd_robot.errors import StoreError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import ENDINGS, Batch, Segment, to_batch

__all__ = ["DemoStore", "StoreSummary", "StoreWriter"]


@dataclass(frozen=True)
class StoreSummary:
    """What a store holds, in figures; hidden episodes are counted and nothing more.

    Attributes:
        episodes, transitions: committed ones that are not hidden.
        hidden: committed episodes that are.
        success_rate: share of episodes with at least one solved step.
        mean_normalized_return: percent of the horizon spent in the solved state, mean over episodes (the Adroit
            metric of RLPD, arXiv:2302.02948, appendix).
        mean_length, shortest, longest: transitions an episode.
        endings: episodes by how they ended.
        intervened_share, filtered_share: of the transitions.
        safety_shares: of the transitions, by bit of the `safety` mask, where it was set at all.
        uncommitted_rows: remains of a killed writer; the next one cuts them off.
        size_bytes: on disk.
    """

    episodes: int
    transitions: int
    hidden: int
    success_rate: float
    mean_normalized_return: float
    mean_length: float
    shortest: int
    longest: int
    endings: Mapping[str, int]
    intervened_share: float
    filtered_share: float
    safety_shares: Mapping[int, float]
    uncommitted_rows: int
    size_bytes: int


class DemoStore:
    """What was committed when the store was opened. Open it again to see what came since.

    Reading takes no lock and changes nothing, also while a writer appends. Episodes keep their numbers, counted from 0
    in the order of their commits, whichever of them are hidden (see `edits`).
    """

    def __init__(self, opened: OpenedStore) -> None:
        self._opened = opened
        self._meta = read_meta(opened)
        self._hidden = hidden_episodes(opened)

    @staticmethod
    def create(path: Path | str, problem: ProblemSpec, attributes: Mapping[str, Any] | None = None) -> "DemoStore":
        """Make an empty store, parents included.

        Raises:
            StoreError: there is something at `path` already, or it cannot be written.
            DataError: an attribute has the name of one of the store's own.
        """
        path = Path(path)
        with exclusive(path, timeout_s=2.0):
            if something_at(path):
                raise StoreError(path, "there is something at this path already", "Choose a path that is free.")
            create_store(path, problem, attributes or {})
        return DemoStore.open(path)

    @staticmethod
    def open(path: Path | str) -> "DemoStore":
        """Index the store at `path`.

        Raises:
            StoreError: there is nothing, it is something else, it is of another schema, or it is damaged.
        """
        return DemoStore(open_store(Path(path)))

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._opened.path

    @property
    def problem(self) -> ProblemSpec:
        """Robot and task it was recorded on."""
        return self._opened.problem

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Everything its root group says of it."""
        return self._opened.attributes

    @property
    def hidden(self) -> Mapping[int, str]:
        """By hidden episode, the reason."""
        return self._hidden

    @property
    def visible(self) -> list[int]:
        """The episodes that are not hidden."""
        return [i for i in range(len(self)) if i not in self._hidden]

    def check(self, problem: ProblemSpec) -> None:
        """Make sure that the store is of this robot and task.

        Raises:
            SpecMismatchError: it is of another; the sentence names what differs.
        """
        self._opened.check(problem)

    def __len__(self) -> int:
        """Committed episodes, hidden ones included."""
        return self._opened.episodes

    def episode(self, index: int) -> Segment:
        """One episode, counted from 0; also a hidden one.

        Raises:
            IndexError: there are fewer.
            StoreError: a chunk is missing or damaged.
            DataError: the episode holds NaN or another value that must not enter a store.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"Store {str(self.path)!r} holds {len(self)} episodes. Received index {index}.")
        ((_, rows),) = read_episodes(self._opened, index, index + 1)
        return to_segment(self._opened, index, rows, self._meta)

    def episodes(self, *, hidden: bool = False) -> Iterator[Segment]:
        """The episodes in the order of their commits, with or without the hidden ones. Raises as `episode` does."""
        return (segment for _, segment in self.numbered(hidden=hidden))

    def numbered(self, *, hidden: bool = False) -> Iterator[tuple[int, Segment]]:
        """The same, each with its number. Raises as `episode` does."""
        return self.some(range(len(self)) if hidden else self.visible)

    def some(self, indices: Collection[int]) -> Iterator[tuple[int, Segment]]:
        """Those of these numbers, each with its number, in the order of their commits. Raises as `episode` does."""
        wanted = set(indices)
        for index, rows in read_episodes(self._opened, min(wanted, default=0), max(wanted, default=-1) + 1):
            if index in wanted:
                yield index, to_segment(self._opened, index, rows, self._meta)

    def run(self, first: int, stop: int) -> Iterator[Segment]:
        """The episodes [first, stop), hidden ones included, read in one go. Raises as `episode` does."""
        for index, rows in read_episodes(self._opened, first, stop):
            yield to_segment(self._opened, index, rows, self._meta)

    def identities(self) -> list[tuple[str, int]]:
        """Boot and first sequence number of each committed episode."""
        return [(boot, first) for boot, first, _ in sequence_ranges(self._opened, self._meta)]

    def transitions(self) -> Batch:
        """Every transition that is not hidden, [N] float32 and contiguous, marked as demonstration; rewards as stored.

        Raises:
            StoreError, DataError: as `episode` does.
        """
        o, a = self.problem.observation_size, self.problem.action_size
        n = int(self._lengths()[self.visible].sum())
        batch = Batch(*(np.empty((n, *row), np.float32) for row in ((o,), (a,), (), (o,), (), ())))
        start = 0
        for segment in self.episodes():
            stop = start + len(segment)
            for column, values in zip(batch, to_batch(segment, is_demo=True), strict=True):
                column[start:stop] = values
            start = stop
        return batch

    def next_sequences(self) -> dict[str, int]:
        """By boot, the sequence number after its last committed transition."""
        return read_sequences(self._opened)

    def summary(self) -> StoreSummary:
        """Figures of the whole store; zeros where it is empty.

        Raises:
            StoreError: a chunk is missing or damaged.
        """
        opened, visible = self._opened, self.visible
        lengths = self._lengths()[visible]
        success, intervened, safety, valid = (
            read_rows(opened, f"data/{name}", 0, opened.rows) for name in ("success", "intervened", "safety", "valid")
        )
        for i in self._hidden:
            valid[slice(*opened.bounds(i))] = False
        safety = safety[valid]
        episodes = [success[slice(*opened.bounds(i))] for i in visible]
        solved = [e[: self.problem.horizon].sum() for e in episodes]
        codes = Counter(self._meta["meta/ending"][visible].tolist())
        return StoreSummary(
            episodes=len(visible),
            transitions=int(lengths.sum()),
            hidden=len(self._hidden),
            success_rate=_mean([e.any() for e in episodes]),
            mean_normalized_return=100 * _mean(solved) / self.problem.horizon,
            mean_length=_mean(lengths),
            shortest=int(lengths.min()) if visible else 0,
            longest=int(lengths.max()) if visible else 0,
            endings={name: codes[code] for code, name in enumerate(ENDINGS) if codes[code]},
            intervened_share=_mean(intervened[valid]),
            filtered_share=_mean(safety != 0),
            safety_shares={b: _mean(safety & b != 0) for b in (1 << i for i in range(16)) if (safety & b).any()},
            uncommitted_rows=opened.arrays["data/valid"].shape[0] - opened.rows,
            size_bytes=_size(self.path),
        )

    def _lengths(self) -> NDArray[np.int64]:
        """(E,) transitions of each committed episode."""
        lengths: NDArray[np.int64] = np.diff(self._opened.ends, prepend=0) - 1
        return lengths


def _mean(values: NDArray[Any] | list[Any]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _size(path: Path) -> int:
    size = 0
    for file in path.rglob("*"):
        with suppress(FileNotFoundError):  # a writer at work replaces its files
            size += file.stat().st_size if file.is_file() else 0
    return size
