"""Compares what a robot executed with what a run's store holds, transition by transition.

A transition is (state k → executed command → state k+1). The robot's own book has the command, the store has the action
that it was mapped to; the same map gives the same 32 bits, so rows and commands are joined by their values, in order.

A *stretch* is what one controller had one robot server execute between two resets: one episode, as the robot saw it.
The book tells which states the robot measured while it followed a command, and which of these the controller took: it
answered them. So it tells how many rows a command must have at least, and may have at most. In lock-step both are 1 but
for the last command of a stretch: controller, robot or link may have failed before anybody saw what followed, so there
never was a transition. By the wall clock a command may also be overtaken by the next before a state that it led to is
taken, or be held over several states when the next one is late. A command that needs no row and has none is
*unobserved*; each missing row is *lost*.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import Outcome
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.types import Command, Segment

Place = tuple[int, int]
"""(stretch, command within it)."""

Key = tuple[bytes, bytes]
"""(boot of the server, boot of the controller)."""

_ENDS = (Outcome.EXECUTED, Outcome.RESET, Outcome.STOP, Outcome.HELD)
"""After these the robot no longer follows the command before."""

_SEEN = math.ceil(FRESH_PERIODS) + 1  # states, at most, under the last command of a server that was killed


@dataclass(frozen=True)
class Stretch:
    """Commands executed between two resets.

    Attributes:
        server, controller: boots.
        numbers: (N,) the controller's own, increasing.
        answers: (N,) numbers of the states that they answer.
        actions: (N, A) float32, as a store holds them.
        least: (N,) states that the controller is known to have taken while the robot followed the command.
        most: (N,) states that the robot measured while it followed the command.
    """

    server: str
    controller: str
    numbers: NDArray[np.int64]
    answers: NDArray[np.int64]
    actions: NDArray[np.float32]
    least: NDArray[np.int64]
    most: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __str__(self) -> str:
        return f"controller {self.controller[:8]} on robot {self.server[:8]}, commands from {self.numbers[0]}"


@dataclass(frozen=True)
class Comparison:
    """What came out, each finding as a sentence.

    Attributes:
        executed: commands in the robot's book.
        committed: transitions in the store.
        lost: executed and seen by the controller, but in no row; or a sequence number that is missing.
        duplicated: one command in two rows, one (boot, sequence) in two rows, or one command executed twice.
        torn: episodes whose rows are not one stretch from its beginning on, or that were stored in pieces.
        unobserved: commands of which nobody saw the outcome.
        not_executed: rows of which the robot did not execute the action, or not for so many states.
    """

    executed: int = 0
    committed: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    unobserved: list[str] = field(default_factory=list)
    not_executed: list[str] = field(default_factory=list)


def stretches(book: NDArray[np.void], actions: ActionMap) -> list[Stretch]:
    """The executed commands of a book (see `read_book`), cut at each reset and at each new server or controller."""
    records: dict[Key, list[np.void]] = defaultdict(list)
    for record in book:
        records[bytes(record["server"]), bytes(record["controller"])].append(record)
    return [stretch for key, of_one in records.items() for stretch in _cut(key, of_one, actions)]


def _cut(key: Key, records: Sequence[np.void], actions: ActionMap) -> list[Stretch]:
    """Those of one controller on one server."""
    taken = np.array(sorted({int(r["answers"]) for r in records if r["outcome"] != Outcome.RESET}), np.int64)
    parts: list[list[tuple[np.void, int]]] = [[]]
    end: int | None = None  # of what the robot followed before this record
    for record in reversed(records):
        outcome, state = record["outcome"], int(record["state"])
        if outcome == Outcome.EXECUTED:
            parts[-1].append((record, state + _SEEN if end is None else end))
        elif outcome == Outcome.RESET:
            parts.append([])
        if outcome in _ENDS:
            end = state
    return [_stretch(key, part[::-1], taken, actions) for part in reversed(parts) if part]


def _stretch(key: Key, records: Sequence[tuple[np.void, int]], taken: NDArray[np.int64], actions: ActionMap) -> Stretch:
    first = np.array([r["state"] for r, _ in records], np.int64)  # of the states before the command, the last
    last = np.array([end for _, end in records], np.int64)
    server, controller = (name.decode(errors="replace") for name in key)
    return Stretch(
        server=server,
        controller=controller,
        numbers=np.array([r["number"] for r, _ in records], np.int64),
        answers=np.array([r["answers"] for r, _ in records], np.int64),
        actions=np.stack([actions.to_action(Command(np.array(r["values"]))) for r, _ in records]),
        least=np.searchsorted(taken, last, "right") - np.searchsorted(taken, first, "right"),
        most=last - first,
    )


def compare(done: Sequence[Stretch], episodes: Iterable[Segment], lockstep: bool) -> Comparison:
    """Join the robot's book and a store.

    Args:
        done: from the book.
        episodes: all of the store.
        lockstep: each state then has exactly one command, so the states of an episode must follow each other.
    """
    found = Comparison(executed=sum(map(len, done)), committed=0)
    places: dict[bytes, list[Place]] = defaultdict(list)
    for s, stretch in enumerate(done):
        for i, action in enumerate(stretch.actions):
            places[action.tobytes()].append((s, i))
    rows_of: Counter[Place] = Counter()
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    pieces: Counter[tuple[str, int]] = Counter()
    taken: set[int] = set()
    committed = 0
    for episode in episodes:
        committed += len(episode)
        pieces[episode.boot, episode.episode] += 1
        spans[episode.boot].append((episode.first_sequence, episode.next_sequence))
        matched = _match(episode, done, places, taken, found)
        rows_of.update(matched)
        _check_chain(episode, matched, done, lockstep, found)
    for (boot, number), count in pieces.items():
        if count > 1:
            found.torn.append(f"episode {number} of actor {boot[:8]} was stored in {count} pieces")
    _check_spans(spans, found)
    _check_commands(done, rows_of, found)
    return Comparison(**{**vars(found), "committed": committed})


def _match(
    episode: Segment,
    done: Sequence[Stretch],
    places: Mapping[bytes, Sequence[Place]],
    taken: set[int],
    found: Comparison,
) -> list[Place]:
    """The commands of an episode's rows, in order; rows without one are noted down."""
    keys = [action.tobytes() for action in episode.actions]
    candidates = sorted({s for key in keys for s, _ in places.get(key, ())})
    alignments = {s: _align(keys, done[s]) for s in candidates}
    # The one that fits best; of equals the one that no episode has taken yet.
    home = max(candidates, key=lambda s: (len(alignments[s]), s not in taken, -s), default=-1)
    aligned = alignments.get(home, {})
    taken.add(home)
    matched: list[Place] = []
    for i, key in enumerate(keys):
        elsewhere = [place for place in places.get(key, ()) if place[0] != home]
        if i in aligned:
            matched.append((home, aligned[i]))
        elif elsewhere:
            matched.append(elsewhere[0])
            found.torn.append(f"{_row(episode, i)} was executed in another stretch: {done[elsewhere[0][0]]}")
        else:
            found.not_executed.append(f"{_row(episode, i)}: the robot did not execute its action")
    return matched


