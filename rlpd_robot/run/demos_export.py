"""`rlpd-robot demos export STORE OUT format=…`: a store for other programs to read."""

from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.exporters.export_store import export_store
from rlpd_robot.data.exporters.formats import exporter_class
from rlpd_robot.run.conversion_settings import ExportSettings
from rlpd_robot.run.progress import progress_counter


def run_export(store: str, out: str, settings: ExportSettings) -> int:
    """Export, and print what was written and what could not be; returns the exit status.

    Raises:
        ConfigError, StoreError, DataError, ExportError, MissingPackageError: nothing has been written.
    """
    make = exporter_class(settings.format)
    opened = DemoStore.open(store)
    with progress_counter("transitions") as (on_progress, _):
        report = export_store(opened, Path(out), make, on_progress)
    print("\n".join([f"store    {store}", f"out      {out}", *report.lines()]))
    return 0
