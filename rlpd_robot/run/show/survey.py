"""A store in figures, read once from beginning to end: what the overview draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.dimensions import Ranges, observation_names
from rlpd_robot.data.episode_facts import EpisodeFacts, facts_of
from rlpd_robot.data.progress import OnProgress
from rlpd_robot.types import Segment


@dataclass(frozen=True, eq=False)
class Survey:
    """Every committed episode in a line of figures, hidden ones too.

    Attributes:
        facts: one an episode.
        periods_ms: (E, 3) median, 1st and 99th percentile of the time between states; NaN for a single step.
        solved_share: (E,) percent of the horizon in the solved state: the normalised return.
        low, high: (O,) range of each number of the observations.
        period_ms: the robot's control period.
        horizon: the task's.
    """

    facts: Sequence[EpisodeFacts]
    periods_ms: NDArray[np.float64]
    solved_share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    period_ms: float
    horizon: int

    @property
    def visible(self) -> list[EpisodeFacts]:
        """The episodes that are not hidden."""
        return [facts for facts in self.facts if facts.hidden is None]


def survey(store: DemoStore, on_progress: OnProgress) -> Survey:
    """Read every episode once.

    Raises:
        StoreError, DataError: the store is damaged.
    """
    horizon, facts, periods, shares = store.problem.horizon, [], [], []
    ranges = Ranges(observation_names(store.problem))
    for done, (index, episode) in enumerate(store.numbered(hidden=True), 1):
        facts.append(facts_of(index, episode, store.hidden.get(index)))
        periods.append(_spread_of(periods_of(episode)))
        shares.append(100 * float(episode.success[:horizon].sum()) / horizon)
        ranges.add(episode.observations)
        on_progress(done, len(store))
    found = list(ranges)
    return Survey(
        facts,
        np.array(periods, np.float64).reshape(-1, 3),
        np.array(shares, np.float64),
        np.array([r.low for r in found]),
        np.array([r.high for r in found]),
        1e3 * store.problem.robot.period_s,
        horizon,
    )


def periods_of(episode: Segment) -> NDArray[np.float64]:
    """(N-1,) time between the states that were acted upon [ms], on the recorder's clock."""
    periods: NDArray[np.float64] = 1e3 * np.diff(episode.stamps_s[:, 0])
    return periods


def responses_of(episode: Segment) -> NDArray[np.float64]:
    """(N,) from the arrival of a state until its command was sent [ms]."""
    responses: NDArray[np.float64] = 1e3 * (episode.stamps_s[:, 3] - episode.stamps_s[:, 0])
    return responses


def _spread_of(periods: NDArray[np.float64]) -> Any:
    return np.percentile(periods, (50, 1, 99)) if len(periods) else np.full(3, np.nan)


def chosen_by_return(facts: Sequence[EpisodeFacts]) -> list[int]:
    """The episodes of lowest, median and highest return, and the newest; each once, by number."""
    seen = [f for f in facts if f.hidden is None] or list(facts)
    if not seen:
        return []
    ordered = sorted(seen, key=lambda f: f.total)
    return sorted({f.index for f in (ordered[0], ordered[len(ordered) // 2], ordered[-1], seen[-1])})
