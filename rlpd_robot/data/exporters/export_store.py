"""The pipeline from a store to another format: one episode at a time; the result takes its name when it is whole."""

import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.durable import sync_tree
from rlpd_robot.data.exporters.target import Exporter, count_lost
from rlpd_robot.data.importers.source import Notes
from rlpd_robot.data.opening import something_at
from rlpd_robot.errors import DataError, ExportError, RlpdRobotError
from rlpd_robot.files import make_directories, sync_directory


@dataclass(frozen=True)
class ExportReport:
    """What was written, and what could not be.

    Attributes:
        format: of the result.
        episodes, transitions: that were written.
        size_bytes: on disk.
        notes: sentences of what was lost or invented, and how often.
    """

    format: str
    episodes: int
    transitions: int
    size_bytes: int
    notes: Notes

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"format   {self.format}",
            f"wrote    {self.episodes} episodes, {self.transitions} transitions, {self.size_bytes / 1e6:.2f} MB",
            *(f"{n:>7}  {sentence}" for sentence, n in self.notes.items()),
        ]


def export_store(
    store: DemoStore, out: Path, make: type[Exporter], on_progress: Callable[[int], None] = lambda transitions: None
) -> ExportReport:
    """Write the episodes of `store` that are not hidden to `out`.

    Args:
        store: what to write.
        out: where nothing may be yet.
        make: the format's exporter.
        on_progress: told the transitions so far after each episode.

    Raises:
        ExportError: there is something at `out`, or the disk refused. Nothing is left of what was begun.
        StoreError, DataError: the store is damaged, or holds nothing.
        MissingPackageError: what writes this format is not installed.
    """
    if something_at(out):
        raise ExportError(out, "there is something at this path already", "Choose a path that is free.")
    if not store.visible:
        raise DataError(f"Store {str(store.path)!r}", "it holds no episode that is not hidden", "at least one")
    target = out.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}-{uuid.uuid4().hex}.partial")
    try:
        make_directories(target.parent)
        _sweep(target)
        exporter = make(partial, store.problem)
        try:
            report = _write(store, exporter, on_progress)
        finally:
            exporter.close()
        size = sync_tree(partial)
        partial.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        if isinstance(error, RlpdRobotError):
            raise
        words = error.strerror or str(error)
        raise ExportError(out, f"it cannot be written ({words})", "Make room on the disk and try again.") from error
    finally:
        _remove(partial)
    return ExportReport(exporter.format, *report, size, exporter.notes)


def _write(store: DemoStore, exporter: Exporter, on_progress: Callable[[int], None]) -> tuple[int, int]:
    episodes = transitions = 0
    for episode in store.episodes():
        count_lost(exporter.notes, episode)
        exporter.append(episode)
        episodes, transitions = episodes + 1, transitions + len(episode)
        on_progress(transitions)
    exporter.finish()
    exporter.notes.count("hidden episodes left out", len(store.hidden))
    return episodes, transitions


def _sweep(target: Path) -> None:
    """Remove what exports left that were killed here; one that is still at work is left alone."""
    for left in target.parent.glob(f".{target.name}.*.partial"):
        number = left.name.removesuffix(".partial").rpartition(".")[2].partition("-")[0]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
