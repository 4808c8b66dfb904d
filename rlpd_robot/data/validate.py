"""Looking through a whole store for values that would harm learning."""

from collections.abc import Iterator
from pathlib import Path

from rlpd_robot.data.ahead import ahead
from rlpd_robot.data.layout import SEAL
from rlpd_robot.data.opening import OpenedStore, open_store
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.data.rows import Problem, Rows, is_sound, problems_of, read_blocks, read_meta, sequence_ranges
from rlpd_robot.data.seal import ContentDigest, sealed_digest

__all__ = ["Problem", "validate"]


def validate(path: Path | str, on_progress: OnProgress = no_progress) -> list[Problem]:
    """Everything that is wrong with the committed episodes; empty for a sound store. Reads each chunk once or twice.

    Args:
        path: of the store.
        on_progress: told of episodes.

    Raises:
        StoreError: the store cannot be read at all: missing, something else, of another schema, or with a damaged or
            missing chunk, whose array, rows and episodes the sentence names.
    """
    opened = open_store(Path(path))
    meta = read_meta(opened)
    endings = meta["meta/ending"]
    found = list(_description(opened))
    sealed = sealed_digest(opened.attributes)
    digest = ContentDigest(opened) if sealed is not None else None
    for block in ahead(read_blocks(opened, 0, opened.episodes)):
        if not is_sound(block, endings):
            for episode, rows in block.episodes():
                found.extend(problems_of(episode, rows, int(endings[episode])))
        if digest is not None:
            digest.update(block)
        on_progress(block.first + len(block.ends), opened.episodes)
    found.extend(_repeats(opened, meta))
    if digest is not None:
        now = digest.finish(meta)
        if now != sealed:
            was = f"{sealed[:16]}…, as when it was sealed" if sealed else "a seal that holds a digest"
            found.append(Problem(None, SEAL, (), f"the content's SHA-256 is {now[:16]}…", was))
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
