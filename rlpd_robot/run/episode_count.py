"""The number of the next episode, kept on disk: a restarted actor repeats no reset and no exploration noise."""

import os
from pathlib import Path

from rlpd_robot.errors import DataError


class EpisodeCount:
    """Counts the episodes that were begun, over all actors of a run.

    Args:
        path: its file, which is made with the first episode.

    Attributes:
        begun: episodes that were begun, by actors before this one too.

    Raises:
        DataError: the file holds no count.
    """

    def __init__(self, path: Path) -> None:
        self.begun = 0
        self._path = path
        if path.exists():
            text = path.read_text(errors="replace").strip()
            if not (text.isascii() and text.isdigit()):
                raise DataError(f"Episode count {str(path)!r}", f"it is {text[:40]!r}", "a whole number, or no file")
            self.begun = int(text)

    def begin(self) -> int:
        """The number of an episode that begins now; on disk before it does.

        Raises:
            OSError: the disk refused.
        """
        episode = self.begun
        partial = self._path.with_name(f".{self._path.name}.partial")
        with open(partial, "w") as file:
            file.write(f"{episode + 1}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)  # the rename itself is durable only once the directory is
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self.begun = episode + 1
        return episode
