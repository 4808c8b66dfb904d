"""Writing a whole new store at once: it is built beside its path, synced once, and takes its name when it is
complete.

`StoreWriter` makes each episode durable by itself, at tens of milliseconds each. An import has its source to begin
again from, so nothing needs to survive before all of it does. Rows are compressed and written in a thread.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import zarr
from zarr.storage import LocalStore

from rlpd_robot.data.durable import exclusive, sync_tree
from rlpd_robot.data.layout import WRITE_EVERY_CHUNK, columns, create_store, data_columns
from rlpd_robot.data.opening import something_at
from rlpd_robot.data.rows import Rows, episode_meta, episode_rows
from rlpd_robot.errors import RlpdRobotError, StoreError
from rlpd_robot.files import sync_directory
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment

BLOCK_ROWS = 1 << 15
"""Rows held in memory between two writes; more of them rewrite fewer half-filled chunks."""


class BulkWriter:
    """Writes the store at `path`, of which nothing is there before `finish` has returned. Not thread-safe.

    Use as a context manager: left without `finish`, it leaves nothing behind.

    Raises:
        StoreError: there is something at `path` already, or it cannot be written.
        StoreLockedError: another process is writing it.
    """

    def __init__(self, path: Path | str, problem: ProblemSpec) -> None:
        self.path = Path(path)
        self._problem = problem
        self._partial = self.path.resolve().with_name(f".{self.path.name}.{uuid.uuid4().hex}.partial")
        self._blocks: list[Rows] = []
        self._held = self._rows = self._episodes = 0
        self._writing: Future[None] | None = None
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.path, timeout_s=2.0))
            if something_at(self.path):
                raise StoreError(self.path, "there is something at this path already", "Choose a path that is free.")
            _sweep(self.path.resolve())
            stack.callback(shutil.rmtree, self._partial, ignore_errors=True)
            create_store(self._partial, problem, {})
            self._group = zarr.open_group(LocalStore(self._partial), mode="r+", zarr_format=3)
            self._arrays = {c.key: self._open(c.key) for c in columns(problem)}
            self._pool = stack.enter_context(ThreadPoolExecutor(1))
            self._stack = stack.pop_all()

    def _open(self, key: str) -> Any:
        array: Any = zarr.open_array(LocalStore(self._partial), path=key, mode="r+", zarr_format=3)
        return array.with_config(WRITE_EVERY_CHUNK)

    def append(self, episode: Segment) -> None:
        """Add one episode of the sizes of `problem`, with an ending.

        Raises:
            StoreError: the disk refused.
        """
        if len(episode) > BLOCK_ROWS:
            self._flush()
            self._write_long(episode)
            return
        end = self._rows + self._held + len(episode) + 1
        self._blocks.append({**episode_rows(episode, self._problem), **episode_meta(episode, end)})
        self._held += len(episode) + 1
        if self._held >= BLOCK_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Have what is held written, beside whatever makes the next of it."""
        self._wait()
        if self._blocks:
            self._writing = self._pool.submit(self._write, self._blocks, self._rows, self._episodes)
        self._rows += self._held
        self._episodes += len(self._blocks)
        self._blocks, self._held = [], 0

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, blocks: Sequence[Rows], rows: int, episodes: int) -> None:
        for key, array in self._arrays.items():
            start = episodes if key.startswith("meta/") else rows
            values = np.concatenate([block[key] for block in blocks])
            array.resize((start + len(values), *array.shape[1:]))
            array[start:] = values

    def _write_long(self, episode: Segment) -> None:
        """One that is not held a second time."""
        self._wait()
        n, start = len(episode), self._rows
        try:
            for column in data_columns(self._problem):
                array = self._arrays[column.key]
                array.resize((start + n + 1, *array.shape[1:]))
                if column.name == "observations":
                    array[start:] = episode.observations
                    continue
                array[start : start + n] = True if column.name == "valid" else getattr(episode, column.name)
                array[start + n :] = column.padding
            for key, row in episode_meta(episode, start + n + 1).items():
                array = self._arrays[key]
                array.resize((self._episodes + 1, *array.shape[1:]))
                array[self._episodes :] = row
        except OSError as error:
            raise self._refused(error) from error
        self._rows += n + 1
        self._episodes += 1

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Make it durable and give it its name.

        Args:
            attributes: to stand beside the store's own.

        Raises:
            StoreError: the disk refused.
        """
        self._flush()
        self._wait()
        try:
            self._group.attrs.update({**attributes, "committed_episodes": self._episodes})
            sync_tree(self._partial)
            self._partial.rename(self.path.resolve())
            sync_directory(self.path.resolve().parent)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RlpdRobotError:
        if isinstance(error, RlpdRobotError):
            return error
        words = error.strerror or str(error)
        return StoreError(self.path, f"it cannot be written ({words})", "Make room on the disk and try again.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _sweep(path: Path) -> None:
    """Remove what writers left that were killed here; the caller holds the lock."""
    for left in path.parent.iterdir():
        if left.name.startswith(f".{path.name}.") and left.suffix == ".partial":
            shutil.rmtree(left, ignore_errors=True)
