"""How long the disk suffices."""

import os
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 30.0
_WINDOW_S = 1800.0
_SPAN_S = 120.0  # below that, a few files more or less would be taken for a trend


@dataclass(frozen=True)
class Disk:
    """Of the disk that a run is on.

    Attributes:
        free_bytes: to be had.
        run_bytes: that the run takes.
        bytes_per_s: by which the run grows; None: not known yet.
    """

    free_bytes: int
    run_bytes: int
    bytes_per_s: float | None

    @property
    def left_s(self) -> float | None:
        """Until the disk is full at this rate [s]; None: unknown, or it does not grow."""
        return self.free_bytes / self.bytes_per_s if self.bytes_per_s and self.bytes_per_s > 0 else None


class DiskWatch:
    """Measures a run's directory, twice a minute at most, while somebody looks.

    Args:
        directory: of the run.
        now: monotonic time [s].
    """

    def __init__(self, directory: Path, now: Callable[[], float]) -> None:
        self._directory, self._now = directory, now
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, worked_s: float) -> Disk:
        """How it stands.

        Args:
            worked_s: how long the run's learners have worked [s]: the rate is that of the whole run at first.
        """
        now = self._now()
        if not self._seen or now - self._seen[-1][0] >= _EVERY_S:
            self._seen.append((now, size_of(self._directory)))
            while now - self._seen[0][0] > _WINDOW_S:
                self._seen.popleft()
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        rate = None
        if last_s - first_s >= _SPAN_S:
            rate = (last - first) / (last_s - first_s)
        elif worked_s >= _SPAN_S:
            rate = last / worked_s
        return Disk(shutil.disk_usage(self._directory).free, last, rate)


def size_of(directory: Path) -> int:
    """Bytes of all files below it; links are not followed, and what vanishes meanwhile does not count."""
    total, folders = 0, [str(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total
