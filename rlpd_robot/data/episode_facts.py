"""One episode in a line of figures."""

from dataclasses import dataclass

import numpy as np

from rlpd_robot.types import Segment


@dataclass(frozen=True)
class EpisodeFacts:
    """What `demos list` tells of an episode.

    Attributes:
        index: in its store, from 0.
        steps: transitions.
        ending, cause: how and why it ended.
        solved_at: first step after which the task was solved; None: never.
        solved_steps: how many steps left it solved.
        total: sum of its rewards, the return without discount.
        policy_versions: lowest and highest, -1 standing for none.
        intervened: share of steps in which a person acted.
        filtered: share of steps that the safety filter changed.
        boot, first_sequence: identify it.
        period_s: median time between two states on the recorder's clock [s]; None for a single step.
        hidden: why it is hidden; None: it is not.
    """

    index: int
    steps: int
    ending: str
    cause: str
    solved_at: int | None
    solved_steps: int
    total: float
    policy_versions: tuple[int, int]
    intervened: float
    filtered: float
    boot: str
    first_sequence: int
    period_s: float | None
    hidden: str | None

    @property
    def success(self) -> bool:
        """Whether the task was solved after any step."""
        return self.solved_at is not None


def facts_of(index: int, episode: Segment, hidden: str | None = None) -> EpisodeFacts:
    """The figures of one episode.

    Args:
        index: its number in the store.
        hidden: why it is hidden, if it is.
    """
    received = np.diff(episode.stamps_s[:, 0])
    return EpisodeFacts(
        index=index,
        steps=len(episode),
        ending=episode.ending,
        cause=episode.cause,
        solved_at=int(episode.success.argmax()) if episode.success.any() else None,
        solved_steps=int(episode.success.sum()),
        total=float(episode.rewards.sum(dtype=np.float64)),
        policy_versions=(int(episode.policy_versions.min()), int(episode.policy_versions.max())),
        intervened=float(episode.intervened.mean()),
        filtered=float(episode.filtered.mean()),
        boot=episode.boot,
        first_sequence=episode.first_sequence,
        period_s=float(np.median(received)) if len(received) else None,
        hidden=hidden,
    )
