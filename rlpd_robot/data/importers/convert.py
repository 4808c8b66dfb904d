"""From an episode of a source to episodes of a store: sizes, ranges, endings, final observations and rewards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.report import ImportReport
from rlpd_robot.data.importers.source import SourceEpisode
from rlpd_robot.errors import ConfigError, DataError, ImportSourceError
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Ending, Segment

Relabel = Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""(N+1, O) observations and (N, A) actions to (N,) rewards and (N,) success."""


@dataclass(frozen=True)
class Conversion:
    """What to make of what a source does not say.

    Attributes:
        problem: robot and task of the store.
        unknown: how an episode ended of which the source does not say.
        final: what becomes of the last transition where the final observation is absent: dropped, or kept with the last
            observation repeated. One that terminates is always kept: nothing is learned from what follows it.
        actions: whether the source holds actions in [-1, 1] or physical commands in the robot's units.
        rewards: those of the source; or of the task (`relabel`); or 0 in each episode's last transition, counted as a
            success, and -1 before.
        relabel: the task's rewards and successes.
    """

    problem: ProblemSpec
    unknown: Literal["truncated", "terminated"] = "truncated"
    final: Literal["drop", "repeat"] = "drop"
    actions: Literal["action", "command"] = "action"
    rewards: Literal["source", "task", "last"] = "source"
    relabel: Relabel | None = None

    def __post_init__(self) -> None:
        for key, allowed in (
            ("unknown", ("truncated", "terminated")),
            ("final", ("drop", "repeat")),
            ("actions", ("action", "command")),
            ("rewards", ("source", "task", "last")),
        ):
            if getattr(self, key) not in allowed:
                raise ConfigError(key, getattr(self, key), f"one of {', '.join(allowed)}")
        if (self.relabel is None) == (self.rewards == "task"):
            raise ConfigError("rewards", self.rewards, "task exactly where there is a task to ask")


