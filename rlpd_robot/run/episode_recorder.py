"""Each episode on disk while it happens, and in the store as soon as it is over."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.data.partial_episode import Partial, PartialEpisode, read_partial
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment, Transition

CUT_SHORT = "cut short: the recorder was ended"
"""Cause of a truncated episode of which only the beginning was recorded."""

DISCARDED, FAILED, UNDONE = "discarded by a person", "a failure, by a person's word", "undone by a person"
"""Why an episode is hidden."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One episode that is in the store.

    Attributes:
        index: in the store.
        steps: transitions.
        success: the task was solved in at least one of them.
        hidden: why it is hidden, or "".
        safe_ms: from the end of the episode until it would have survived a power cut [ms]; 0 where nobody timed it.
        stored_ms: from then until it was in the store too [ms].
    """

    index: int
    steps: int
    success: bool
    hidden: str
    safe_ms: float = 0.0
    stored_ms: float = 0.0


class EpisodeRecorder:
    """Subscriber of a control loop, and the one writer of a store for as long as it lives.

    Use: `begin`, then the loop's episode, then `save` or `leave`. What it costs a tick is one write of a few hundred
    bytes.

    Args:
        out: path of the store; made when there is nothing.
        problem: of its episodes.
        boot: id of this recorder process.
        intervened: whether a person acts.
        attributes: of a new store.

    Attributes:
        episodes, successes: in the store, hidden ones not counted.
        hidden: episodes that are.

    Raises:
        StoreLockedError, SpecMismatchError, StoreError: as `StoreWriter`.
    """

    def __init__(
        self, out: Path, problem: ProblemSpec, boot: str, intervened: bool, attributes: Mapping[str, Any] | None = None
    ) -> None:
        self._writer = StoreWriter(out, problem, attributes=attributes)
        self._partial = PartialEpisode(out, problem)
        self._problem, self._boot, self._intervened = problem, boot, intervened
        self._transitions: list[Transition] = []
        self._summary: EpisodeSummary | None = None
        self._undoable: list[Saved] = []
        try:
            self._recount()
        except BaseException:
            self._writer.close()
            raise

    @property
    def path(self) -> Path:
        """Of the store."""
        return self._writer.path

    @property
    def steps(self) -> int:
        """Transitions of the episode under way."""
        return len(self._transitions)

    def leftover(self) -> Partial | None:
        """What a recorder that was killed left of its last episode; None when there is nothing to decide.

        An episode that had ended by then is put into the store, as it would have been.

        Raises:
            StoreError: the file is damaged, or of another robot or task.
        """
        found = read_partial(self._partial.path, self._problem)
        if found is None:
            return None
        episode = found.episode
        if episode is None:
            self._partial.remove()
            return None
        if found.finished or self._is_stored(episode):
            self._store(episode, found.hide)
            self._recount()
            return None
        return found

    def settle(self, left: Partial, keep: bool) -> Saved:
        """Put the beginning of an episode that was cut short into the store, to be seen or hidden."""
        assert left.episode is not None
        episode = replace(left.episode, ending="truncated", cause=CUT_SHORT)
        return self._store(episode, "" if keep else DISCARDED)

    def begin(self, first_sequence: int) -> int:
        """An episode is about to begin, before the robot moves; its number.

        Raises:
            StoreError: the disk refuses.
        """
        self._transitions, self._summary = [], None
        episode = len(self._writer)
        self._partial.begin(self._boot, first_sequence, episode)
        return episode

    def on_transition(self, transition: Transition) -> None:
        """Write it down.

        Raises:
            StoreError: the disk refuses, and the episode must end.
        """
        self._transitions.append(transition)
        self._partial.add(transition, self._intervened)

    def on_episode(self, summary: EpisodeSummary) -> None:
        """The episode is over."""
        self._summary = summary

    def save(self, hide: str = "") -> Saved | None:
        """The episode that is over goes into the store; when this returns, it survives a power cut.

        Args:
            hide: why it is not to be seen, or "".

        Returns:
            What is in the store; None when the episode held no transition.

        Raises:
            StoreError: the disk refuses; the next recorder finds the episode.
        """
        summary = self._summary
        if summary is None or not self._transitions:
            self._partial.remove()
            return None
        start_s = time.perf_counter()
        self._partial.finish(summary.ending, summary.cause, hide)
        safe_s = time.perf_counter()
        episode = Segment.from_transitions(self._transitions)
        episode.intervened[:] = self._intervened
        saved = self._store(replace(episode, ending=summary.ending, cause=summary.cause), hide)
        return replace(saved, safe_ms=1e3 * (safe_s - start_s), stored_ms=1e3 * (time.perf_counter() - safe_s))

    def leave(self) -> Partial | None:
        """The episode was cut short and is not saved: its beginning lies on the disk. What lies there, or None."""
        self._partial.leave()
        return self.leftover()

    def undo(self) -> Saved | None:
        """Hide the last episode of this session that is to be seen; None when there is none."""
        if not self._undoable:
            return None
        last = self._undoable[-1]
        self._writer.hide(last.index, UNDONE)
        self._undoable.pop()
        self._count(last, -1)
        self.hidden += 1
        return replace(last, hidden=UNDONE)

    def close(self) -> None:
        """Release the store. Never raises."""
        self._partial.leave()
        self._writer.close()

    def _is_stored(self, episode: Segment) -> bool:
        return self._writer.next_sequences.get(episode.boot, 0) > episode.first_sequence

    def _store(self, episode: Segment, hide: str) -> Saved:
        """Whatever of this was done before a kill is not done again."""
        if not self._is_stored(episode):
            self._writer.append(episode)
        index = len(self._writer) - 1
        if hide and index not in DemoStore.open(self.path).hidden:
            self._writer.hide(index, hide)
        self._partial.remove()
        saved = Saved(index, len(episode), bool(episode.success.any()), hide)
        if hide:
            self.hidden += 1
        else:
            self._count(saved, 1)
            self._undoable.append(saved)
        return saved

    def _recount(self) -> None:
        store = DemoStore.open(self.path)
        summary = store.summary()
        self.episodes, self.hidden = summary.episodes, len(store) - summary.episodes
        self.successes = round(summary.success_rate * summary.episodes)

    def _count(self, saved: Saved, sign: int) -> None:
        self.episodes += sign
        self.successes += sign * saved.success
