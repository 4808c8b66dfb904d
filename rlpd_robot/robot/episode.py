"""One episode while it happens: its tallies, who gets its transitions, and how it is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rlpd_robot.policy.base import NO_VERSION
from rlpd_robot.types import Ending, Transition


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """One episode in numbers.

    Attributes:
        episode: its number.
        steps: transitions made.
        total_reward: sum of their rewards.
        success: the task was solved in at least one state.
        solved_fraction: solved steps ÷ horizon, in [0, 1]: the normalised return of RLPD (arXiv:2302.02948) ÷ 100.
        ending, cause: "terminated" or "truncated", and why.
        policy_version: of the snapshot behind the last action; -1: none.
    """

    episode: int
    steps: int
    total_reward: float
    success: bool
    solved_fraction: float
    ending: Ending
    cause: str
    policy_version: int


class Subscriber(Protocol):
    """Receives what the loop makes, in its thread: return within some tenth of a millisecond, keep what you like."""

    def on_transition(self, transition: Transition) -> None:
        """One executed control period, in order of `sequence`, as soon as it is over."""

    def on_episode(self, summary: EpisodeSummary) -> None:
        """The episode is over, and all its transitions have come.

        What ended it after its last transition, a fault or a stop, is told here only.
        """


class EpisodeRecord:
    """Tallies one episode and hands its transitions on.

    Attributes:
        steps: transitions so far.
        ending, cause: as in `EpisodeSummary`; "" while the episode goes on.
    """

    def __init__(self, episode: int, horizon: int, subscribers: Sequence[Subscriber]) -> None:
        self.episode = episode
        self.steps = 0
        self.ending: Ending = ""
        self.cause = ""
        self._horizon, self._subscribers = horizon, subscribers
        self._solved, self._total_reward, self._version = 0, 0.0, NO_VERSION
        self._closed = False

    def add(self, transition: Transition) -> None:
        """Take the next transition; one with an ending ends the episode."""
        self.steps += 1
        self._solved += transition.success
        self._total_reward += transition.reward
        self._version = transition.policy_version
        self.ending, self.cause = transition.ending, transition.cause
        for subscriber in self._subscribers:
            subscriber.on_transition(transition)

    def cut(self, cause: str) -> None:
        """End the episode as truncated, unless it has ended."""
        if not self.ending:
            self.ending, self.cause = "truncated", cause

    def close(self) -> EpisodeSummary:
        """Tell the subscribers that the episode is over, once."""
        summary = EpisodeSummary(
            episode=self.episode,
            steps=self.steps,
            total_reward=self._total_reward,
            success=self._solved > 0,
            solved_fraction=self._solved / self._horizon,
            ending=self.ending,
            cause=self.cause,
            policy_version=self._version,
        )
        if not self._closed:
            self._closed = True
            for subscriber in self._subscribers:
                subscriber.on_episode(summary)
        return summary
