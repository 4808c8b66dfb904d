"""`rlpd-robot bench import`: how fast sources of every format become a store, in how much memory.

Each step is a process of its own, whose peak memory is the kernel's figure, libraries included. Right after each import
as many bytes as the store holds are written one after the other into one file and synced, and right before each check
the store's files are read, so that whatever else the machine does falls on both alike.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.importers.convert import Conversion
from rlpd_robot.data.importers.formats import make_importer
from rlpd_robot.data.importers.import_store import import_store
from rlpd_robot.data.layout import data_columns
from rlpd_robot.data.opening import open_store
from rlpd_robot.data.seal import seal_store
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import ConfigError, RlpdRobotError
from rlpd_robot.run.bench.import_samples import SAMPLES, episode, problem_of_sizes
from rlpd_robot.run.bench.peak_memory import peak_memory_mb
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.run.settings import Settings

MAX_SECONDS = 60.0
"""For a million transitions."""
MAX_PEAK_MB = 500.0
MIN_CHECKED_MB_S = 200.0
"""Of the numbers that a store holds, unpacked."""

FEWER: Mapping[str, int] = {"mcap": 20, "rosbag": 20}
"""Formats whose library takes many minutes to write a million transitions are measured with so many times fewer."""

_STEP_S = 1800.0
_BLOCK = 1 << 20
_PROBLEM = problem_of_sizes(39, 28, horizon=200)  # the door's

Figures = dict[str, float]


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Measure.

    Args:
        settings: `import_bench` says how many transitions of which formats.
        words: unused.
        build: unused.

    Raises:
        ConfigError: there is no such format.
        subprocess.CalledProcessError: a step failed.
    """
    wanted, steps = settings.import_bench, settings.import_bench.steps
    if wanted.formats != "all" and wanted.formats not in SAMPLES:
        raise ConfigError("import_bench.formats", wanted.formats, f"all, or one of {', '.join(SAMPLES)}")
    names = list(SAMPLES) if wanted.formats == "all" else [wanted.formats]
    formats: dict[str, Figures] = {}
    checks: dict[str, Figures] = {}
    with progress_bar("import") as progress:
        for done, name in enumerate(names):
            progress(done, len(names))
            count = max(1, wanted.transitions // FEWER.get(name, 1) // steps)
            with tempfile.TemporaryDirectory(prefix="rlpd-import-") as folder:
                formats[name] = _one_format(name, count, steps, Path(folder))
                if not checks:
                    checks = {what: _step(what, folder) for what in ("validate", "validate-sealed")}
    missed = [f"{name}: {what}" for name, figures in formats.items() for what in _missed(figures)]
    missed += [what for what, figures in checks.items() if figures["mb_per_s"] < MIN_CHECKED_MB_S]
    return {
        "formats": formats,
        "checks": checks,
        "steps": steps,
        "cores": os.cpu_count(),
        "aims": {"seconds_per_million": MAX_SECONDS, "peak_mb": MAX_PEAK_MB, "checked_mb_per_s": MIN_CHECKED_MB_S},
        "missed": missed,
        "passed": not missed,
    }


def _missed(figures: Figures) -> list[str]:
    limits = {"seconds_per_million": MAX_SECONDS, "peak_mb": MAX_PEAK_MB}
    return [name for name, limit in limits.items() if figures[name] > limit]


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{'format':17} {'transitions':>12} {'[1/s]':>9} {'s per million':>14} {'peak [MB]':>10} {'/ plain write':>14}"
    ]
    for name, one in report["formats"].items():
        figures = f"{one['transitions']:12,.0f} {one['per_s']:9,.0f} {one['seconds_per_million']:14.1f}"
        figures += f" {one['cpu_s_per_million']:7.1f} {one['peak_mb']:10.0f} {one['times_plain_write']:14.1f}"
        lines.append(f"{name:17} {figures}")
    lines.append(f"{'check':17} {'[MB/s]':>12} {'of files':>9} {'plain read':>14} {'peak [MB]':>10}")
    for name, one in report["checks"].items():
        figures = f"{one['mb_per_s']:12.0f} {one['file_mb_per_s']:9.0f} {one['plain_read_mb_per_s']:14.0f}"
        lines.append(f"{name:17} {figures} {one['peak_mb']:10.0f}")
    lines.append(f"steps={report['steps']} cores={report['cores']} missed: {', '.join(report['missed']) or 'none'}")
    return "\n".join(lines)


