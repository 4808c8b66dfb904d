"""What an import found, changed and made up: written into the store, and printed."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlpd_robot.data.importers.source import Notes
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.errors import ImportSourceError

_BLOCK = 1 << 20


@dataclass
class ImportReport:
    """Grows while a source is read.

    Attributes:
        source, format, sha256, size_bytes: what was read; of a folder, `sha256` is that of the names and contents of
            its files in order.
        endings: episodes by what the *source* says of their endings.
        notes: sentences of what was clipped, dropped, invented or left out, and how often.
    """

    source: str
    format: str
    sha256: str
    size_bytes: int
    episodes: int = 0
    transitions: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the store's attribute `import`."""
        return {
            "source": self.source,
            "format": self.format,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "episodes": self.episodes,
            "transitions": self.transitions,
            "endings_of_source": dict(sorted(self.endings.items())),
            "notes": dict(self.notes),
        }

    def lines(self) -> list[str]:
        """For people."""
        endings = ", ".join(f"{n} {name}" for name, n in sorted(self.endings.items())) or "none"
        return [
            f"source   {self.source} ({self.format}, {self.size_bytes / 1e6:.1f} MB, sha256 {self.sha256[:16]}…)",
            f"read     {self.episodes} episodes, {self.transitions} transitions",
            f"endings  {endings}, as the source has them",
            *(f"{n:>7}  {sentence}" for sentence, n in self.notes.items()),
        ]


def checksum(path: Path, on_progress: OnProgress = no_progress) -> tuple[str, int]:
    """SHA-256 and size [bytes] of a file or of all files of a folder, read block by block.

    Args:
        path: of it.
        on_progress: told of bytes.

    Raises:
        ImportSourceError: there is nothing, or it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        files = [path]
        if path.is_dir():
            entries = sorted(path.rglob("*"))
            for entry in entries:
                check_inside(path, entry)
            files = [entry for entry in entries if entry.is_file()]
        total = sum(file.stat().st_size for file in files)
        for file in files:
            if path.is_dir():
                digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
                    on_progress(size, total)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise ImportSourceError(path, "there is nothing at this path", "the path of a file or folder") from error
        raise ImportSourceError(path, f"it cannot be read ({error.strerror})", "a file you may read") from error
    return digest.hexdigest(), size


def check_inside(root: Path, path: Path) -> Path:
    """`path`, which must lie in the folder `root`, links followed.

    Raises:
        ImportSourceError: it leads elsewhere.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise ImportSourceError(root, f"'{path.relative_to(root)}' leads out of it", "files of its own")
    return path
