"""Files that survive a kill and a power cut: a zarr store that fsyncs, and the lock that keeps writers apart.

zarr itself never calls fsync. Without it a rename can reach the disk before the bytes it names, so that a power cut
leaves an empty file where a chunk full of committed episodes was.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import filelock
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from rlpd_robot.errors import StoreError, StoreLockedError
from rlpd_robot.files import make_directories, sync_directory

PARALLEL_SYNCS = 8
"""A file system's journal takes several fsyncs in about the time of one."""


class DurableStore(LocalStore):
    """zarr's directory store, whose every file is fsynced before it takes its name.

    A changed directory is remembered until `sync`, which makes the names durable too. One instance belongs to one
    writer.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._changed: set[Path] = set()

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file, whole or not at all."""
        await asyncio.to_thread(self._put, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """The same, for those parts of zarr that do not go through its event loop."""
        self._put(key, value)

    def _put(self, key: str, value: Buffer) -> None:
        self._check_writable()
        path = self.root / key
        self._make_directory(path.parent)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(value.as_buffer_like())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        self._changed.add(path.parent)

    def _make_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        self._make_directory(path.parent)
        path.mkdir(exist_ok=True)
        self._changed.add(path.parent)

    def sync(self) -> None:
        """Make every file name written since the last call durable."""
        with ThreadPoolExecutor(PARALLEL_SYNCS) as pool:
            list(pool.map(sync_directory, [d for d in self._changed if d.exists()]))
        self._changed.clear()


@contextmanager
def exclusive(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of the store at `path`, a file beside it; the kernel frees it when its holder dies.

    Raises:
        StoreLockedError: another writer holds it for longer than `timeout_s`.
        StoreError: the lock file cannot be made.
    """
    target = path.resolve()  # one store is one lock, whatever it is called
    lock = filelock.FileLock(f"{target}.lock", timeout=timeout_s, thread_local=False)
    try:
        make_directories(target.parent)
        lock.acquire()
    except filelock.Timeout as error:
        raise StoreLockedError(path, timeout_s) from error
    except OSError as error:
        raise StoreError(
            path, f"its lock file cannot be made: {error.strerror}", "Choose a directory that you may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()


def sync_tree(path: Path) -> int:
    """Make a file, or a folder with all that is in it, durable; the bytes of its files."""

    def sync(entry: Path) -> int:
        descriptor = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size if entry.is_file() else 0
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(PARALLEL_SYNCS) as pool:
        return sum(pool.map(sync, sorted(path.rglob("*")))) + sync(path)
