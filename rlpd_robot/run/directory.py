"""The directory that holds everything one run writes."""

from pathlib import Path

from rlpd_robot.errors import ConfigError
from rlpd_robot.files import make_directories
from rlpd_robot.run.settings import RunSettings

DRY_RUN = "dry_run"
"""In a run's directory: what `rlpd-robot dry-run` writes, before there is a run or later."""


def refuse_existing(run: RunSettings, there: Path | None = None) -> None:
    """For a run that is not to go on with what another one left.

    Args:
        there: what must not exist; the run's directory unless told otherwise.

    Raises:
        ConfigError: it exists.
    """
    path = run.directory if there is None else there
    if path.exists() and not _is_dry(path):
        expected = f"a new name: {str(path)!r} exists already, and resume=auto would go on with it"
        raise ConfigError("run.name", run.name, expected)


def _is_dry(path: Path) -> bool:
    """Whether nothing but a dry run has been here."""
    return path.is_dir() and [below.name for below in path.iterdir()] == [DRY_RUN]


def make_directory(run: RunSettings, below: str = "", new: bool = False) -> Path:
    """Make the run's directory, or the one called `below` in it, and return it.

    Args:
        new: refuse a run's directory that exists.

    Raises:
        ConfigError: it exists and should not, or cannot be made.
    """
    if new:
        refuse_existing(run)
    directory = run.directory / below
    try:
        make_directories(directory)
    except OSError as error:
        expected = f"a directory in which {str(directory)!r} can be made ({error.strerror})"
        raise ConfigError("run.root", run.root, expected) from error
    return directory


def remove_unused_journal(journal: Path, top: Path) -> None:
    """Remove a closed journal that keeps nothing, and the directories around it, up to `top`, that are empty then."""
    if [path.name for path in journal.iterdir()] != ["lock"]:
        return
    (journal / "lock").unlink()
    for directory in (journal, *journal.parents):
        if directory == top.parent or any(directory.iterdir()):
            return
        directory.rmdir()
