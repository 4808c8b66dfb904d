"""Episodes mended, and new stores made of them. The store that they came from stays as it is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.layout import RESERVED
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.errors import DataError
from rlpd_robot.types import Ending, Segment

MADE_FROM = "made_from"
"""Attribute of such a store: a list of what was done, the oldest first."""

Mend = Callable[[int, Segment], Iterable[Segment]]
"""An episode's number and the episode → what stands in its place: itself, another, several, or nothing."""

_COLUMNS = ("actions", "proposed_actions", "rewards", "success", "intervened", "safety", "policy_versions", "stamps_s")


def rewrite(
    sources: Sequence[DemoStore],
    out: Path | str,
    mend: Mend,
    did: Mapping[str, Any],
    skip: frozenset[int] = frozenset(),
    on_progress: OnProgress = no_progress,
) -> int:
    """Write the visible episodes of stores of one robot and task, mended, into a new store.

    Args:
        sources: one after the other; each is named in the new store's history.
        out: where nothing may be yet.
        mend: what becomes of each.
        did: what is written down about it.
        skip: numbers that are not even read.

    Returns:
        How many episodes the new store holds.

    Raises:
        SpecMismatchError: the stores are of different robots or tasks.
        DataError: a source is damaged, or two of them hold the same transition.
        StoreError: there is something at `out`, or the disk refused. Nothing is left there.
    """
    for other in sources[1:]:
        other.check(sources[0].problem)
    total, done, written = sum(len(s.visible) for s in sources), 0, 0
    held: dict[str, list[tuple[int, int, str]]] = {}
    with BulkWriter(out, sources[0].problem) as writer:
        for source in sources:
            for index, episode in source.some([i for i in source.visible if i not in skip]):
                for mended in mend(index, episode):
                    held.setdefault(mended.boot, []).append(
                        (mended.first_sequence, mended.next_sequence, f"episode {index} of {source.path}")
                    )
                    writer.append(mended)
                    written += 1
                done += 1
                on_progress(done, total)
        _refuse_twice(held)
        writer.finish(_attributes(sources, did))
    return written


def _attributes(sources: Sequence[DemoStore], did: Mapping[str, Any]) -> dict[str, Any]:
    """What all sources say of themselves alike, and how the new store came to be."""
    first = sources[0].attributes
    own = (*RESERVED, MADE_FROM)
    common = {
        key: value
        for key, value in first.items()
        if key not in own and all(s.attributes.get(key) == value for s in sources)
    }
    made_from = [
        {
            "store": str(source.path),
            "episodes": len(source.visible),
            "hidden_left_behind": len(source.hidden),
            "history": source.attributes.get(MADE_FROM, []),
            **({} if len(sources) == 1 else {"attributes": _rest(source.attributes, common)}),
        }
        for source in sources
    ]
    return {**common, MADE_FROM: [{**did, "sources": made_from}]}


def _rest(attributes: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in attributes.items() if k not in common and k not in (*RESERVED, MADE_FROM)}


def _refuse_twice(held: Mapping[str, list[tuple[int, int, str]]]) -> None:
    for boot, ranges in held.items():
        ranges.sort()
        for (_, end, before), (start, _, name) in zip(ranges, ranges[1:], strict=False):
            if start < end:
                raise DataError(
                    "Merging", f"{name} and {before} hold the same transitions (boot {boot!r})",
                    "stores that share none; drop the episode from one of them first",
                )  # fmt: skip


def keep(index: int, episode: Segment) -> Iterator[Segment]:
    """As it is."""
    yield episode


def cut(episode: Segment, first: int, stop: int) -> Segment:
    """The steps [first, stop) as an episode of its own: truncated, unless its end is the end.

    Raises:
        DataError: that leaves no step.
    """
    n = len(episode)
    if not 0 <= first < stop <= n:
        raise DataError(
            f"Episode of {n} steps", f"steps {first} to {stop - 1} are to be kept", "at least one of its steps"
        )
    return replace(
        episode,
        first_sequence=episode.first_sequence + first,
        observations=episode.observations[first : stop + 1],
        ending=episode.ending if stop == n else "truncated",
        cause=episode.cause if stop == n else "cut here afterwards",
        **{name: getattr(episode, name)[first:stop] for name in _COLUMNS},
    )


def split(episode: Segment, at: int) -> tuple[Segment, Segment]:
    """The steps before `at`, and those from it on.

    Raises:
        DataError: one of them is empty.
    """
    return cut(episode, 0, at), cut(episode, at, len(episode))


def with_success(episode: Segment, value: bool, first: int, stop: int) -> Segment:
    """Steps [first, stop) labelled as solved or not; rewards stay."""
    success = episode.success.copy()
    success[first:stop] = value
    return replace(episode, success=success)


def with_rewards(episode: Segment, rewards: NDArray[np.float32], success: NDArray[np.bool_] | None = None) -> Segment:
    """Other rewards (N,), and successes if given."""
    return replace(episode, rewards=rewards.astype(np.float32), success=episode.success if success is None else success)


def with_ending(episode: Segment, ending: Ending) -> Segment:
    """Another ending; its cause stays."""
    return replace(episode, ending=ending)