def _align(keys: Sequence[bytes], stretch: Stretch) -> dict[int, int]:
    """By row, the command of one stretch that it is of, when rows and commands are gone through in order.

    Equal actions leave a choice where some commands need no row: of two ways the one that finds more of the rows that
    must be there.
    """
    commands, most = [action.tobytes() for action in stretch.actions], stretch.most.tolist()
    forth = _align_forth(keys, most, commands)
    mirrored = _align_forth(keys[::-1], most[::-1], commands[::-1])
    back = {len(keys) - 1 - i: len(commands) - 1 - at for i, at in mirrored.items()}
    return max((forth, back), key=lambda way: (len(way), -sum(_missing(way.values(), stretch))))


def _align_forth(keys: Sequence[bytes], most: Sequence[int], commands: Sequence[bytes]) -> dict[int, int]:
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for index, command in enumerate(commands):
        by_key[command].append(index)
    aligned: dict[int, int] = {}
    at, used = -1, 0
    for i, key in enumerate(keys):
        if at >= 0 and commands[at] == key and used < most[at]:
            aligned[i], used = at, used + 1
            continue
        later = next((index for index in by_key[key] if index > at and most[index] > 0), None)
        if later is not None:
            aligned[i], at, used = later, later, 1
    return aligned


def _missing(rows: Iterable[int], stretch: Stretch) -> list[int]:
    """For each run of equal commands, how many of the rows that must be there are not."""
    held = Counter(rows)
    return [
        max(0, int(stretch.least[start:stop].sum()) - sum(held[i] for i in range(start, stop)))
        for start, stop in _runs(stretch)
    ]


