"""The most memory that this process has held at a time."""

import resource
from pathlib import Path


def peak_memory_mb() -> float:
    """Of this program alone [MB]: `getrusage` also counts what the process was before it became this program."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux
        found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if found:
            return int(found[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
