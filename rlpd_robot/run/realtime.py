"""Who gets the processor first: cores, real-time priority and memory that stays, as far as the system permits.

All threads of a process are treated alike. Python lets one of them run at a time, so a real-time thread that waits for
an ordinary one waits as long as that one is kept from a core by others.
"""

import contextlib
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rlpd_robot.errors import ConfigError

MAX_PRIORITY = 98
"""Of SCHED_FIFO; 99 is the kernel's own."""

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


class System(Protocol):
    """What is asked of the operating system. Each raises OSError when it is not permitted."""

    def cores(self) -> set[int]:
        """Those that this process may use."""

    def threads(self) -> list[int]:
        """Ids of the threads of this process."""

    def pin(self, thread: int, core: int) -> None:
        """Run it on this core only."""

    def prioritise(self, thread: int, priority: int) -> None:
        """Run it before everything ordinary (SCHED_FIFO)."""

    def lock_memory(self) -> None:
        """Keep in memory what was used once."""

    def be_nice(self, thread: int, nice: int) -> None:
        """Let others go first, by so much."""


class Linux:
    """The real one."""

    def cores(self) -> set[int]:
        """Those that this process may use."""
        return os.sched_getaffinity(0)

    def threads(self) -> list[int]:
        """Ids of the threads of this process."""
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]

    def pin(self, thread: int, core: int) -> None:
        """Run it on this core only."""
        os.sched_setaffinity(thread, {core})

    def prioritise(self, thread: int, priority: int) -> None:
        """Run it before everything ordinary (SCHED_FIFO)."""
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))

    def lock_memory(self) -> None:
        """Keep in memory what was used once."""
        if ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def be_nice(self, thread: int, nice: int) -> None:
        """Let others go first, by so much."""
        os.setpriority(os.PRIO_PROCESS, thread, nice)


def check_core(core: int | None, system: System | None = None) -> None:
    """Make sure that there is such a core.

    Raises:
        ConfigError: there is not.
    """
    cores = (system or Linux()).cores()
    if core is not None and core not in cores:
        raise ConfigError("actor.cpu", core, f"null, or one of the cores {sorted(cores)}")


def come_first(core: int | None, priority: int, system: System | None = None) -> list[str]:
    """Have this process, threads to come included, keep its deadlines whatever else runs on the machine.

    Args:
        core: to run on; None: any.
        priority: 1 to `MAX_PRIORITY`; 0: as any other process.
        system: the operating system.

    Returns:
        One sentence for each thing that was not permitted; everything else has been done.
    """
    system = system or Linux()
    problems = []
    if core is not None:
        try:
            _each(system, lambda thread: system.pin(thread, core))
        except OSError as error:
            problems.append(f"not permitted: actor.cpu={core} ({error.strerror}); the actor runs on any core")
    if priority:
        try:
            _each(system, lambda thread: system.prioritise(thread, priority))
        except OSError as error:
            problems.append(
                f"not permitted: actor.realtime_priority={priority} ({error.strerror}); ticks are as late as the "
                "machine is busy. docs/own_robot.md says how to permit it; 0 does without"
            )
        else:
            try:
                system.lock_memory()
            except OSError as error:
                problems.append(
                    f"not permitted: to lock memory ({error.strerror}); a page that was swapped out is waited for"
                )
    return problems


def go_last(nice: int, system: System | None = None) -> None:
    """Let every process with deadlines go first. This is always permitted."""
    system = system or Linux()
    if nice:
        _each(system, lambda thread: system.be_nice(thread, nice))


def _each(system: System, act: Callable[[int], None]) -> None:
    for thread in system.threads():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            act(thread)
