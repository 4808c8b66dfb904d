"""From stamped messages of several topics to steps of an episode.

At step k, at the time T_k, the observation is what had been received last, at T_k or before. The action of that step is
the command that was in effect until the next one: what had been received last *before* T_{k+1}. Taking the last command
before T_k instead would pair each observation with the command that led to it. Reward, success and intervention belong
to a step as its action does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.source import MAX_EPISODE_BYTES, Notes, SourceEpisode
from rlpd_robot.data.importers.topic_map import Part, TopicMap, numbers_of, text_of
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Ending

Group = tuple[int, Mapping[str, Any]]
"""A time [ns] and by topic the message received then."""

Numbers = NDArray[np.float64]


@dataclass
class _Rows:
    """The episode under way."""

    observations: list[Numbers] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    acted: list[dict[str, Numbers]] = field(default_factory=list)
    nbytes: int = 0


class Resampler:
    """Takes the groups of one recording in the order of time.

    Args:
        path: the recording, for sentences.
        topics: what is what.
        period_s: control period.
        notes: counts what was left out.
    """

    def __init__(self, path: Path, topics: TopicMap, period_s: float, notes: Notes) -> None:
        self._path = path
        self._topics = topics
        self._period_ns = max(1, round(1e9 * period_s))
        self._max_age_ns = round(1e9 * topics.max_age_s)
        self._notes = notes
        self._latest: dict[Part, tuple[int, Numbers]] = {}
        self._running = topics.episode is None
        self._rows = _Rows()
        self._next_ns: int | None = None
        self._first_ns: int | None = None

    def episodes(self, groups: Iterable[Group], prefix: str = "") -> Iterator[SourceEpisode]:
        """Each episode, when it has ended.

        Args:
            groups: of the recording.
            prefix: of the names of the episodes.
        """
        count, last_ns = 0, None
        for now_ns, messages in groups:
            if last_ns is not None and now_ns <= last_ns:
                raise ImportSourceError(self._path, f"its messages go back in time at {now_ns} ns", "ascending stamps")
            last_ns = now_ns
            self._first_ns = now_ns if self._first_ns is None else self._first_ns
            for ending in self._take(now_ns, messages):
                episode = self._finish(f"{prefix}episode {count}", ending)
                if episode is not None:
                    count += 1
                    yield episode
        episode = self._finish(f"{prefix}episode {count}", "unknown")
        if episode is not None:
            yield episode

    def _take(self, now_ns: int, messages: Mapping[str, Any]) -> Iterator[Ending]:
        """Work one group in; yields how the episode under way ended, wherever one did."""
        event = self._event(messages)
        if event == "start":
            if self._rows.observations:
                yield "unknown"
            self._running, self._next_ns = True, None
        if self._topics.tick is None:
            while self._running and self._next_ns is not None and self._next_ns < now_ns:
                yield from self._step(self._next_ns, self._acted())
        before = self._acted()
        for part in self._topics.parts:
            if part is not self._topics.episode and part.topic in messages:
                self._latest[part] = (now_ns, numbers_of(self._path, messages[part.topic], part))
        if self._running and self._is_step(now_ns, messages):
            yield from self._step(now_ns, before)
        if event not in (None, "start") and self._running:
            self._running = False
            yield event  # type: ignore[misc]  # one of the endings

    def _event(self, messages: Mapping[str, Any]) -> str | None:
        part = self._topics.episode
        if part is None or part.topic not in messages:
            return None
        return self._topics.events.get(text_of(self._path, messages[part.topic], part))

    def _is_step(self, now_ns: int, messages: Mapping[str, Any]) -> bool:
        if self._topics.tick is not None:
            return self._topics.tick in messages
        return self._next_ns is None or self._next_ns == now_ns

    def _acted(self) -> dict[str, Numbers] | None:
        """Action and the like, as received last; none before the first command."""
        if any(part not in self._latest for part in self._topics.action):
            return None
        acted = {"action": np.concatenate([self._latest[part][1] for part in self._topics.action])}
        for key, part in self._topics.columns.items():
            if part in self._latest:
                acted[key] = self._latest[part][1]
        return acted

    def _step(self, now_ns: int, acted: dict[str, Numbers] | None) -> Iterator[Ending]:
        stamps = [self._latest[part][0] for part in self._topics.observation if part in self._latest]
        if len(stamps) < len(self._topics.observation):
            return  # not everything has been seen yet
        self._next_ns = now_ns + self._period_ns
        if now_ns - min(stamps) > self._max_age_ns:
            if self._rows.observations:
                self._notes.count(f"episodes cut where an observation was older than {self._topics.max_age_s:g} s")
                yield "unknown"
            self._next_ns = None
            return
        observation = np.concatenate([self._latest[part][1] for part in self._topics.observation])
        rows = self._rows
        if rows.observations and acted is None:
            self._notes.count("steps before the first command left out")
            self._rows = rows = _Rows()
        if rows.observations and acted is not None:
            if len(observation) != len(rows.observations[0]) or (
                rows.acted and {k: len(v) for k, v in acted.items()} != {k: len(v) for k, v in rows.acted[0].items()}
            ):
                raise ImportSourceError(self._path, f"messages at {now_ns} ns have another size", "the same throughout")
            rows.acted.append(acted)
        rows.observations.append(observation)
        rows.stamps_ns.append(now_ns)
        rows.nbytes += observation.nbytes
        if rows.nbytes > MAX_EPISODE_BYTES:
            raise ImportSourceError(self._path, "an episode takes too much memory", f"{MAX_EPISODE_BYTES} bytes")

    def _finish(self, name: str, ending: Ending) -> SourceEpisode | None:
        rows, self._rows, self._next_ns = self._rows, _Rows(), None
        if not rows.acted:
            self._notes.count("starts without a step after them left out", bool(rows.observations))
            return None
        first_ns = self._first_ns or 0
        columns = {key: _column(self._path, name, key, rows.acted) for key in self._topics.columns}
        return SourceEpisode(
            name=name,
            observations=np.stack(rows.observations),
            actions=np.stack([acted["action"] for acted in rows.acted]),
            rewards=columns.get("reward"),
            success=columns.get("success"),
            intervened=columns.get("intervened"),
            ending=ending,
            stamps_s=np.array([stamp - first_ns for stamp in rows.stamps_ns[:-1]]) / 1e9,
        )


def _column(path: Path, name: str, key: str, acted: list[dict[str, Numbers]]) -> Numbers:
    values = [a.get(key) for a in acted]
    if any(v is None or v.shape != (1,) for v in values):
        raise ImportSourceError(path, f"{name} has steps without a {key}", "one number of it before the second step")
    return np.array([v[0] for v in values if v is not None])
