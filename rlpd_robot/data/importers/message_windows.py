"""Messages of a recording, gathered until there are enough of them to be taken apart together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.importers.resample import MAX_STAMP_NS, Track, Window
from rlpd_robot.data.importers.topic_map import Part, TopicMap
from rlpd_robot.data.importers.topic_numbers import TopicNumbers
from rlpd_robot.errors import ImportSourceError

_WINDOW_BYTES = 1 << 23
"""As numbers in double precision these messages may take eight times as much."""
_MESSAGE_BYTES = 256
"""What holding one takes beside its content."""
_MOST_BYTES = 1 << 28
"""Of messages of one time."""


@dataclass
class _Heard:
    """What came on one topic: types, times and contents."""

    kinds: list[str] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


class MessageWindows:
    """Makes windows of the messages of one recording.

    Args:
        path: the recording, for sentences.
        topics: what is what.
        types: rosbags' Typestore of the recording.
    """

    def __init__(self, path: Path, topics: TopicMap, types: Any) -> None:
        self._path = path
        self._topics = topics
        parts = [part for part in topics.parts if part is not topics.episode]
        self._parts = {topic: [part for part in parts if part.topic == topic] for topic in topics.topics}
        self._numbers = {topic: TopicNumbers(path, mine, types) for topic, mine in self._parts.items()}

    def windows(self, messages: Iterable[tuple[Any, int, bytes]]) -> Iterator[Window]:
        """Windows of bounded size, and never a new one between two messages of one time.

        Args:
            messages: connection, time [ns] and content of messages of the mapped topics, as rosbags gives them.

        Raises:
            ImportSourceError: they go back in time, too many are of one time, or one does not have what the map says.
            Exception: rosbags' own, for a damaged message.
        """
        heard, room, newest_ns = self._nothing(), _WINDOW_BYTES, -MAX_STAMP_NS
        for connection, stamp_ns, data in messages:
            if stamp_ns != newest_ns:
                if not newest_ns < stamp_ns <= MAX_STAMP_NS:
                    raise self._out_of_order(newest_ns, stamp_ns)
                newest_ns = stamp_ns
                if room < 0:
                    yield self._window(heard)
                    heard, room = self._nothing(), _WINDOW_BYTES
            topic = heard[connection.topic]
            topic.kinds.append(connection.msgtype)
            topic.stamps_ns.append(stamp_ns)
            topic.messages.append(data)
            room -= len(data) + _MESSAGE_BYTES
            if room < _WINDOW_BYTES - _MOST_BYTES:
                raise ImportSourceError(
                    self._path, f"its messages at {stamp_ns} ns take too much memory", f"at most {_MOST_BYTES} bytes"
                )
        if room < _WINDOW_BYTES:
            yield self._window(heard)

    def _out_of_order(self, newest_ns: int, stamp_ns: int) -> ImportSourceError:
        words = "go back in time at" if stamp_ns <= newest_ns else "have an impossible time,"
        return ImportSourceError(self._path, f"its messages {words} {stamp_ns} ns", "ascending stamps")

    def _nothing(self) -> dict[str, _Heard]:
        return {topic: _Heard() for topic in self._topics.topics}

    def _window(self, heard: dict[str, _Heard]) -> Window:
        stamps = {topic: np.array(what.stamps_ns, np.int64) for topic, what in heard.items()}
        tracks: dict[Part, Track] = {}
        for topic, parts in self._parts.items():
            if parts and heard[topic].messages:
                values = self._numbers[topic].read(heard[topic].kinds, heard[topic].messages)
                tracks |= {part: Track(stamps[topic], v) for part, v in zip(parts, values, strict=True)}
        tick, episode = self._topics.tick, self._topics.episode
        events: dict[int, str] = {}
        if episode is not None:
            what, numbers = heard[episode.topic], self._numbers[episode.topic]
            for stamp_ns, kind, data in zip(what.stamps_ns, what.kinds, what.messages, strict=True):
                events[stamp_ns] = numbers.text(kind, data, episode)
        return Window(
            np.unique(np.concatenate(list(stamps.values()))),
            tracks,
            list(events.items()),
            np.unique(stamps[tick]) if tick else np.empty(0, np.int64),
        )
