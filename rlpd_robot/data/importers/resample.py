"""From stamped numbers of several topics to steps of an episode.

At step k, at the time T_k, the observation is what had been received last, at T_k or before. The action of that step is
the command that was in effect until the next one: what had been received last *before* T_{k+1}. Taking the last command
before T_k instead would pair each observation with the command that led to it. Reward, success and intervention belong
to a step as its action does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.source import MAX_EPISODE_BYTES, Notes, SourceEpisode
from rlpd_robot.data.importers.topic_map import Part, TopicMap
from rlpd_robot.data.importers.topic_numbers import Values
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Ending

Stamps = NDArray[np.int64]
Numbers = NDArray[np.float64]

MAX_STAMP_NS = 1 << 62
_STEPS_BYTES = 1 << 23
"""Of the observations of the steps that are made at once."""


@dataclass(frozen=True)
class Track:
    """What was received of one part.

    Attributes:
        stamps_ns: (N,) when, not descending.
        values: of each.
    """

    stamps_ns: Stamps
    values: Values


@dataclass(frozen=True)
class Window:
    """A stretch of a recording, after those before it; of one time all messages are in one window.

    Attributes:
        stamps_ns: (G,) when anything at all was received, ascending.
        tracks: by part, those of `TopicMap.episode` left out.
        events: when something was said of episodes, and what; of several at one time the last.
        ticks_ns: (K,) when `TopicMap.tick` was heard.
    """

    stamps_ns: Stamps
    tracks: Mapping[Part, Track]
    events: Sequence[tuple[int, str]] = ()
    ticks_ns: Stamps = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass
class _Rows:
    """The episode under way, in pieces."""

    observations: list[Numbers] = field(default_factory=list)
    stamps_ns: list[Stamps] = field(default_factory=list)
    acted: list[dict[str, Numbers]] = field(default_factory=list)
    nbytes: int = 0


class Resampler:
    """Takes the windows of one recording in the order of time.

    Args:
        path: the recording, for sentences.
        topics: what is what.
        period_s: control period.
        notes: counts what was left out.
    """

    def __init__(self, path: Path, topics: TopicMap, period_s: float, notes: Notes) -> None:
        self._path = path
        self._topics = topics
        self._period_ns = min(max(1, round(1e9 * period_s)), MAX_STAMP_NS)
        self._max_age_ns = min(round(1e9 * topics.max_age_s), MAX_STAMP_NS)
        self._notes = notes
        self._parts = [part for part in topics.parts if part is not topics.episode]
        self._last: dict[Part, Track] = {}
        self._tracks: Mapping[Part, Track] = {}
        self._running = topics.episode is None
        self._rows = _Rows()
        self._next_ns: int | None = None
        self._from_ns = -MAX_STAMP_NS
        self._first_ns = 0

    def episodes(self, windows: Iterable[Window], prefix: str = "") -> Iterator[SourceEpisode]:
        """Each episode, when it has ended.

        Args:
            windows: of the recording.
            prefix: of the names of the episodes.
        """
        count, is_first = 0, True
        for window in windows:
            if is_first:
                self._first_ns, is_first = int(window.stamps_ns[0]), False
            for ending in self._take(window):
                episode = self._finish(f"{prefix}episode {count}", ending)
                if episode is not None:
                    count += 1
                    yield episode
        episode = self._finish(f"{prefix}episode {count}", "unknown")
        if episode is not None:
            yield episode

    def _take(self, window: Window) -> Iterator[Ending]:
        """Work one window in; yields how the episode under way ended, wherever one did."""
        self._tracks = {part: self._continued(part, window) for part in self._parts}
        for now_ns, word in window.events:
            event = self._topics.events.get(word)
            if event == "start":
                before = int(np.searchsorted(window.stamps_ns, now_ns))
                if self._running and before:
                    yield from self._steps(window, int(window.stamps_ns[before - 1]))
                if self._rows.observations:
                    yield "unknown"
                self._running, self._next_ns, self._from_ns = True, None, now_ns
            elif event is not None and self._running:
                yield from self._steps(window, now_ns)
                self._running = False
                yield event  # type: ignore[misc]  # one of the endings
        if self._running:
            yield from self._steps(window, int(window.stamps_ns[-1]))
        self._last = {part: _newest(track) for part, track in self._tracks.items()}

    def _continued(self, part: Part, window: Window) -> Track:
        """What a window has of one part, after the last of the windows before it."""
        track, last = window.tracks.get(part), self._last.get(part)
        if track is None or not len(track.stamps_ns):
            return last or Track(np.empty(0, np.int64), [])
        if last is None or not len(last.stamps_ns):
            return track
        stamps = np.concatenate([last.stamps_ns, track.stamps_ns])
        old, new = last.values, track.values
        if isinstance(old, np.ndarray) and isinstance(new, np.ndarray) and old.shape[1] == new.shape[1]:
            return Track(stamps, np.concatenate([old, new]))
        return Track(stamps, [*old, *new])

    def _steps(self, window: Window, until_ns: int) -> Iterator[Ending]:
        """Every step up to a time; yields wherever an observation is too old."""
        while len(times := self._times(window, until_ns)):
            oldest = times
            for part in self._topics.observation:
                oldest = np.minimum(oldest, self._tracks[part].stamps_ns[self._seen(part, times, "right")])
            late = np.flatnonzero(times - oldest > self._max_age_ns)
            good = times[: late[0]] if len(late) else times
            if len(good):
                self._add(good)
                self._next_ns, self._from_ns = int(good[-1]) + self._period_ns, int(good[-1]) + 1
            if len(late):
                if self._rows.observations:
                    self._notes.count(f"episodes cut where an observation was older than {self._topics.max_age_s:g} s")
                    yield "unknown"
                self._next_ns, self._from_ns = None, int(times[late[0]]) + 1

    def _times(self, window: Window, until_ns: int) -> Stamps:
        """When the next steps are, not all of them at once; none while an observation has never been seen."""
        tracks = [self._tracks[part] for part in self._topics.observation]
        if not all(len(track.stamps_ns) for track in tracks):
            return np.empty(0, np.int64)
        most = max(1, _STEPS_BYTES // (8 * sum(1 + _width(track) for track in tracks)))
        ready = max(int(track.stamps_ns[0]) for track in tracks)
        start = max(self._from_ns, ready)
        if self._topics.tick is not None:
            first, stop = np.searchsorted(window.ticks_ns, [start, until_ns + 1])
            return window.ticks_ns[first : min(stop, first + most)]
        if self._next_ns is None:
            first = int(np.searchsorted(window.stamps_ns, start))
            if first == len(window.stamps_ns):
                return np.empty(0, np.int64)
            start = int(window.stamps_ns[first])
        else:
            start = self._next_ns
        if start > until_ns:
            return np.empty(0, np.int64)
        stop = min(until_ns, start + (most - 1) * self._period_ns)
        return np.arange(start, stop + 1, self._period_ns, dtype=np.int64)

    def _seen(self, part: Part, times: Stamps, side: Any) -> NDArray[np.intp]:
        """(N,) which message was the last at these times ("right") or before them ("left"); -1: none."""
        return np.searchsorted(self._tracks[part].stamps_ns, times, side) - 1

    def _add(self, times: Stamps) -> None:
        """Steps at these times, whose observations are all there."""
        rows = self._rows
        acting = {part: self._seen(part, times, "left") for part in self._topics.action}
        unacted = int(max(np.searchsorted(seen, 0) for seen in acting.values()))
        if unacted:
            self._notes.count("steps before the first command left out", unacted - (not rows.observations))
            self._rows = rows = _Rows()
        first = unacted if rows.observations or unacted else 1
        shown = max(0, unacted - 1)
        observations = [
            self._rows_of(part, self._seen(part, times, "right")[shown:], times) for part in self._topics.observation
        ]
        self._append(np.concatenate(observations, axis=1), times[shown:])
        if first < len(times):
            acted = [self._rows_of(part, seen[first:], times) for part, seen in acting.items()]
            columns = {key: self._column(key, part, times[first:]) for key, part in self._topics.columns.items()}
            self._rows.acted.append({"action": np.concatenate(acted, axis=1), **columns})
            if self._rows.acted[0]["action"].shape[1] != self._rows.acted[-1]["action"].shape[1]:
                raise self._resized(times[first])

    def _append(self, observations: Numbers, times: Stamps) -> None:
        rows = self._rows
        if rows.observations and rows.observations[0].shape[1] != observations.shape[1]:
            raise self._resized(times[0])
        rows.observations.append(observations)
        rows.stamps_ns.append(times)
        rows.nbytes += observations.nbytes
        if rows.nbytes > MAX_EPISODE_BYTES:
            raise ImportSourceError(self._path, "an episode takes too much memory", f"{MAX_EPISODE_BYTES} bytes")

    def _rows_of(self, part: Part, index: NDArray[np.intp], times: Stamps) -> Numbers:
        values = self._tracks[part].values
        if isinstance(values, np.ndarray):
            return values[index]
        chosen = [values[i] for i in index.tolist()]
        sizes = np.array([len(v) for v in chosen])
        if (sizes != sizes[0]).any():
            raise self._resized(times[len(times) - len(index) + int(np.argmax(sizes != sizes[0]))])
        return np.stack(chosen)

    def _resized(self, now_ns: Any) -> ImportSourceError:
        return ImportSourceError(self._path, f"messages at {now_ns} ns have another size", "the same throughout")

    def _column(self, key: str, part: Part, times: Stamps) -> Numbers:
        """(N,) reward, success or intervention of the steps that end at these times."""
        seen = self._seen(part, times, "left")
        values = self._rows_of(part, seen, times) if seen[0] >= 0 else np.empty((0, 0))
        if values.shape[1] != 1:
            found = f"the episode at {times[0]} ns has steps without a {key}"
            raise ImportSourceError(self._path, found, "one number of it before the second step")
        return values[:, 0]

    def _finish(self, name: str, ending: Ending) -> SourceEpisode | None:
        rows, self._rows, self._next_ns = self._rows, _Rows(), None
        if not rows.acted:
            self._notes.count("starts without a step after them left out", bool(rows.observations))
            return None
        columns = {key: np.concatenate([acted[key] for acted in rows.acted]) for key in self._topics.columns}
        return SourceEpisode(
            name=name,
            observations=np.concatenate(rows.observations),
            actions=np.concatenate([acted["action"] for acted in rows.acted]),
            rewards=columns.get("reward"),
            success=columns.get("success"),
            intervened=columns.get("intervened"),
            ending=ending,
            stamps_s=(np.concatenate(rows.stamps_ns)[:-1] - self._first_ns) / 1e9,
        )


def _width(track: Track) -> int:
    return track.values.shape[1] if isinstance(track.values, np.ndarray) else max(map(len, track.values), default=0)


def _newest(track: Track) -> Track:
    """Its last message alone, which does not hold on to the others."""
    return Track(track.stamps_ns[-1:].copy(), track.values[-1:].copy())
