"""Looking through a whole store for values that would harm learning."""

from collections.abc import Iterator
from pathlib import Path

from rlpd_robot.data.opening import OpenedStore, open_store
from rlpd_robot.data.rows import Problem, Rows, problems_of, read_episodes, read_meta, sequence_ranges

__all__ = ["Problem", "validate"]


def validate(path: Path | str) -> list[Problem]:
    """Everything that is wrong with the committed episodes; empty for a sound store. Reads each chunk once.

    Raises:
        StoreError: the store cannot be read at all: missing, something else, of another schema, or with a damaged or
            missing chunk, whose array, rows and episodes the sentence names.
    """
    opened = open_store(Path(path))
    meta = read_meta(opened)
    found = list(_description(opened))
    for episode, rows in read_episodes(opened, 0, opened.episodes):
        found.extend(problems_of(episode, rows, int(meta["meta/ending"][episode])))
    found.extend(_repeats(opened, meta))
    return found


def _description(opened: OpenedStore) -> Iterator[Problem]:
    recorded = opened.attributes.get("fingerprint")
    if recorded != opened.problem.fingerprint:
        yield Problem(
            None, "fingerprint", (), f"{recorded!r}", f"{opened.problem.fingerprint!r}, that of its own description"
        )


def _repeats(opened: OpenedStore, meta: Rows) -> Iterator[Problem]:
    """Transitions stored twice: ranges of one boot's sequence numbers that overlap."""
    ranges = list(sequence_ranges(opened, meta))
    order = sorted(range(len(ranges)), key=lambda i: ranges[i])
    end, holder = 0, -1
    for i in order:
        boot, first, after = ranges[i]
        if holder >= 0 and ranges[holder][0] == boot and first < end:
            yield Problem(i, "first_sequence", (), f"{first}, which episode {holder} holds too", f"{end} or later")
        if holder < 0 or ranges[holder][0] != boot or after > end:
            end, holder = after, i
