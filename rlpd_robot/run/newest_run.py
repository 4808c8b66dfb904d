"""The run that is meant when none is named."""

from pathlib import Path

_LATEST = ("metrics.jsonl", "events.jsonl", "config.yaml", "alive")  # what tells when a run was last at work


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
