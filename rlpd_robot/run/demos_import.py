"""`rlpd-robot demos import SOURCE OUT`: demonstrations of another program become a store."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.importers.convert import Conversion, Relabel
from rlpd_robot.data.importers.formats import make_importer
from rlpd_robot.data.importers.import_store import import_store
from rlpd_robot.data.importers.source import SourceOptions
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.task import RelabellingTask
from rlpd_robot.run.conversion_settings import ImportSettings
from rlpd_robot.run.progress import progress_counter
from rlpd_robot.spec import ProblemSpec


def run_import(source: str, out: str, settings: ImportSettings, make_task: Callable[[], Any]) -> int:
    """Import, and print what was found, changed and made up; returns the exit status.

    Args:
        source: file or folder.
        out: where the store is to be.
        settings: how.
        make_task: makes the task that tells rewards, where they are wanted of it.

    Raises:
        ConfigError, ImportSourceError, DataError, StoreError, MissingPackageError: nothing has been written.
    """
    problem = problem_of_settings(settings)
    relabel = relabel_with(make_task(), problem) if settings.rewards == "task" else None
    conversion = Conversion(
        problem,
        unknown=settings.unknown,  # type: ignore[arg-type]  # checked by Conversion
        final=settings.final,  # type: ignore[arg-type]
        actions=settings.actions,  # type: ignore[arg-type]
        rewards=settings.rewards,  # type: ignore[arg-type]
        relabel=relabel,
    )
    topics = read_yaml("topics", settings.topics) if settings.topics else {}
    options = SourceOptions(tuple(settings.observations), tuple(settings.actions_from), problem.robot.period_s, topics)
    path = Path(source)
    importer = make_importer(path, settings.format, options)
    with progress_counter("transitions", "checksum") as (on_progress, on_checksum):
        report = import_store(path, Path(out), importer, conversion, on_progress, on_checksum)
    print("\n".join([f"store    {out}", *report.lines()]))
    return 0


def problem_of_settings(settings: ImportSettings) -> ProblemSpec:
    """Robot and task of the store to be written.

    Raises:
        StoreError: `like` is no store.
        ConfigError: `problem` is no YAML file.
        SpecError: it describes no robot and task.
    """
    if settings.like is not None:
        return DemoStore.open(settings.like).problem
    data = dict(read_yaml("problem", settings.problem or ""))
    robot = data.get("robot")
    if isinstance(robot, Mapping):  # what is empty may be left out in a file written by hand
        empty: dict[str, Any] = {"shape": (), "dtype": "float64", "low": (), "high": (), "labels": ()}
        fields = {
            kind: [{**empty, **f} if isinstance(f, Mapping) else f for f in robot.get(kind) or ()]
            for kind in ("state", "command")
        }
        data["robot"] = {**robot, **fields}
    return ProblemSpec.from_json(data)


def read_yaml(key: str, path: str) -> Mapping[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: there is no such file, or it is something else.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(key, path, f"a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(data, Mapping):
        raise ConfigError(key, path, "a YAML file of keys and values")
    return data


def relabel_with(task: Any, problem: ProblemSpec) -> Relabel:
    """Rewards and successes by a task.

    Raises:
        ConfigError: the task is not that of the store, or it cannot tell from observations.
    """
    if not isinstance(task, RelabellingTask):
        name = getattr(task, "name", type(task).__name__)
        raise ConfigError("task", name, "one that can tell success from an observation, for rewards=task")
    if (task.name, task.observation_size) != (problem.task, problem.observation_size):
        raise ConfigError("task", task.name, f"the task of the store, '{problem.task}', for rewards=task")

    def relabel(
        observations: NDArray[np.float32], actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        steps = list(zip(observations[:-1], actions, observations[1:], strict=True))
        rewards = np.array([task.reward_from_observations(*step) for step in steps], np.float32)
        return rewards, np.array([task.success_from_observation(after) for _, _, after in steps], np.bool_)

    return relabel
