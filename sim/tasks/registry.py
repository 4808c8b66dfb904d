"""The Adroit tasks by name."""

from collections.abc import Mapping
from types import MappingProxyType

from rlpd_robot.errors import ConfigError
from sim.tasks.base import SparseTask
from sim.tasks.door import DoorTask
from sim.tasks.hammer import HammerTask
from sim.tasks.pen import PenTask
from sim.tasks.relocate import RelocateTask

TASKS: Mapping[str, type[SparseTask]] = MappingProxyType(
    {task.name: task for task in (DoorTask, HammerTask, PenTask, RelocateTask)}
)


def make_task(name: str) -> SparseTask:
    """The task of that name.

    Raises:
        ConfigError: there is none; the sentence lists those there are.
    """
    if name not in TASKS:
        raise ConfigError("task", name, f"one of {sorted(TASKS)}")
    return TASKS[name]()
