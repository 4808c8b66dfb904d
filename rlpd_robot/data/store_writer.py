"""Appending episodes so that a kill or a power cut at any moment costs at most the episode in hand.

The order is the whole of it: rows of data, then rows of meta with `episode_ends` last, all of it fsynced, then one
attribute, `committed_episodes`, replaced by an atomic rename. Readers trust nothing else, and the next writer cuts
everything back to it.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from rlpd_robot.data.durable import PARALLEL_SYNCS, DurableStore, exclusive
from rlpd_robot.data.edits import HIDE, UNDO, Edit, write_edit
from rlpd_robot.data.layout import BOOT_BYTES, EPISODE_ENDS, SAFETY, WRITE_EVERY_CHUNK, create_store
from rlpd_robot.data.opening import open_store, something_at
from rlpd_robot.data.rows import episode_meta, episode_rows, read_sequences
from rlpd_robot.errors import DataError, StoreError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment


class StoreWriter:
    """The one writer of a store, from construction to `close`. Not thread-safe.

    Args:
        path: the store; made, parents included, if there is nothing.
        problem: robot and task of the episodes.
        attributes: of a new store, beside its own: where the data came from, its licence.
        lock_timeout_s: how long to wait for another writer to end [s].

    Raises:
        StoreLockedError: another process is writing it.
        SpecMismatchError: it is of another robot or task; nothing has been written.
        StoreError: it is damaged, sealed, something else, or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        problem: ProblemSpec,
        *,
        attributes: Mapping[str, Any] | None = None,
        lock_timeout_s: float = 2.0,
    ) -> None:
        self.path = Path(path)
        self.problem = problem
        self._stack: ExitStack | None = None
        if something_at(self.path):
            opened = open_store(self.path)  # before even a lock file is made
            opened.check(problem)
            opened.refuse_sealed()
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.path, lock_timeout_s))
            if not something_at(self.path):
                create_store(self.path, problem, attributes or {})
            self._recover()
            self._stack = stack.pop_all()

    def _recover(self) -> None:
        """Cut the store back to what is committed: a writer killed in the midst leaves ragged arrays."""
        for partial in self.path.rglob("*.partial"):
            partial.unlink()
        self._files = DurableStore(self.path)
        opened = open_store(self.path, self._files)
        opened.check(self.problem)
        opened.refuse_sealed()
        if SAFETY not in opened.arrays:
            raise StoreError(self.path, f"it is from before '{SAFETY}' and is read only", "Write to a new store.")
        self._arrays = {key: array.with_config(WRITE_EVERY_CHUNK) for key, array in opened.arrays.items()}
        self._group = zarr.open_group(self._files, mode="r+", zarr_format=3)
        self._episodes, self._rows = opened.episodes, opened.rows
        for key, array in self._arrays.items():
            size = self._episodes if key.startswith("meta/") else self._rows
            if array.shape[0] != size:
                array.resize((size, *array.shape[1:]))
        self._files.sync()
        self._next = read_sequences(opened)
        self._ragged = False

    def __len__(self) -> int:
        """Committed episodes."""
        return self._episodes

    @property
    def next_sequences(self) -> dict[str, int]:
        """By boot, the sequence number after its last committed transition."""
        return dict(self._next)

    def append(self, episode: Segment) -> None:
        """Add one episode; when this returns, it survives a power cut.

        The rest of an episode that was cut short before may follow as one of its own; its steps then count from 0.

        After an error the store holds what it held before, unless only the last fsync failed: then the episode is in
        it, and a second try is refused as already held.

        Raises:
            DataError: an episode that goes on, of another size, not finite, or already in the store.
            StoreError: the disk refused.
        """
        self._check(episode)
        try:
            if self._ragged:
                self._recover()
                self._check(episode)  # the last commit may have reached the disk before its error
            self._ragged = True
            self._write(episode_rows(episode, self.problem), self._rows)
            meta = episode_meta(episode, self._rows + len(episode) + 1)
            ends = meta.pop(EPISODE_ENDS)
            self._write(meta, self._episodes)
            self._write({EPISODE_ENDS: ends}, self._episodes)
            self._files.sync()
            self._group.attrs["committed_episodes"] = self._episodes + 1
            self._files.sync()
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                self.path,
                f"an episode cannot be written ({error.strerror or error})",
                f"Its {self._episodes} committed episodes are whole; make room on the disk and try again.",
            ) from error
        self._ragged = False
        self._episodes += 1
        self._rows += len(episode) + 1
        self._next[episode.boot] = episode.next_sequence

    def hide(self, index: int, reason: str) -> None:
        """Hide a committed episode, so that no reader learns from it; it stays in the store (see `edits`).

        Raises:
            DataError: there is no such episode, or it is hidden already.
            StoreError: the disk refused.
        """
        self._edit(Edit.now(HIDE, [index], reason))

    def undo_edit(self, reason: str) -> Edit:
        """Take back the last hide that still stands, and return it. Raises as `hide`."""
        return self._edit(Edit.now(UNDO, [], reason))

    def _edit(self, edit: Edit) -> Edit:
        if self._stack is None:
            raise StoreError(self.path, "this writer is closed", "Open another.")
        if self._ragged:
            self._recover()
        return write_edit(open_store(self.path), self._group, self._files, edit)

    def _write(self, values: Mapping[str, NDArray[Any]], start: int) -> None:
        def write(key: str) -> None:
            array = self._arrays[key]
            array.resize((start + len(values[key]), *array.shape[1:]))
            array[start:] = values[key]

        with ThreadPoolExecutor(PARALLEL_SYNCS) as pool:
            list(pool.map(write, values))  # every one has ended when this returns or raises

    def _check(self, episode: Segment) -> None:
        if self._stack is None:
            raise StoreError(self.path, "this writer is closed", "Open another.")
        where = f"Episode {episode.episode} of boot {episode.boot!r}"
        _check_whole(where, episode)
        _check_sizes(where, episode, self.problem)
        expected = self._next.get(episode.boot, 0)
        if episode.first_sequence < expected:
            raise DataError(
                where,
                f"it starts at sequence {episode.first_sequence}, which store {str(self.path)!r} already holds",
                f"sequence {expected} or later of this boot",
            )

    def close(self) -> None:
        """Release the lock. A second call does nothing."""
        if self._stack is not None:
            self._stack.close()
            self._stack = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_whole(where: str, episode: Segment) -> None:
    if not episode.ending:
        raise DataError(where, "it goes on (its ending is '')", "an episode with an ending")
    if len(episode.boot.encode()) > BOOT_BYTES or "\0" in episode.boot:
        raise DataError(where, "its boot id does not fit", f"at most {BOOT_BYTES} bytes of UTF-8")
    replace(episode)  # its own checks again: the arrays may have changed since


def _check_sizes(where: str, episode: Segment, problem: ProblemSpec) -> None:
    if episode.observations.dtype != np.float32:
        raise DataError(where, f"observations have dtype {episode.observations.dtype}", "float32")
    for name, size in (
        ("observations", problem.observation_size),
        ("actions", problem.action_size),
        ("proposed_actions", problem.action_size),
        ("stamps_s", 4),
    ):
        if getattr(episode, name).shape[1:] != (size,):
            raise DataError(where, f"{name} has shape {getattr(episode, name).shape}", f"rows of {size}")
