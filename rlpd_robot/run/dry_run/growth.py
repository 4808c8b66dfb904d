"""What a session leaves on the disk and in memory, from what a few episodes do."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlpd_robot.run.dry_run.check import Check, skipped

_LEAST_SAMPLES = 6  # of memory, a second apart


def check_disk(size_bytes: int, seconds: float, free_bytes: int, hours: float) -> Check:
    """What a session without a learner would leave on the actor's disk."""
    requirement = f"room for {hours:g} h of what the actor keeps while no learner is there"
    if seconds <= 0:
        return skipped("disk", requirement, "nothing was acted")
    per_hour = size_bytes / seconds * 3600
    return Check(
        "disk",
        requirement,
        f"{per_hour / 1e6:.0f} MB/h, {free_bytes / 1e9:.1f} GB free",
        per_hour * hours <= free_bytes,
        "Make room, or let the learner run: what it has acknowledged is deleted.",
    )


def check_memory(samples: Sequence[tuple[float, float]], free_bytes: float, hours: float) -> Check:
    """What the actor's process would grow to in a session.

    Args:
        samples: (time [s], MB), from the start of undisturbed episodes on.
        free_bytes: of memory, on this machine.
        hours: of the session [h].
    """
    requirement = f"room for what the actor's process would grow by in {hours:g} h"
    kept = [(at_s, size) for at_s, size in samples[len(samples) // 3 :] if size > 0]  # it has started by then
    if len(kept) < _LEAST_SAMPLES:
        return skipped("memory", requirement, f"undisturbed for {len(samples)} s only")
    times, sizes = np.array(kept).T
    half = len(kept) // 2
    grown = max(0.0, float(np.median(sizes[half:]) - np.median(sizes[:half])))
    per_hour = grown / float(np.median(times[half:]) - np.median(times[:half])) * 3600
    return Check(
        "memory",
        requirement,
        f"{sizes[-1]:.0f} MB, growing by {per_hour:.0f} MB/h; {free_bytes / 1e9:.1f} GB free",
        1e6 * per_hour * hours <= free_bytes,
        "Something keeps what it has seen: task, driver or sensors of your own, perhaps. Look at the actor's `status`.",
    )


def free_memory() -> float:
    """That new processes could have [bytes]; infinite where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024.0 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return math.inf
