"""Import a file in one call."""

from pathlib import Path
from typing import Any

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.importers.convert import Conversion
from rlpd_robot.data.importers.formats import make_importer
from rlpd_robot.data.importers.import_store import import_store
from rlpd_robot.data.importers.report import ImportReport
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment
from tests.data.episodes import make_problem


def import_from(
    source: Path,
    out: Path,
    name: str | None = None,
    options: SourceOptions | None = None,
    problem: ProblemSpec | None = None,
    **choices: Any,
) -> tuple[list[Segment], ImportReport]:
    """The episodes of the store that `source` becomes at `out`, and the report."""
    importer = make_importer(source, name, options or SourceOptions())
    report = import_store(source, out, importer, Conversion(problem or make_problem(), **choices))
    store = DemoStore.open(out)
    assert store.attributes["import"] == report.to_json()
    return list(store.episodes()), report