def _one_format(name: str, count: int, steps: int, folder: Path) -> Figures:
    """A source of `count` episodes of `steps` transitions, its import, and a plain write of as many bytes."""
    _step("make", str(folder), name, str(count), str(steps))
    figures = _step("import", str(folder), name)
    (shutil.rmtree if (folder / "source").is_dir() else os.unlink)(folder / "source")
    figures["plain_write_s"] = _plain_write(folder / "plain", int(figures["bytes"]))
    figures["times_plain_write"] = figures["seconds"] / figures["plain_write_s"]
    return figures


def _plain_write(path: Path, size: int) -> float:
    block = np.random.default_rng(0).bytes(_BLOCK)
    started_s = time.perf_counter()
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(block[: size - start])
        file.flush()
        os.fsync(file.fileno())
    took_s = time.perf_counter() - started_s
    path.unlink()
    return took_s


def _plain_read(path: Path) -> tuple[int, float]:
    """Bytes of all files of a store, and the time that reading them takes."""
    size, started_s = 0, time.perf_counter()
    for entry in sorted(path.rglob("*")):
        if entry.is_file():
            size += len(entry.read_bytes())
    return size, time.perf_counter() - started_s


def _step(*words: str) -> Figures:
    command = [sys.executable, "-m", __name__, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=_STEP_S, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def _make(folder: Path, name: str, count: str, steps: str) -> Figures:
    SAMPLES[name].write(folder / "source", _PROBLEM, (episode(_PROBLEM, i, int(steps)) for i in range(int(count))))
    return {}


def _import(folder: Path, name: str) -> Figures:
    sample = SAMPLES[name]
    before_mb, started_s, started_cpu_s = peak_memory_mb(), time.perf_counter(), time.process_time()
    importer = make_importer(folder / "source", sample.importer, sample.options)
    report = import_store(folder / "source", folder / "out.zarr", importer, Conversion(_PROBLEM))
    took_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    rows = open_store(folder / "out.zarr").rows
    return {
        "transitions": report.transitions,
        "source_mb": report.size_bytes / 1e6,
        "bytes": rows * sum(column.row_bytes for column in data_columns(_PROBLEM)),
        "seconds": took_s,
        "per_s": report.transitions / took_s,
        "seconds_per_million": 1e6 * took_s / report.transitions,
        "cpu_s_per_million": 1e6 * cpu_s / report.transitions,
        "libraries_mb": before_mb,
        "peak_mb": peak_memory_mb(),
    }


def _validate(folder: Path) -> Figures:
    path = folder / "out.zarr"
    file_bytes, read_s = _plain_read(path)
    started_s = time.perf_counter()
    found = validate(path)
    took_s = time.perf_counter() - started_s
    if found:
        raise RuntimeError(f"the imported store is not sound: {found[0]}")
    size = open_store(path).rows * sum(column.row_bytes for column in data_columns(_PROBLEM))
    return {
        "seconds": took_s,
        "mb_per_s": size / 1e6 / took_s,
        "file_mb_per_s": file_bytes / 1e6 / took_s,
        "plain_read_mb_per_s": file_bytes / 1e6 / read_s,
        "peak_mb": peak_memory_mb(),
    }


def _validate_sealed(folder: Path) -> Figures:
    seal_store(folder / "out.zarr")
    return _validate(folder)


_STEPS: Mapping[str, Callable[..., Figures]] = {
    "make": _make,
    "import": _import,
    "validate": _validate,
    "validate-sealed": _validate_sealed,
}


if __name__ == "__main__":
    try:
        print(json.dumps(_STEPS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
    except RlpdRobotError as wrong:
        sys.exit(str(wrong))
