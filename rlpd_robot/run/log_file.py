"""Logs that do not grow without limit, of processes that hold them open and know nothing of it."""

import os
import shutil
from pathlib import Path

LOG_BYTES = 10_000_000
"""Size at which a log is set aside; what was set aside before is gone then: a process has twice that at most."""

_ROUNDS = 8  # of catching up with whoever writes meanwhile


def older(path: Path) -> Path:
    """Where the part of a log lies that was set aside last."""
    return path.with_name(f"{path.name}.1")


def bound(path: Path, descriptor: int, most: int = LOG_BYTES) -> bool:
    """Set a log aside when it is larger than `most`, and say whether it was; the writer goes on in the same file.

    It is copied and then emptied, since its writer cannot be told to open another; as it appends, its next line is
    the first. A line that it writes between the last look and the emptying, some microseconds, is lost. A disk that has
    no room for the copy loses the copy.

    Args:
        path: of the log.
        descriptor: open for appending to it.
        most: bytes.
    """
    if os.fstat(descriptor).st_size <= most:
        return False
    try:
        _copy(path, older(path), descriptor)
    except OSError:
        older(path).unlink(missing_ok=True)
    os.ftruncate(descriptor, 0)
    return True


def _copy(path: Path, to: Path, descriptor: int) -> None:
    with path.open("rb") as source, to.open("wb") as target:
        for _ in range(_ROUNDS):
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            if source.tell() >= os.fstat(descriptor).st_size:
                return
