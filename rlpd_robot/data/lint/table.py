"""What is kept of each episode, so that episodes can be compared without holding them all."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.dimensions import Range, Ranges, action_names, observation_names
from rlpd_robot.data.lint import frames
from rlpd_robot.data.lint.lag import LagSums
from rlpd_robot.data.lint.sensors import Twins
from rlpd_robot.data.lint.view import EpisodeView
from rlpd_robot.spec import ProblemSpec


@dataclass(frozen=True, eq=False)
class Line:
    """One episode.

    Attributes:
        start, mean: (O,) first and average observation.
        effort, roughness: average size of an action, and of its change from step to step.
        success_reward, other_reward: sums of rewards in solved steps and in others.
        digest: of observations and actions.
    """

    index: int
    boot: str
    steps: int
    total: float
    solved: int
    ending: str
    period_s: float
    start: NDArray[np.float64]
    mean: NDArray[np.float64]
    effort: float
    roughness: float
    success_reward: float
    other_reward: float
    digest: bytes


@dataclass(eq=False)
class Table:
    """All episodes of one store, and sums over them. Episodes with non-finite numbers are left out.

    Attributes:
        problem: robot and task.
        notes: of the import, if it was one: sentences, and how often.
        steps: transitions, of all episodes.
        episodes: of them.
        left_handed: first dimensions that were a left-handed frame in every episode so far; None before the first.
    """

    problem: ProblemSpec
    notes: Mapping[str, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0
    left_handed: set[int] | None = None

    def __post_init__(self) -> None:
        o, a = self.problem.observation_size, self.problem.action_size
        self._observations, self._actions = Ranges(observation_names(self.problem)), Ranges(action_names(self.problem))
        self._rewards = Ranges(["reward"])
        self.twins, self.lag = Twins(o), LagSums(a, o)

    @property
    def observations(self) -> list[Range]:
        """(O,) ranges; empty where there is no episode."""
        return list(self._observations)

    @property
    def actions(self) -> list[Range]:
        """(A,) ranges."""
        return list(self._actions)

    @property
    def rewards(self) -> list[Range]:
        """Their range alone."""
        return list(self._rewards)

    def add(self, e: EpisodeView) -> None:
        """Take in one episode."""
        self.steps += len(e)
        self.episodes += 1
        if not all(np.isfinite(c).all() for c in (e.observations, e.actions, e.rewards, e.stamps_s)):
            return
        self._observations.add(e.observations)
        self._actions.add(e.actions)
        self._rewards.add(e.rewards[:, None])
        self.twins.add(e.observations)
        self.lag.add(e.actions, e.observations)
        hands = set(frames.left_handed(e.observations))
        self.left_handed = hands if self.left_handed is None else self.left_handed & hands
        self.lines.append(_line(e))


def _line(e: EpisodeView) -> Line:
    rewards, success = e.rewards.astype(np.float64), e.success
    changes = np.abs(np.diff(e.actions, axis=0))
    return Line(
        index=e.index,
        boot=e.boot,
        steps=len(e),
        total=float(rewards.sum()),
        solved=int(success.sum()),
        ending=e.ending,
        period_s=float(np.median(np.diff(e.stamps_s[:, 0]))) if len(e) > 1 else e.period_s,
        start=e.observations[0].astype(np.float64),
        mean=e.observations.mean(axis=0, dtype=np.float64),
        effort=float(np.abs(e.actions).mean()),
        roughness=float(changes.mean()) if changes.size else 0.0,
        success_reward=float(rewards[success].sum()),
        other_reward=float(rewards[~success].sum()),
        digest=hashlib.sha256(e.observations.tobytes() + e.actions.tobytes()).digest(),
    )
