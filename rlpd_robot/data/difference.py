"""What sets two stores apart: robot and task, attributes, episodes.

An episode is known by the boot that recorded it and its first sequence number, which edits, merges and copies keep.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.types import Segment

_APART = ("problem", "fingerprint", "committed_episodes")  # told in other words


@dataclass(frozen=True)
class Changed:
    """One episode that both have, and not alike.

    Attributes:
        ours, theirs: its number in each.
        fields: how each differing field differs.
    """

    ours: int
    theirs: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """All that sets two stores apart.

    Attributes:
        problem, attributes: one sentence each.
        only_ours, only_theirs: numbers of episodes, each in its own store.
        changed: episodes of both that differ.
        same: how many are equal in every field.
        reordered: whether those of both come in another order.
    """

    problem: tuple[str, ...]
    attributes: tuple[str, ...]
    only_ours: tuple[int, ...]
    only_theirs: tuple[int, ...]
    changed: tuple[Changed, ...]
    same: int
    reordered: bool

    @property
    def is_none(self) -> bool:
        """Whether the two hold the same, attributes included."""
        return not any((self.problem, self.attributes, self.only_ours, self.only_theirs, self.changed, self.reordered))


def compare(ours: DemoStore, theirs: DemoStore, on_progress: OnProgress = no_progress) -> Difference:
    """Compare the committed episodes of two stores, hidden ones included.

    Raises:
        StoreError, DataError: one of them is damaged.
    """
    places = {name: i for i, name in enumerate(theirs.identities())}
    pairs = [(i, places[name]) for i, name in enumerate(ours.identities()) if name in places]
    changed = []
    for done, (i, j, a, b) in enumerate(_read(ours, theirs, pairs), 1):
        differing = tuple(_fields(a, b))
        if differing:
            changed.append(Changed(i, j, differing))
        on_progress(done, len(pairs))
    matched_ours, matched_theirs = {i for i, _ in pairs}, {j for _, j in pairs}
    return Difference(
        problem=tuple(_short(text, 200) for text in ours.problem.differences(theirs.problem)),
        attributes=tuple(_attributes(ours.attributes, theirs.attributes)),
        only_ours=tuple(i for i in range(len(ours)) if i not in matched_ours),
        only_theirs=tuple(j for j in range(len(theirs)) if j not in matched_theirs),
        changed=tuple(changed),
        same=len(pairs) - len(changed),
        reordered=[j for _, j in pairs] != sorted(j for _, j in pairs),
    )


def _read(
    ours: DemoStore, theirs: DemoStore, pairs: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, Segment, Segment]]:
    """Both episodes of each pair; those that follow each other in both are read in one go."""
    start = 0
    while start < len(pairs):
        stop = start + 1
        while stop < len(pairs) and pairs[stop] == (pairs[stop - 1][0] + 1, pairs[stop - 1][1] + 1):
            stop += 1
        i, j = pairs[start]
        both = zip(ours.run(i, i + stop - start), theirs.run(j, j + stop - start), strict=True)
        for k, (a, b) in enumerate(both):
            yield i + k, j + k, a, b
        start = stop


def _fields(a: Segment, b: Segment) -> Iterator[str]:
    if len(a) != len(b):
        yield f"{len(a)} steps here, {len(b)} there"
    for field in fields(Segment):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if not isinstance(x, np.ndarray):
            if x != y:
                yield f"{field.name} {x!r} here, {y!r} there"
        elif x.shape[1:] != y.shape[1:]:
            yield f"{field.name} of shape {x.shape} here, {y.shape} there"
        else:
            n = min(len(x), len(y))
            rows = (x[:n] != y[:n]).reshape(n, -1).any(axis=1)
            if rows.any():
                yield f"{field.name} in {int(rows.sum())} of {n} rows, first in row {int(rows.argmax())}"


def _attributes(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in _APART and ours.get(key) != theirs.get(key):
            x, y = (f"{store[key]!r}" if key in store else "absent" for store in (ours, theirs))
            yield f"{key}: {_short(x)} here, {_short(y)} there"


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
