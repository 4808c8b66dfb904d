"""The run that is meant by a name, or when none is named."""

from pathlib import Path

ROOT = Path("runs")
"""Where runs are looked for when no directory is named."""

_LATEST = ("metrics.jsonl", "events.jsonl", "config.yaml", "alive")  # what tells when a run was last at work


def named_run(name: Path, root: Path) -> Path:
    """The directory of that path; where there is none, the run of that name below `root`, if there is one."""
    return root / name if not name.is_dir() and (root / name).is_dir() else name


def newest_run(root: Path) -> Path | None:
    """The run below `root` that something was written to last; None where there is no run."""
    runs = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    when = {run: max((changed_unix_s(run / name) for name in _LATEST), default=0.0) for run in runs}
    found = [run for run, changed in when.items() if changed > 0]
    return max(found, key=lambda run: when[run], default=None)


def changed_unix_s(path: Path) -> float:
    """When something was last written there [unix s]; 0 where there is nothing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
