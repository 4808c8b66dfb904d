"""Compares what a learner has learned from with what its run's store holds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rlpd_robot.types import Segment

Span = tuple[int, int]
"""[first, after): sequence numbers of one boot."""


@dataclass(frozen=True)
class LearnerComparison:
    """What came out, each finding as a sentence.

    Attributes:
        consumed: transitions in the learner's book.
        lost: committed, and never learned from.
        duplicated: learned from twice.
        not_committed: learned from, and not in the store.
    """

    consumed: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    not_committed: list[str] = field(default_factory=list)


def compare_learner(book: Iterable[tuple[str, int, int]], episodes: Iterable[Segment]) -> LearnerComparison:
    """Join a learner's book and a store.

    Args:
        book: (boot, first sequence, count) of each run of transitions, as `ConsumedBook` gives them.
        episodes: all of the store.
    """
    learned: dict[str, list[Span]] = defaultdict(list)
    stored: dict[str, list[Span]] = defaultdict(list)
    for boot, first, count in book:
        learned[boot].append((first, first + count))
    for episode in episodes:
        stored[episode.boot].append((episode.first_sequence, episode.next_sequence))
    found = LearnerComparison(sum(after - first for spans in learned.values() for first, after in spans))
    for boot in learned.keys() | stored.keys():
        ours, theirs = sorted(learned[boot]), sorted(stored[boot])
        name = f"of actor {boot[:8]}"
        found.duplicated.extend(f"{_sequences(s)} {name}: learned from twice" for s in _overlaps(ours))
        found.lost.extend(f"{_sequences(s)} {name}: committed, never learned from" for s in _without(theirs, ours))
        found.not_committed.extend(
            f"{_sequences(s)} {name}: learned from, not committed" for s in _without(ours, theirs)
        )
    return found


def _overlaps(spans: Sequence[Span]) -> list[Span]:
    """What is covered more than once, of sorted spans."""
    found, end = [], 0
    for first, after in spans:
        if first < end:
            found.append((first, min(end, after)))
        end = max(end, after)
    return found


def _without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What sorted spans cover and sorted others do not."""
    found = []
    for first, after in spans:
        at = first
        for start, stop in others:
            if start >= after:
                break
            if start > at:
                found.append((at, start))
            at = max(at, stop)
        if at < after:
            found.append((at, after))
    return found


def _sequences(span: Span) -> str:
    return f"sequence {span[0]}" if span[1] == span[0] + 1 else f"sequences {span[0]} to {span[1] - 1}"