def _runs(stretch: Stretch) -> Iterator[tuple[int, int]]:
    """[start, stop) of commands with the same action: their rows cannot be told apart."""
    new = (stretch.actions[1:] != stretch.actions[:-1]).any(axis=1)
    starts = [0, *(np.flatnonzero(new) + 1).tolist(), len(stretch)]
    return pairwise(starts)


def _check_chain(
    episode: Segment, matched: Sequence[Place], done: Sequence[Stretch], lockstep: bool, found: Comparison
) -> None:
    if not matched:
        return
    home, first = matched[0]
    if any(done[home].least[start:stop].any() for start, stop in _runs(done[home]) if stop <= first):
        found.torn.append(
            f"{_row(episode, 0)} is not the beginning of its stretch, but command {first} of {done[home]}"
        )
    for i, (last, place) in enumerate(pairwise(matched)):
        if last == place:
            continue  # held: the next one was late
        before, after = (int(done[s].answers[index]) for s, index in (last, place))
        if after <= before or (lockstep and after != before + 1):
            found.torn.append(f"{_row(episode, i + 1)} answers state {after}, the one before it state {before}")


def _check_spans(spans: dict[str, list[tuple[int, int]]], found: Comparison) -> None:
    """Each boot's sequence numbers count from 0 without a gap, each once."""
    for boot, ranges in spans.items():
        expected = 0
        for first, after in sorted(ranges):
            if first > expected:
                found.lost.append(f"sequences {expected} to {first - 1} of actor {boot[:8]} are missing")
            for sequence in range(first, min(expected, after)):
                found.duplicated.append(f"sequence {sequence} of actor {boot[:8]} is stored twice")
            expected = max(expected, after)


def _check_commands(done: Sequence[Stretch], rows_of: Counter[Place], found: Comparison) -> None:
    executed = Counter((s.server, s.controller, int(number)) for s in done for number in s.numbers)
    for (_, controller, number), count in executed.items():
        if count > 1:
            found.duplicated.append(f"command {number} of controller {controller[:8]} was executed {count} times")
    for s, stretch in enumerate(done):
        rows = [i for i in range(len(stretch)) for _ in range(rows_of[s, i])]
        for (start, stop), missing in zip(_runs(stretch), _missing(rows, stretch), strict=True):
            where = f"command {stretch.numbers[start]} of {stretch}"
            here, most = sum(start <= i < stop for i in rows), int(stretch.most[start:stop].sum())
            if here > most:
                found.duplicated.append(f"{where} is in {here} rows, {most} at most are its own")
            found.lost.extend([f"{where} is in no row, and {len(stretch) - stop} followed it"] * missing)
            found.unobserved.extend([where] * max(0, stop - start - here - missing))


def _row(episode: Segment, index: int) -> str:
    return f"sequence {episode.first_sequence + index} of actor {episode.boot[:8]} (episode {episode.episode})"
