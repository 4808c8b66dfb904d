"""From received segments to committed episodes: what makes an acknowledgement true."""

from collections.abc import Callable
from dataclasses import replace

from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.types import Ending, Segment
from rlpd_robot.wire.messages import EpisodeEnd

OnEpisode = Callable[[Segment], None]
"""Called with each episode once it is durable."""


class LiveStore:
    """Collects the segments of each actor until an episode is whole, then appends it to `live.zarr`.

    A new episode, or one that goes on after a gap, closes the one before it: an actor that died has no other way to say
    so, and one that lives tells the end itself. Such an episode is truncated with the cause "cut short"; every
    transition in it was executed and is kept.

    Args:
        writer: of the run's live store.
        committed: next sequence number of each boot, as far as the store already holds it.
        on_episode: told of each episode after it is durable.
    """

    def __init__(self, writer: StoreWriter, committed: dict[str, int], on_episode: OnEpisode) -> None:
        self._writer = writer
        self._committed = committed
        self._on_episode = on_episode
        self._open: dict[str, list[Segment]] = {}
        self.transitions = 0

    def committed(self, boot: str) -> int:
        """The next sequence number of this boot that is not yet on disk."""
        return self._committed.get(boot, 0)

    def take(self, segment: Segment) -> None:
        """Keep one segment; commit the episodes that it completes or closes."""
        held = self._open.get(segment.boot)
        if held and (segment.episode, segment.first_sequence) != (held[-1].episode, held[-1].next_sequence):
            self._close(segment.boot, "cut short")
        self._open.setdefault(segment.boot, []).append(segment)
        if segment.ending:
            self._commit(segment.boot, segment.ending, segment.cause)

    def end(self, end: EpisodeEnd) -> None:
        """Commit the episode that ended so. One that has been committed already stays as it is."""
        held = self._open.get(end.boot)
        if held and (held[-1].episode, held[-1].next_sequence) == (end.episode, end.sequence):
            self._commit(end.boot, end.ending, end.cause)

    def close(self, cause: str) -> None:
        """Commit whatever is still open, as truncated."""
        for boot in list(self._open):
            self._close(boot, cause)

    def close_boot(self, boot: str) -> None:
        """Commit what a boot that will send no more has left open."""
        if self._open.get(boot):
            self._close(boot, "cut short")

    def _close(self, boot: str, cause: str) -> None:
        self._commit(boot, "truncated", cause)

    def _commit(self, boot: str, ending: Ending, cause: str) -> None:
        segments = self._open.pop(boot)
        episode = replace(Segment.join(segments), ending=ending, cause=cause)
        self._writer.append(episode)
        self.transitions += len(episode)
        self._committed[boot] = episode.next_sequence
        self._on_episode(episode)
