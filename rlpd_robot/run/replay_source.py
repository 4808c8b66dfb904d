"""A stored episode as a teleoperation source: its actions again, open loop."""

from dataclasses import replace as changed
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, SpecMismatchError
from rlpd_robot.robot.teleop.acting import ReplayTeleop
from rlpd_robot.spec import RobotSpec


def replay(spec: RobotSpec, store: str | None = None, episode: int = 0, proposed: bool = False) -> ReplayTeleop:
    """Play one episode.

    Args:
        spec: of the robot.
        store: its path.
        episode: counted from 0; also a hidden one.
        proposed: play what was asked for then; otherwise what the robot executed.

    Raises:
        ConfigError: no store, or no such episode.
        SpecMismatchError: its robot takes other commands, or at another rate.
        StoreError, DataError: it cannot be read.
    """
    if not store:
        raise ConfigError("teleop.store", store, "the path of a demonstration store")
    opened = DemoStore.open(Path(store))
    problem = opened.problem
    ours = changed(problem, robot=changed(problem.robot, command=spec.command, period_s=spec.period_s))
    if differences := ours.differences(problem):
        remedy = "Actions mean the same only where commands and period do: replay it on its own robot."
        raise SpecMismatchError(f"robot '{spec.name}'", f"Store {store!r}", differences, remedy)
    if isinstance(episode, bool) or not isinstance(episode, int) or not 0 <= episode < len(opened):
        raise ConfigError("teleop.episode", episode, f"one of the {len(opened)} episodes of {store}, counted from 0")
    segment = opened.episode(episode)
    return ReplayTeleop(spec, segment.proposed_actions if proposed else segment.actions, bool(segment.success.any()))
