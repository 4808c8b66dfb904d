"""Between episodes in memory and rows in a store, both ways, and what is wrong with such rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.layout import BOOT_BYTES, CAUSE_BYTES, EPISODE_ENDS, META_COLUMNS, data_columns
from rlpd_robot.data.opening import OpenedStore, read_rows
from rlpd_robot.errors import DataError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import ENDINGS, Segment

Rows = Mapping[str, NDArray[Any]]
"""Arrays by key, of one episode or of several after each other."""

_FINITE = ("observations", "actions", "proposed_actions", "rewards", "stamps_s")
_BLOCK_BYTES = 1 << 25
"""Read at once: a chunk holds many episodes, and every block decodes those at its ends once more."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a store.

    Attributes:
        episode: counted from 0 in the store; None when it concerns the whole store.
        key: the array or attribute.
        index: within that episode's rows of the array, the first of possibly many.
        found: what is there.
        expected: what would be right.
    """

    episode: int | None
    key: str
    index: tuple[int, ...]
    found: str
    expected: str

    @property
    def where(self) -> str:
        """Episode, key and index, for a sentence."""
        place = self.key + (f"[{', '.join(map(str, self.index))}]" if self.index else "")
        return place if self.episode is None else f"episode {self.episode}, {place}"

    def __str__(self) -> str:
        return f"{self.where}: {self.found}. Expected {self.expected}."


def episode_rows(episode: Segment, problem: ProblemSpec) -> dict[str, NDArray[Any]]:
    """The N+1 rows of "data/…" that one episode becomes."""
    rows = {"observations": episode.observations, "valid": np.arange(len(episode) + 1) < len(episode)}
    for column in data_columns(problem):
        if column.name not in rows:
            last = np.full((1, *column.row), column.padding, column.dtype)
            rows[column.name] = np.concatenate([getattr(episode, column.name), last])
    return {f"data/{name}": values for name, values in rows.items()}


def episode_meta(episode: Segment, end: int) -> dict[str, NDArray[Any]]:
    """The one row of each "meta/…" array, for an episode whose rows end before `end`; `episode_ends` last."""
    return {
        "meta/boot": _encode(episode.boot, BOOT_BYTES),
        "meta/first_sequence": np.array([episode.first_sequence], np.int64),
        "meta/episode": np.array([episode.episode], np.int64),
        "meta/ending": np.array([ENDINGS.index(episode.ending)], np.uint8),
        "meta/cause": _encode(episode.cause, CAUSE_BYTES),
        EPISODE_ENDS: np.array([end], np.int64),
    }


def _encode(text: str, size: int) -> NDArray[np.uint8]:
    """(1, size): UTF-8 padded with 0; text that is too long ends in "…"."""
    data = text.encode()
    if len(data) > size:
        data = data[: size - 3].decode(errors="ignore").encode() + "…".encode()
    return np.frombuffer(data.ljust(size, b"\0"), np.uint8)[None]


def _decode(row: NDArray[np.uint8]) -> str:
    return row.tobytes().rstrip(b"\0").decode(errors="replace")


def boot_of(meta: Rows, episode: int) -> str:
    """Which start of an actor recorded it."""
    return _decode(meta["meta/boot"][episode])


def cause_of(meta: Rows, episode: int) -> str:
    """Why it ended."""
    return _decode(meta["meta/cause"][episode])


def read_meta(opened: OpenedStore) -> dict[str, NDArray[Any]]:
    """Every committed row of "meta/…".

    Raises:
        StoreError: a chunk is missing or damaged.
    """
    return {c.key: read_rows(opened, c.key, 0, opened.episodes) for c in META_COLUMNS}


def read_sequences(opened: OpenedStore) -> dict[str, int]:
    """By boot, the sequence number after its last committed transition."""
    following: dict[str, int] = {}
    for boot, _, after in sequence_ranges(opened, read_meta(opened)):
        following[boot] = max(following.get(boot, 0), after)
    return following


def sequence_ranges(opened: OpenedStore, meta: Rows) -> Iterator[tuple[str, int, int]]:
    """Boot, first sequence and sequence after the last, episode by episode."""
    lengths = np.diff(opened.ends, prepend=0) - 1
    for boot, first, n in zip(meta["meta/boot"], meta["meta/first_sequence"], lengths, strict=True):
        yield _decode(boot), int(first), int(first + n)


def read_data(opened: OpenedStore, start: int, stop: int) -> dict[str, NDArray[Any]]:
    """Rows [start, stop) of every "data/…" array.

    Raises:
        StoreError: a chunk is missing or damaged.
    """
    return {c.key: read_rows(opened, c.key, start, stop) for c in data_columns(opened.problem)}


@dataclass(frozen=True, eq=False)
class Block:
    """Whole episodes that lie after each other, read at once.

    Attributes:
        first: number of its first episode.
        ends: (E,) row after the last of each of its episodes, counted from its own first row.
        rows: of every "data/…" array.
    """

    first: int
    ends: NDArray[np.int64]
    rows: Rows

    def episodes(self) -> Iterator[tuple[int, Rows]]:
        """Each episode's number and its N+1 rows; views."""
        start = 0
        for i, stop in enumerate(self.ends.tolist()):
            yield self.first + i, {key: rows[start:stop] for key, rows in self.rows.items()}
            start = stop


