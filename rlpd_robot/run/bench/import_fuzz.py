"""`rlpd-robot bench import-fuzz`: spoiled files against every importer.

Each must become a sound store or be refused in one of our own sentences: nothing else may come out, nothing be run,
nothing be left behind or be read from outside the source, no memory be taken without bound, and nothing take long. Each
format is attacked in a process of its own, since a library in C can end the one that it is in.
"""

import faulthandler
import json
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlpd_robot.data.importers.convert import Conversion
from rlpd_robot.data.importers.formats import make_importer
from rlpd_robot.data.importers.import_store import import_store, open_report, segments
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import ConfigError, RlpdRobotError
from rlpd_robot.run.bench.import_forgeries import FORGE
from rlpd_robot.run.bench.import_mutations import spoil
from rlpd_robot.run.bench.import_samples import PROBLEM, SAMPLES, few_episodes
from rlpd_robot.run.bench.peak_memory import peak_memory_mb
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.run.settings import Settings

MAX_GROWTH_MB = 300.0
"""Of a process's peak memory: one array of an episode may take 268 MB; the samples are small."""
CASE_S = 60.0
"""Longest that one file may take."""
_WRITE_EVERY = 8
"""Of so many sources one is written to a store; the others are read and converted only, which is quicker."""
_FORGED = 0.35
"""Share of the sources that are made on purpose, where a format has a way to."""
_MAX_CRASHES = 5
_OURS = ("work", "samples", "outside", "elsewhere", "mark")
"""Names in the folder of an attack."""


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Attack every importer.

    Args:
        settings: `import_fuzz.files` says how many for each, `run.seed` which.
        words: unused.
        build: unused.
    """
    formats = {}
    with progress_bar("import-fuzz") as progress:
        for done, name in enumerate(SAMPLES):
            progress(done, len(SAMPLES))
            formats[name] = _attack_apart(name, settings.import_fuzz.files, settings.run.seed)
    failures = [f"{name}: {failure}" for name, report in formats.items() for failure in report["failures"]]
    growth = max(report["growth_mb"] for report in formats.values())
    return {
        "files": sum(report["files"] for report in formats.values()),
        "formats": formats,
        "failures": failures,
        "growth_mb": growth,
        "max_growth_mb": MAX_GROWTH_MB,
        "seed": settings.run.seed,
        "passed": not failures and growth <= MAX_GROWTH_MB,
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [f"{'format':17} {'files':>6} {'stored':>7} {'refused':>8} {'failures':>9} {'growth [MB]':>12}"]
    for name, one in report["formats"].items():
        figures = f"{one['files']:6} {one['stored']:7} {one['refused']:8} {len(one['failures']):9}"
        lines.append(f"{name:17} {figures} {one['growth_mb']:12.0f}")
    lines += report["failures"]
    lines.append(f"files={report['files']} failures={len(report['failures'])} growth_mb={report['growth_mb']:.0f}")
    return "\n".join(lines)


def _attack_apart(name: str, count: int, seed: int) -> dict[str, Any]:
    """In a process of its own, and in another from where it ended."""
    total: dict[str, Any] = {"files": 0, "stored": 0, "refused": 0, "growth_mb": 0.0, "failures": []}
    first = 0
    with tempfile.TemporaryDirectory(prefix="rlpd-import-fuzz-") as folder:
        progress = Path(folder) / "progress.json"
        while first < count and len(total["failures"]) < _MAX_CRASHES:
            command = [sys.executable, "-m", __name__, name, str(first), str(count), str(seed), folder]
            done = subprocess.run(command, capture_output=True, text=True, timeout=CASE_S * count, check=False)
            report = json.loads(progress.read_text()) if progress.exists() else {"files": 0}
            for key in ("files", "stored", "refused"):
                total[key] += report.get(key, 0)
            total["growth_mb"] = max(total["growth_mb"], report.get("growth_mb", 0.0))
            total["failures"] += report.get("failures", [])
            first += report["files"]
            if done.returncode:
                words = done.stderr.strip()[-1000:]
                total["failures"].append(f"case {first}: the process ended with {done.returncode}: {words}")
                total["files"], first = total["files"] + 1, first + 1
            progress.unlink(missing_ok=True)
    return total


def attack(name: str, cases: range, seed: int, folder: Path, progress: Path | None = None) -> dict[str, Any]:
    """Spoil a sample of a format again and again.

    Args:
        name: key of `SAMPLES`.
        cases: numbers; each with the seed makes one file, always the same.
        seed: of all of them.
        folder: an empty one to work in.
        progress: file to keep the report in, for whoever sees this process end.

    Returns:
        Counts of files, of stores and refusals, growth of the peak memory [MB], and what went wrong.
    """
    sample = folder / "samples" / name
    sample.parent.mkdir()
    SAMPLES[name].write(sample, PROBLEM, few_episodes())
    report: dict[str, Any] = {"files": 0, "stored": 0, "refused": 0, "growth_mb": 0.0, "failures": []}
    (folder / "work").mkdir()
    before = _try(name, sample, folder / "work", 0)
    if before != "stored":
        report["failures"].append(f"the sound sample: {before}")
    shutil.rmtree(folder / "work")
    base_mb = peak_memory_mb()
    for case in cases:
        outcome = _case(name, random.Random(f"{seed} {name} {case}"), sample, folder, case)
        report["files"] += 1
        if outcome in ("stored", "refused"):
            report[outcome] += 1
        else:
            report["failures"].append(f"case {case}: {outcome}")
        report["growth_mb"] = peak_memory_mb() - base_mb
        if progress is not None:
            progress.write_text(json.dumps(report))
    return report


def _case(name: str, rng: random.Random, sample: Path, folder: Path, case: int) -> str:
    """Make it and see: "stored", "refused", or what went wrong."""
    work, outside, mark = folder / "work", folder / "outside", folder / "mark"
    source = work / "source"
    for path in (outside, folder / "elsewhere", mark):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    work.mkdir(exist_ok=True)
    (shutil.copytree if sample.is_dir() else shutil.copyfile)(sample, source)
    try:
        if name in FORGE and rng.random() < _FORGED:
            done = FORGE[name](rng, source, outside)
        else:
            done = spoil(rng, source, outside, mark)
        outcome = _try(name, source, work, case)
        if outcome == "stored" and done.startswith(("link_out", "link_folder_out")):
            outcome = "read from outside the source"
        left = sorted(p.name for p in folder.iterdir() if p.name not in _OURS)
        outcome = f"left {left}" if left else outcome
        if mark.exists():
            outcome = "ran a program"
    finally:
        shutil.rmtree(work)
    return outcome if outcome in ("stored", "refused") else f"{done}: {outcome}"


def _try(name: str, source: Path, work: Path, case: int) -> str:
    """Import it; "stored", "refused", or what went wrong. Every third time its format is not told."""
    sample = SAMPLES[name]
    conversion = Conversion(PROBLEM, rewards="last")
    out = work / "out.zarr"
    faulthandler.dump_traceback_later(CASE_S, exit=True)
    try:
        importer = make_importer(source, sample.importer if case % 3 else None, sample.options)
        if case % _WRITE_EVERY:
            for _ in segments(source, importer, conversion, open_report(source, importer)):
                pass
            return "stored"
        import_store(source, out, importer, conversion)
        problems = validate(out)
        left = _left(work, out.name)
        return f"a store with problems: {problems[0]}" if problems else f"left {left}" if left else "stored"
    except RlpdRobotError as error:
        left = _left(work, None)
        if left:
            return f"left {left}"
        told = str(source.name) in str(error) or isinstance(error, ConfigError)
        return "refused" if told else f"a sentence without the source: {error}"
    except Exception:  # the very thing that must not happen
        return traceback.format_exc(limit=-3)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _left(work: Path, store: str | None) -> list[str]:
    """What lies about beside source, store and lock."""
    return sorted(p.name for p in work.iterdir() if p.name not in ("source", "out.zarr.lock", store))


if __name__ == "__main__":
    which, start, stop, number, where = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=where) as inner:
        attack(which, range(int(start), int(stop)), int(number), Path(inner), Path(where) / "progress.json")
