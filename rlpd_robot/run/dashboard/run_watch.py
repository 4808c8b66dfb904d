"""A run as it grows, folded into curves: the live state of the terminal's view, and its past."""

import math
from collections import deque
from pathlib import Path
from typing import Any

from rlpd_robot.run.dashboard.series import Series
from rlpd_robot.run.live_state import LiveState, number
from rlpd_robot.run.statistics import wilson_interval
from rlpd_robot.run.status import kind_of
from rlpd_robot.timing import Clock

WINDOW = 20
"""Training episodes that the rolling curves look back over, as in the report."""

KINDS = 20
"""Of events that are kept."""

ROW_KEYS = (
    *("utd_target", "utd_realised", "ring_rows", "demo_rows", "demo_return"),
    *("learner/q", "learner/target_q", "learner/policy_q", "learner/q_spread"),
    *("learner/critic_loss", "learner/entropy", "learner/temperature", "learner/updates_per_s"),
    *("actor/lateness_ms_p50", "actor/lateness_ms_p99", "actor/policy_age_s_p50", "actor/policy_age_s_p99"),
    *("actor/uncommitted", "actor/steps", "actor/filtered"),
)
"""Of metrics.jsonl, what there are curves of."""

CHECK_KEYS = ("diagnostics/q", "diagnostics/monte_carlo_return")
"""Of metrics.jsonl too, but measured only now and then: each row has the newest."""

_BLOCK = 1 << 22  # bytes of a file read in one go


class RunWatch(LiveState):
    """`catch_up` reads everything new. Memory stays bounded, however long the run.

    Attributes:
        figures: `ROW_KEYS` and `CHECK_KEYS` against live steps.
        practice: of the training episodes, against live steps: return [%], its mean over `WINDOW`, the share that
            succeeded [%] with its 95 % interval (low, high).
        lately: (success, normalised return [%]) of the last `WINDOW` training episodes.
        told: of each kind of event the newest, with how often it came, the newest last; so that what comes again and
            again hides nothing else.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory, clock, most=_BLOCK)
        self.figures, self.practice = Series(), Series()
        self.lately: deque[tuple[bool, float]] = deque(maxlen=WINDOW)
        self.told: dict[tuple[object, ...], tuple[dict[str, Any], int]] = {}

    def catch_up(self) -> None:
        """Read what was appended since the last time."""
        before = -1
        while before != self.seen:
            before = self.seen
            for event in self.look():
                self._tell(event)

    @property
    def successes_lately(self) -> int:
        """Of the last `WINDOW` training episodes."""
        return sum(success for success, _ in self.lately)

    def _tell(self, event: dict[str, Any]) -> None:
        kind = kind_of(event)
        _, times = self.told.pop(kind, ({}, 0))
        self.told[kind] = event, times + 1
        if len(self.told) > KINDS:
            del self.told[next(iter(self.told))]

    def _take(self, row: dict[str, Any]) -> None:
        super()._take(row)
        steps = number(row, "env_steps")
        if math.isfinite(steps):
            newest = {key: _or_none(self.get(key)) for key in CHECK_KEYS}
            self.figures.add(steps, {key: _or_none(number(row, key)) for key in ROW_KEYS} | newest)

    def _take_episode(self, episode: dict[str, Any]) -> None:
        super()._take_episode(episode)
        solved, steps = number(episode, "normalized_return"), number(episode, "env_steps")
        self.lately.append((bool(episode.get("success")), solved))
        if math.isfinite(steps):
            known = [value for _, value in self.lately if math.isfinite(value)]
            low, high = wilson_interval(self.successes_lately, len(self.lately))
            point = {
                "return": _or_none(solved),
                "return_mean": sum(known) / len(known) if known else None,
                "success": 100 * self.successes_lately / len(self.lately),
                "low": 100 * low,
                "high": 100 * high,
            }
            self.practice.add(steps, point)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
