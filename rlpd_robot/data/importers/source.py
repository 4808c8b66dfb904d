"""What an importer yields of a file of another format, and the limits that hold for all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlpd_robot.errors import DataError, ImportSourceError
from rlpd_robot.types import Ending

MAX_EPISODE_BYTES = 1 << 28
"""Of one array of one episode, checked before memory is taken: a week at 100 Hz would not be one episode."""
MAX_EPISODES = 1 << 24
_MAX_DEPTH = 16


@dataclass
class SourceEpisode:
    """One episode as its source has it, or the transitions of a source that does not say where episodes end.

    Attributes:
        name: what the source calls it, for sentences.
        observations: (N, O), or (N+1, O) with the final one.
        actions: (N, A).
        rewards: (N,), or none.
        success: (N,), or none.
        next_observations: (N, O) where the source has them; each must be the next row's observation, and where it is
            not, the episode is split.
        ending: of its last transition.
        stamps_s: (N,) time of each observation [s], or none.
        intervened: (N,), or none.
    """

    name: str
    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[Any] | None = None
    success: NDArray[Any] | None = None
    next_observations: NDArray[Any] | None = None
    ending: Ending = "unknown"
    stamps_s: NDArray[Any] | None = None
    intervened: NDArray[Any] | None = None


@dataclass(frozen=True)
class SourceOptions:
    """What a user may have to say for a source to be read.

    Attributes:
        observations: names of the arrays that make the observation, in order; empty: the source's only one.
        actions_from: names of the arrays whose next row is the action, for sources without commands; empty: none.
        period_s: control period, for sources that are sampled [s].
        topics: which topics of a recording hold what, for sources that have topics.
    """

    observations: Sequence[str] = ()
    actions_from: Sequence[str] = ()
    period_s: float = 0.0
    topics: Mapping[str, Any] = field(default_factory=dict)


class Importer(Protocol):
    """Reads one source.

    Attributes:
        format: its name, as in `formats.FORMATS`.
        notes: what a reader of the store should know of this source, counted by sentence; grows while it is read.
    """

    format: str
    notes: dict[str, int]

    def episodes(self) -> Iterator[SourceEpisode]:
        """Each episode once; holds one in memory at a time where the format allows.

        Raises:
            ImportSourceError: the source is damaged, or not of this format; the sentence names the episode.
            DataError: an option does not fit the source.
        """


class Notes(dict[str, int]):
    """Sentences and how often each held."""

    def count(self, sentence: str, times: int = 1) -> None:
        """Say it so many times more; 0 times says nothing."""
        if times:
            self[sentence] = self.get(sentence, 0) + times


def numbers(path: Path, where: object, values: ArrayLike, dimensions: int | None = None) -> NDArray[Any]:
    """`values` as an array of real numbers or booleans.

    Raises:
        ImportSourceError: it is something else, or does not have so many dimensions.
    """
    if isinstance(values, list | tuple):
        check_bytes(path, where, (_count(path, where, values, {}, 0),), 8)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ImportSourceError(path, f"{where} is ragged", "one number for each element of each step") from error
    if array.dtype.kind not in "biuf":
        raise ImportSourceError(path, f"{where} has dtype {array.dtype}", "numbers")
    if dimensions is not None and array.ndim != dimensions:
        raise ImportSourceError(path, f"{where} has shape {array.shape}", f"{dimensions} dimensions")
    return array


def _count(path: Path, where: object, values: Any, known: dict[int, int], depth: int) -> int:
    """Numbers and sequences in nested sequences: in a pickle one list may be there a million times.

    Raises:
        ImportSourceError: a sequence holds itself, is nested too deeply, or holds texts, all as long as the longest.
    """
    if type(values) is np.ndarray:
        return values.size
    if isinstance(values, str | bytes | bytearray | Mapping):
        raise ImportSourceError(path, f"{where} holds a {type(values).__name__}", "numbers")
    if not isinstance(values, list | tuple):
        return int(getattr(values, "size", 1))
    if known.get(id(values), 0) < 0 or depth > _MAX_DEPTH:
        raise ImportSourceError(path, f"{where} holds itself or is nested too deeply", f"at most {_MAX_DEPTH} levels")
    if id(values) not in known:
        known[id(values)] = -1
        known[id(values)] = 1 + sum(_count(path, where, value, known, depth + 1) for value in values)
    return known[id(values)]


def rows(path: Path, where: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as (T, elements of a step): whatever shape a step has is flattened."""
    array = numbers(path, where, values)
    if array.ndim < 1 or array.shape[0] == 0:
        raise ImportSourceError(path, f"{where} has shape {array.shape}", "at least one step")
    return array.reshape(len(array), -1)


def column(path: Path, where: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as (T,): one number a step."""
    array = rows(path, where, values)
    if array.shape[1] != 1:
        raise ImportSourceError(path, f"{where} has {array.shape[1]} numbers a step", "one")
    return array[:, 0]


def check_bytes(path: Path, where: object, shape: Sequence[int], itemsize: int) -> None:
    """Make sure that an array may be read into memory.

    Raises:
        ImportSourceError: it is larger than an episode can be.
    """
    size = itemsize
    for n in shape:
        size *= int(n)
    if size < 0 or size > MAX_EPISODE_BYTES:
        raise ImportSourceError(
            path, f"{where} would take {size / 1e6:.0f} MB", f"at most {MAX_EPISODE_BYTES / 1e6:.0f} MB for one episode"
        )


def choose_keys(path: Path, wanted: Sequence[str], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """Names of the arrays that make the observation.

    Args:
        path: the source.
        wanted: what the user said.
        sizes: elements of a step of each array there is, pictures left out.

    Raises:
        DataError: the user must say which, or named one that is not there.
    """
    listed = ", ".join(f"{name} ({size})" for name, size in sorted(sizes.items())) or "(none)"
    absent = [name for name in wanted if name not in sizes]
    if absent:
        raise DataError(f"Source {str(path)!r}", f"it has no {absent[0]!r}", f"observations= some of {listed}")
    if wanted:
        return tuple(wanted)
    if len(sizes) != 1:
        raise DataError(
            f"Source {str(path)!r}",
            f"its observations are {len(sizes)} arrays, of which the order is not known",
            f"observations=[…] with the names, in order, out of {listed}",
        )
    return tuple(sizes)