class Converter:
    """Makes episodes of a store out of those of a source, and counts what it did into the report."""

    def __init__(self, path: Path, conversion: Conversion, report: ImportReport) -> None:
        self._path = path
        self._conversion = conversion
        self._report = report
        self._boot = f"import-{report.sha256[:16]}"
        robot = conversion.problem.robot
        self._middle = (robot.command_high + robot.command_low) / 2
        self._half = (robot.command_high - robot.command_low) / 2

    def convert(self, episode: SourceEpisode) -> Iterator[Segment]:
        """The episodes that one of the source becomes: one, or several where its transitions do not join, or none.

        Raises:
            ImportSourceError: what it holds does not fit together, or is not finite.
            DataError: it does not fit the robot and task.
        """
        self._report.endings[episode.ending] += 1
        self._check(episode)
        for part in self._split(episode):
            whole = self._with_final_observation(part)
            if whole is not None:
                yield self._segment(whole)

    def _check(self, episode: SourceEpisode) -> None:
        problem = self._conversion.problem
        for name, values, size in (
            ("observation", episode.observations, problem.observation_size),
            ("action", episode.actions, problem.action_size),
        ):
            if values.ndim != 2 or values.shape[1] != size:
                raise DataError(
                    f"Source {str(self._path)!r}, {episode.name}",
                    f"its {name}s have {values.shape[-1]} numbers",
                    f"{size}, as task '{problem.task}' on robot '{problem.robot.name}' has them",
                )
        n, following = len(episode.actions), episode.next_observations
        if len(episode.observations) not in (n, n + 1) or (following is not None and len(episode.observations) != n):
            problem_found = f"{len(episode.observations)} observations for {n} actions"
            raise ImportSourceError(self._path, f"{episode.name} has {problem_found}", f"{n} or {n + 1}")
        for name in ("rewards", "success", "next_observations", "stamps_s", "intervened"):
            values = getattr(episode, name)
            if values is not None and len(values) != n:
                raise ImportSourceError(self._path, f"{episode.name} has {len(values)} {name} for {n} actions", f"{n}")
        if following is not None and following.shape[1:] != episode.observations.shape[1:]:
            found = f"{episode.name} has next_observations of shape {following.shape}"
            raise ImportSourceError(self._path, found, f"{episode.observations.shape}, as its observations have")
        for name in ("observations", "actions", "rewards", "next_observations", "stamps_s"):
            values = getattr(episode, name)
            if values is not None and not (finite := np.isfinite(values)).all():
                index = np.argwhere(~finite)[0].tolist()
                raise ImportSourceError(
                    self._path, f"{episode.name} holds a non-finite number in its {name} at {index}", "finite numbers"
                )

    def _split(self, episode: SourceEpisode) -> Iterator[SourceEpisode]:
        """Where the observation after a transition is not the next row's, a new episode begins.

        Arrays that are no longer needed are taken out of `episode`: one alone may be all that memory holds twice.
        """
        following, episode.next_observations = episode.next_observations, None
        if following is None:
            yield episode
            return
        joined = (following[:-1] == episode.observations[1:]).all(axis=1)
        ends = [*(np.flatnonzero(~joined) + 1).tolist(), len(following)]
        final = following[np.array(ends) - 1]
        del following, joined
        self._report.notes.count("episodes begun where transitions of the source do not join", len(ends) - 1)
        if len(ends) == 1:
            episode.observations = np.concatenate([episode.observations, final])
            yield episode
            return
        for i, (start, stop) in enumerate(pairwise([0, *ends])):
            rows = slice(start, stop)
            yield replace(
                episode,
                name=f"{episode.name}, from step {start}",
                observations=np.concatenate([episode.observations[rows], final[i : i + 1]]),
                actions=episode.actions[rows],
                ending=episode.ending if stop == ends[-1] else "unknown",
                **_cut(episode, rows),
            )

    def _with_final_observation(self, episode: SourceEpisode) -> SourceEpisode | None:
        n, notes = len(episode.actions), self._report.notes
        if len(episode.observations) == n + 1:
            return episode
        if self._conversion.final == "repeat" or self._ending(episode) == "terminated":
            notes.count("final observations absent: the last one repeated (invented)")
            return replace(episode, observations=np.concatenate([episode.observations, episode.observations[-1:]]))
        if n == 1:
            notes.count("episodes dropped: one transition and no observation after it")
            return None
        notes.count("final observations absent: the episode's last transition dropped")
        return replace(episode, actions=episode.actions[:-1], **_cut(episode, slice(n - 1)))

    def _ending(self, episode: SourceEpisode) -> Ending:
        return self._conversion.unknown if episode.ending == "unknown" else episode.ending

    def _segment(self, episode: SourceEpisode) -> Segment:
        report, n = self._report, len(episode.actions)
        if episode.ending == "unknown":
            report.notes.count(f"unknown endings taken as {self._conversion.unknown}")
        observations = self._float32(episode.name, "observations", episode.observations)
        actions = self._actions(episode)
        rewards, success = self._rewards(episode, observations, actions)
        stamps = episode.stamps_s
        if stamps is None:
            report.notes.count("episodes without time stamps: control period times step (invented)")
            stamps = np.arange(n) * self._conversion.problem.robot.period_s
        if n > self._conversion.problem.horizon:
            report.notes.count(f"episodes longer than the task's horizon of {self._conversion.problem.horizon} steps")
        segment = Segment(
            boot=self._boot,
            first_sequence=report.transitions,
            episode=report.episodes,
            first_step=0,
            observations=observations,
            actions=actions,
            proposed_actions=actions,
            rewards=rewards,
            success=success,
            intervened=np.zeros(n, bool) if episode.intervened is None else episode.intervened.astype(bool),
            safety=np.zeros(n, np.uint16),
            policy_versions=np.full(n, -1, np.int64),
            stamps_s=np.repeat(stamps.astype(np.float64)[:, None], 4, axis=1),
            ending=self._ending(episode),
            cause=f"{report.format}: {episode.name}",
        )
        report.episodes += 1
        report.transitions += n
        return segment

    def _float32(self, name: str, what: str, values: NDArray[np.generic]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            narrow = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(narrow).all():
            raise ImportSourceError(self._path, f"{name}: its {what} exceed single precision", "values below 3e38")
        if not np.array_equal(narrow, values):
            self._report.notes.count(f"episodes whose {what} were rounded to single precision")
        return narrow

    def _actions(self, episode: SourceEpisode) -> NDArray[np.float32]:
        values = episode.actions
        if self._conversion.actions == "command":
            values = (values.astype(np.float64) - self._middle) / self._half
        actions = self._float32(episode.name, "actions", values)
        beyond = (actions > 1) | (actions < -1)
        if not beyond.any():
            return actions
        self._report.notes.count("transitions with actions clipped to [-1, 1]", int(beyond.any(axis=1).sum()))
        self._report.notes.count("single numbers of actions clipped", int(beyond.sum()))
        return np.clip(actions, -1, 1, out=actions) if actions is not values else np.clip(actions, -1, 1)

    def _rewards(
        self, episode: SourceEpisode, observations: NDArray[np.float32], actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        conversion, notes = self._conversion, self._report.notes
        if conversion.relabel is not None:
            notes.count("episodes whose rewards and successes are the task's, not the source's")
            return conversion.relabel(observations, actions)
        n = len(actions)
        if conversion.rewards == "last":
            notes.count("episodes taken as solved in their last transition: reward 0 there, -1 before (invented)")
            success = np.arange(n) == n - 1
            return success.astype(np.float32) - 1, success
        if episode.rewards is None:
            raise DataError(
                f"Source {str(self._path)!r}, {episode.name}",
                "it has no rewards",
                "rewards=task with the task= that can tell them from observations, or rewards=last where every episode "
                "ends in success",
            )
        if episode.success is None:
            notes.count("episodes without a word on success: False throughout (invented)")
        success = np.zeros(n, bool) if episode.success is None else episode.success.astype(bool)
        return self._float32(episode.name, "rewards", episode.rewards), success


def _cut(episode: SourceEpisode, rows: slice) -> dict[str, Any]:
    """Some rows of everything that a source may leave out."""
    columns = {name: getattr(episode, name) for name in ("rewards", "success", "stamps_s", "intervened")}
    return {name: None if values is None else values[rows] for name, values in columns.items()}
