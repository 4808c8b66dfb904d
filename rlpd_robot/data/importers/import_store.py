"""The pipeline from a source to a store: one episode at a time, and the store takes its name when it is whole."""

from collections.abc import Callable, Iterator
from pathlib import Path

from rlpd_robot.data.bulk_writer import BulkWriter
from rlpd_robot.data.importers.convert import Conversion, Converter
from rlpd_robot.data.importers.report import ImportReport, checksum
from rlpd_robot.data.importers.source import Importer, SourceEpisode
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.errors import ImportSourceError
from rlpd_robot.types import Segment

MAX_EXPANSION = 200
"""A source may unpack to so many times its size: constant columns shrink well, a million steps do not."""
FREE_BYTES = 1 << 30
"""Whatever a source unpacks to below this is taken."""


class _Budget:
    """Ends an import that unpacks without end: a bomb has small arrays as well as large ones."""

    def __init__(self, source: Path, size_bytes: int) -> None:
        self._source = source
        self._size = size_bytes
        self._left = FREE_BYTES + MAX_EXPANSION * size_bytes

    def take(self, episode: SourceEpisode) -> None:
        """Count one more episode.

        Raises:
            ImportSourceError: that is too much.
        """
        self._left -= episode.observations.nbytes + episode.actions.nbytes
        if self._left < 0:
            raise ImportSourceError(
                self._source,
                f"{episode.name}: its {self._size / 1e6:.1f} MB have unpacked to more than "
                f"{(FREE_BYTES + MAX_EXPANSION * self._size) / 1e9:.1f} GB",
                f"at most {MAX_EXPANSION} times its size",
            )


def import_store(
    source: Path,
    out: Path,
    importer: Importer,
    conversion: Conversion,
    on_progress: Callable[[int], None] = lambda transitions: None,
    on_checksum: OnProgress = no_progress,
) -> ImportReport:
    """Write everything that `importer` reads from `source` into a new store at `out`.

    Args:
        source: for its checksum and for sentences.
        out: where nothing may be yet.
        importer: of this source.
        conversion: what to make of what the source does not say.
        on_progress: told the transitions so far after each episode of the store.
        on_checksum: told of the bytes of the source that its checksum is made of, before that.

    Returns:
        What was found, changed and made up; also in the store's attribute `import`.

    Raises:
        ImportSourceError: the source is damaged, hostile or empty. Nothing is left at `out`.
        DataError: it does not fit the robot and task.
        StoreError: there is something at `out`, or the disk refused.
    """
    with BulkWriter(out, conversion.problem) as writer:
        report = open_report(source, importer, on_checksum)
        for segment in segments(source, importer, conversion, report):
            writer.append(segment)
            on_progress(report.transitions)
        writer.finish({"import": report.to_json()})
    return report


def open_report(source: Path, importer: Importer, on_progress: OnProgress = no_progress) -> ImportReport:
    """A report with the checksum of `source` and nothing counted yet.

    Raises:
        ImportSourceError: a part of it cannot be read, or leads out of it.
    """
    return ImportReport(str(source), importer.format, *checksum(source, on_progress))


def segments(source: Path, importer: Importer, conversion: Conversion, report: ImportReport) -> Iterator[Segment]:
    """The episodes of the store that `source` becomes, one in memory at a time; `report` is complete after the last.

    Raises:
        ImportSourceError, DataError: as `import_store` does.
    """
    converter = Converter(source, conversion, report)
    budget = _Budget(source, report.size_bytes)
    for episode in importer.episodes():
        budget.take(episode)
        yield from converter.convert(episode)
    if not report.episodes:
        raise ImportSourceError(source, "it holds no episode that could be stored", "at least one")
    for sentence, times in importer.notes.items():
        report.notes.count(sentence, times)