def read_blocks(opened: OpenedStore, first: int, stop: int) -> Iterator[Block]:
    """The episodes [first, stop) in blocks of bounded size, or of one episode that is larger.

    Raises:
        StoreError: a chunk is missing or damaged.
    """
    limit = max(1, _BLOCK_BYTES // sum(c.row_bytes for c in data_columns(opened.problem)))
    while first < stop:
        start = opened.bounds(first)[0]
        after = int(np.searchsorted(opened.ends, start + limit, side="right"))
        after = min(max(after, first + 1), stop)
        yield Block(first, opened.ends[first:after] - start, read_data(opened, start, opened.bounds(after - 1)[1]))
        first = after


def read_episodes(opened: OpenedStore, first: int, stop: int) -> Iterator[tuple[int, Rows]]:
    """Each of the episodes [first, stop) with its rows.

    Raises:
        StoreError: a chunk is missing or damaged.
    """
    for block in read_blocks(opened, first, stop):
        yield from block.episodes()


def to_segment(opened: OpenedStore, episode: int, rows: Rows, meta: Rows) -> Segment:
    """One episode as it was appended.

    Raises:
        DataError: it holds what must not enter a store; the sentence names store, episode, key and index.
    """
    for problem in problems_of(episode, rows, int(meta["meta/ending"][episode])):
        raise DataError(f"Store {str(opened.path)!r}, {problem.where}", problem.found, problem.expected)
    columns = {key.removeprefix("data/"): values[:-1] for key, values in rows.items()}
    del columns["valid"], columns["observations"], columns["filtered"]
    return Segment(
        boot=boot_of(meta, episode),
        first_sequence=int(meta["meta/first_sequence"][episode]),
        episode=int(meta["meta/episode"][episode]),
        first_step=0,
        observations=rows["data/observations"],
        ending=ENDINGS[int(meta["meta/ending"][episode])],
        cause=cause_of(meta, episode),
        **columns,
    )


def is_sound(block: Block, endings: NDArray[np.uint8]) -> bool:
    """Whether `problems_of` finds nothing in any of these episodes; False may also mean: look closer.

    A sum is finite only if every number in it is, and takes no memory.

    Args:
        endings: (E,) codes of the store's episodes.
    """
    endings = endings[block.first : block.first + len(block.ends)]
    rows, valid = block.rows, np.ones(len(block.rows["data/valid"]), np.bool_)
    valid[block.ends - 1] = False
    with np.errstate(over="ignore", invalid="ignore"):
        return (
            np.array_equal(rows["data/valid"], valid)
            and all(np.isfinite(rows[f"data/{key}"].sum()) for key in _FINITE)
            and all(rows[key].min() >= -1 and rows[key].max() <= 1 for key in ("data/actions", "data/proposed_actions"))
            and np.array_equal(rows["data/filtered"], rows["data/safety"] != 0)
            and bool(((endings > 0) & (endings < len(ENDINGS))).all())
        )


def problems_of(episode: int, rows: Rows, ending: int) -> Iterator[Problem]:
    """What is wrong with the N+1 rows of one episode."""
    n = len(rows["data/valid"]) - 1
    wrong = np.flatnonzero(rows["data/valid"] != (np.arange(n + 1) < n))
    if len(wrong):
        found = str(rows["data/valid"][wrong[0]])
        yield Problem(episode, "valid", (int(wrong[0]),), found, f"True for {n} transitions, then False")
    for key in _FINITE:
        values = rows[f"data/{key}"]
        values = values if key == "observations" else values[:n]
        yield from _first(episode, key, values, ~np.isfinite(values), "a finite number")
    for key in ("actions", "proposed_actions"):
        values = rows[f"data/{key}"][:n]
        with np.errstate(invalid="ignore"):
            yield from _first(episode, key, values, np.abs(values) > 1, "a value in [-1, 1]")
    changed = rows["data/safety"][:n] != 0
    differ = rows["data/filtered"][:n] != changed
    yield from _first(episode, "filtered", rows["data/filtered"][:n], differ, "True where safety is not 0")
    if not 0 < ending < len(ENDINGS):
        yield Problem(episode, "ending", (), f"code {ending}", f"1 to {len(ENDINGS) - 1}, one of {ENDINGS[1:]}")


def _first(episode: int, key: str, values: NDArray[Any], bad: NDArray[np.bool_], expected: str) -> Iterator[Problem]:
    count = int(bad.sum())
    if count:
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        more = f" (and {count - 1} more)" if count > 1 else ""
        yield Problem(episode, key, index, f"{values[index]:.6g}{more}", expected)
