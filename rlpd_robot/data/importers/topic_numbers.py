"""The numbers of many messages of one topic at once; message by message where that cannot be done."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.cdr_layout import Layout, NoLayoutError, layout_of
from rlpd_robot.data.importers.topic_map import Part, names_of, numbers_of, text_of

Values = NDArray[np.float64] | list[NDArray[np.float64]]
"""(N, n) the numbers of one part, or where messages differ in size (n,) for each."""

_MAX_LAYOUTS = 16
_MAX_TEXTS = 256


class TopicNumbers:
    """Reads one topic of one recording.

    A layout is learned from one message, and used only where the library itself finds other numbers at the same places.

    Args:
        path: the recording, for sentences.
        parts: what is wanted of the topic.
        types: rosbags' Typestore of the recording.
    """

    def __init__(self, path: Path, parts: Sequence[Part], types: Any) -> None:
        self._path = path
        self._parts = parts
        self._types = types
        self._layouts: dict[tuple[str, int], list[tuple[Layout, Sequence[Sequence[int]]]]] = {}
        self._texts: dict[tuple[str, bytes], str] = {}

    def read(self, kinds: Sequence[str], messages: Sequence[bytes]) -> list[Values]:
        """What each part has in each of the messages.

        Args:
            kinds: (N,) their types.
            messages: (N,) encapsulated CDR.

        Raises:
            ImportSourceError: a message does not have what the part wants.
            Exception: rosbags' own, for a damaged message.
        """
        pieces: list[tuple[NDArray[np.intp], list[Values]]] = []
        with np.errstate(invalid="ignore"):  # a NaN in a message is for the converter to refuse
            for kind, size, rows in _alike(kinds, messages):
                pieces.extend(self._read_alike(kind, size, rows, messages))
        return [_joined(len(messages), [(rows, values[i]) for rows, values in pieces]) for i in range(len(self._parts))]

    def text(self, kind: str, message: bytes, part: Part) -> str:
        """What one message says, as `TopicMap.events` has it."""
        known = self._texts.get((kind, message))
        if known is None:
            known = text_of(self._path, self._types.deserialize_cdr(message, kind), part)
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            self._texts[kind, message] = known
        return known

    def _read_alike(
        self, kind: str, size: int, rows: NDArray[np.intp], messages: Sequence[bytes]
    ) -> Iterable[tuple[NDArray[np.intp], list[Values]]]:
        block = np.frombuffer(b"".join([messages[i] for i in rows.tolist()]), np.uint8).reshape(len(rows), size)
        layouts = self._layouts.setdefault((kind, size), [])
        tried = 0
        while len(rows):
            if tried == len(layouts) and not self._learn(layouts, kind, messages[rows[0]]):
                yield rows, self._one_by_one(kind, [messages[i] for i in rows.tolist()])
                return
            layout, orders = layouts[tried]
            tried += 1
            same = layout.matches(block)
            if same.any():
                whole = bool(same.all())
                found = block if whole else block[same]
                yield (
                    rows[same],
                    [self._part(layout, part, o, found) for part, o in zip(self._parts, orders, strict=True)],
                )
                rows, block = (rows[:0], block[:0]) if whole else (rows[~same], block[~same])

    @staticmethod
    def _part(layout: Layout, part: Part, order: Sequence[int], block: NDArray[np.uint8]) -> NDArray[np.float64]:
        values = layout.numbers(block, part.names)
        return values[:, order] if part.joints else values

    def _learn(self, layouts: list[tuple[Layout, Sequence[Sequence[int]]]], kind: str, message: bytes) -> bool:
        """Whether this message's layout is known now. What is wrong with the message itself is raised."""
        if len(layouts) >= _MAX_LAYOUTS:
            return False
        decoded = self._types.deserialize_cdr(message, kind)
        for part in self._parts:
            numbers_of(self._path, decoded, part)
        try:
            layout = layout_of(message, kind, self._types)
        except NoLayoutError:
            return False
        orders = []
        for part in self._parts:
            names = names_of(self._path, decoded, part) if part.joints else []
            orders.append([names.index(joint) for joint in part.joints])
        other = layout.shuffled(message)
        try:
            decoded = self._types.deserialize_cdr(other, kind)
        except Exception:  # rosbags' own: then this is not how it reads the message
            return False
        block = np.frombuffer(other, np.uint8)[None]
        for part, order in zip(self._parts, orders, strict=True):
            expected = numbers_of(self._path, decoded, part)
            if not np.array_equal(self._part(layout, part, order, block)[0], expected, equal_nan=True):
                return False
        layouts.append((layout, orders))
        return True

    def _one_by_one(self, kind: str, messages: Sequence[bytes]) -> list[Values]:
        found: list[list[NDArray[np.float64]]] = [[] for _ in self._parts]
        for message in messages:
            decoded = self._types.deserialize_cdr(message, kind)
            for part, values in zip(self._parts, found, strict=True):
                values.append(numbers_of(self._path, decoded, part))
        return [_stacked(values) for values in found]


def _alike(kinds: Sequence[str], messages: Sequence[bytes]) -> Iterable[tuple[str, int, NDArray[np.intp]]]:
    """Type, size and places of the messages that have both in common."""
    sizes = np.fromiter(map(len, messages), np.intp, len(messages))
    if len(set(kinds)) == 1:
        for size in np.unique(sizes).tolist():
            yield kinds[0], size, np.flatnonzero(sizes == size)
        return
    names = np.array(kinds)
    for kind in sorted(set(kinds)):
        for size in np.unique(sizes[names == kind]).tolist():
            yield kind, size, np.flatnonzero((names == kind) & (sizes == size))


def _stacked(values: list[NDArray[np.float64]]) -> Values:
    return np.stack(values) if len({len(v) for v in values}) == 1 else values


def _joined(length: int, pieces: Sequence[tuple[NDArray[np.intp], Values]]) -> Values:
    """The values of all messages, in their order."""
    if len(pieces) == 1:
        return pieces[0][1]
    if all(isinstance(v, np.ndarray) for _, v in pieces) and len({v.shape[1] for _, v in pieces}) == 1:  # type: ignore[union-attr]
        whole = np.empty((length, pieces[0][1].shape[1]))  # type: ignore[union-attr]
        for rows, values in pieces:
            whole[rows] = values
        return whole
    each: list[NDArray[np.float64]] = [np.empty(0)] * length
    for rows, values in pieces:
        for row, value in zip(rows.tolist(), values, strict=True):
            each[row] = value
    return each
