"""Compares what a robot executed with what a run's store holds, transition by transition.

A transition is (state k → executed command → state k+1). The robot's own book has the command, the store has the action
that it was mapped to; the same map gives the same 32 bits, so rows and commands are joined by their values, in order.

A *stretch* is what one controller had one robot server execute between two resets: one episode, as the robot saw it.
Only the last command of a stretch may be without a row: the controller, the robot or the link failed before the state
that followed was seen, so there never was a transition. These are counted as *unobserved*. Every other command without
a row is *lost*.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import Outcome
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.types import Command, Segment

Place = tuple[int, int]
"""(stretch, command within it)."""


@dataclass(frozen=True)
class Stretch:
    """Commands executed between two resets.

    Attributes:
        server, controller: boots.
        numbers: (N,) the controller's own, increasing.
        answers: (N,) numbers of the states that they answer.
        actions: (N, A) float32, as a store holds them.
    """

    server: str
    controller: str
    numbers: NDArray[np.int64]
    answers: NDArray[np.int64]
    actions: NDArray[np.float32]

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
        unobserved: last commands of a stretch of which nobody saw the outcome.
        not_executed: rows of which the robot did not execute the action.
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
    cuts: dict[tuple[bytes, bytes], list[list[np.void]]] = {}
    for record in book:
        key = (bytes(record["server"]), bytes(record["controller"]))
        if record["outcome"] == Outcome.RESET:
            cuts.setdefault(key, []).append([])
        elif record["outcome"] == Outcome.EXECUTED:
            cuts.setdefault(key, [[]])[-1].append(record)
    return [
        _stretch(server, controller, records, actions)
        for (server, controller), parts in cuts.items()
        for records in parts
        if records
    ]


def _stretch(server: bytes, controller: bytes, records: Sequence[np.void], actions: ActionMap) -> Stretch:
    return Stretch(
        server=server.decode(errors="replace"),
        controller=controller.decode(errors="replace"),
        numbers=np.array([r["number"] for r in records], np.int64),
        answers=np.array([r["answers"] for r in records], np.int64),
        actions=np.stack([actions.to_action(Command(np.array(r["values"]))) for r in records]),
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
    alignments = {s: _align(keys, s, places) for s in candidates}
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


def _align(keys: Sequence[bytes], stretch: int, places: Mapping[bytes, Sequence[Place]]) -> dict[int, int]:
    """By row, the command of one stretch that it is of, when rows and commands are gone through in order."""
    aligned: dict[int, int] = {}
    after = 0
    for i, key in enumerate(keys):
        at = next((index for s, index in places.get(key, ()) if s == stretch and index >= after), None)
        if at is not None:
            aligned[i] = at
            after = at + 1
    return aligned


def _check_chain(
    episode: Segment, matched: Sequence[Place], done: Sequence[Stretch], lockstep: bool, found: Comparison
) -> None:
    if not matched:
        return
    home, first = matched[0]
    if first != 0:
        found.torn.append(
            f"{_row(episode, 0)} is not the beginning of its stretch, but command {first} of {done[home]}"
        )
    states = [int(done[s].answers[i]) for s, i in matched]
    for i, (before, after) in enumerate(zip(states, states[1:], strict=False)):
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
        for i in range(len(stretch)):
            rows = rows_of[s, i]
            where = f"command {stretch.numbers[i]} of {stretch}"
            if rows > 1:
                found.duplicated.append(f"{where} is in {rows} rows")
            elif rows == 0 and i == len(stretch) - 1:
                found.unobserved.append(where)
            elif rows == 0:
                found.lost.append(f"{where} is in no row, and {len(stretch) - 1 - i} followed it")


def _row(episode: Segment, index: int) -> str:
    return f"sequence {episode.first_sequence + index} of actor {episode.boot[:8]} (episode {episode.episode})"
