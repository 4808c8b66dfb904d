"""Commands and joint positions out of a store: what was observed of each commanded joint."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import SpecMismatchError
from rlpd_robot.robot.task import ActionMap, Task, problem_of
from rlpd_robot.run.dry_run.checks import joint_pairs
from rlpd_robot.run.episode_numbers import episode_numbers
from rlpd_robot.run.identify.model import Model, Recording
from rlpd_robot.run.identify.settings import IdentifySettings
from rlpd_robot.run.replay.divergence import what_is_observed
from rlpd_robot.types import RobotState


def read_recordings(path: Path, task: Task, model: Model, wanted: IdentifySettings) -> list[Recording]:
    """Episodes of the store until there are enough periods.

    Raises:
        StoreError: it cannot be read.
        SpecMismatchError: it is of another robot, task or rate.
        ConfigError: no such episode.
    """
    store = DemoStore.open(path)
    if differences := store.problem.differences(problem_of(task, model.spec)):
        remedy = "Name the robot and the task of the store: robot=… task=…"
        raise SpecMismatchError(f"The model of robot '{model.spec.name}'", f"Store {str(path)!r}", differences, remedy)
    columns = observed_joints(task, model)
    wide, actions = len(model.joints), ActionMap.of(model.spec)
    found: list[Recording] = []
    left = wanted.periods
    chosen = episode_numbers(wanted.episodes, len(store))
    for _, episode in store.some([number for number in chosen if number not in store.hidden]):
        count = min(len(episode), left)
        if count < 2:
            break
        commands = np.stack([actions.to_command(action).values for action in episode.actions[:count]])
        places = np.full((count + 1, wide), np.nan)
        for joint, column in columns.items():
            places[:, joint] = episode.observations[: count + 1, column]
        found.append(Recording(commands, places))
        left -= count
    return found


def observed_joints(task: Task, model: Model) -> dict[int, int]:
    """For each commanded joint that the task observes, which number of its observation it is."""
    spec, pairs = model.spec, joint_pairs(model.spec, ())
    state = RobotState({name: np.array(value) for name, value in model.read().items()}, 0, 0.0, 0.0)
    seen = {(one.field, one.label): i for i, one in enumerate(what_is_observed(task, state, spec))}
    found = {}
    for element, (field, index) in pairs.items():
        labels: Sequence[str] = spec.state_field(field).labels
        column = seen.get((field, labels[index]))
        if column is not None:
            found[element] = column
    return found
