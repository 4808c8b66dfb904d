"""How much of this machine other programs use meanwhile: what is late because of them is not the robot's fault."""

import contextlib
import math
import os
import time
from dataclasses import replace
from pathlib import Path

from rlpd_robot.run.dry_run.check import Check

TIMING = ("undisturbed", "undisturbed (random)", "motion", "loop rate", "lateness", "state age", "command age")
"""Checks that a busy machine fails by itself."""

NOTEWORTHY = 0.25
"""Cores used by others, on average, from which on lateness may be theirs."""


class Others:
    """Counts from its making on. What this process starts itself counts as its own once it has been waited for."""

    def __init__(self) -> None:
        self._began_s, self._busy_s, self._own_s = time.monotonic(), _busy_s(), _own_s()

    def cores(self) -> float:
        """That others have used since then, on average; NaN where the system does not tell."""
        wall_s = time.monotonic() - self._began_s
        if not wall_s > 0:
            return math.nan
        theirs_s = _busy_s() - self._busy_s - (_own_s() - self._own_s)
        return max(0.0, theirs_s / wall_s) if math.isfinite(theirs_s) else math.nan


def blamed(check: Check, cores: float) -> Check:
    """The same check, which has failed all the same; with a word on others where they may be why."""
    if check.passed is not False or check.name not in TIMING or not cores >= NOTEWORTHY:
        return check
    word = f"other programs used {cores:.1f} of {os.cpu_count()} cores meanwhile: try again when they do not"
    return replace(check, measured=f"{check.measured}; {word}")


def _own_s() -> float:
    """Processor time of this process and of all its children that have been waited for [s]."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_s() -> float:
    """Processor time of everybody since this machine was started [s]; NaN where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        user, nice, system, _, _, irq, soft = (int(n) for n in Path("/proc/stat").read_text().split()[1:8])
        return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
    return math.nan
