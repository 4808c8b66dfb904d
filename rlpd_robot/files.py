"""Names on a disk that survive a power cut: a file's bytes are safe after its fsync, its name after its directory's."""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """Make the names in one directory durable.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Make a directory, parents included, that survives a power cut. One that exists is left alone.

    Raises:
        OSError: the disk refuses.
    """
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_directory(made.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all; whether it survives a power cut does not matter.

    Raises:
        OSError: the disk refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
