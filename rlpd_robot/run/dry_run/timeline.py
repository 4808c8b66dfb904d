"""Where the time of a control period goes, and when the safety filter acted: from the robot's book and the journal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.safety import CAUSES
from rlpd_robot.types import Segment

Floats = NDArray[np.float64]

STAGES = ("link, state", "policy", "safety filter", "sending", "link, command")
"""From the robot's measurement until it follows the command that answers it."""


def stages_ms(executed: NDArray[np.void], measured_s: Floats, segments: Sequence[Segment], period_s: float) -> Floats:
    """(N, 5) how long each of `STAGES` took for each command of which both sides are known [ms].

    Args:
        executed: records of the robot's book.
        measured_s: (records,) when the state was measured that each of them answers [s]; NaN where that is not known.
        segments: the actor's transitions, on the same monotonic clock.
        period_s: of control.
    """
    stamps = [segment.stamps_s for segment in segments]
    if not stamps or not len(executed):
        return np.zeros((0, len(STAGES)))
    own = np.concatenate(stamps)
    own = own[np.argsort(own[:, 3])]
    at = np.asarray(executed["stamp_s"], np.float64)
    place = np.searchsorted(own[:, 3], at, "right") - 1  # the last command that was sent by then
    known = (place >= 0) & ~np.isnan(measured_s)
    mine = own[place[known]]
    ends = np.column_stack([measured_s[known], mine, at[known]])
    found = np.diff(ends, axis=1)
    # Another command than this one, or another state: what was sent and never followed is between.
    same = (found >= 0).all(axis=1) & (found.sum(axis=1) <= FRESH_PERIODS * period_s)
    return np.asarray(1e3 * found[same], np.float64)


@dataclass(frozen=True, eq=False)
class Interventions:
    """When another command was sent than was proposed.

    Attributes:
        times_s: (K,) since the first transition [s].
        bits: (K,) why, as in `robot.safety.CAUSES`.
        seconds: from the first transition to the last [s].
        steps: number of transitions.
    """

    times_s: Floats
    bits: NDArray[np.uint16]
    seconds: float
    steps: int

    def by_cause(self) -> dict[str, Floats]:
        """Times of each cause that occurred [s]."""
        found = {name: self.times_s[(self.bits & bit) != 0] for bit, name in CAUSES.items()}
        return {name: times for name, times in found.items() if len(times)}


def interventions(segments: Sequence[Segment]) -> Interventions:
    """Of all transitions, in the order of time."""
    if not segments:
        return Interventions(np.zeros(0), np.zeros(0, np.uint16), 0.0, 0)
    stamps = np.concatenate([segment.stamps_s[:, 0] for segment in segments])
    bits = np.concatenate([segment.safety for segment in segments])
    first_s = float(stamps.min())
    acted = bits != 0
    return Interventions(stamps[acted] - first_s, bits[acted], float(stamps.max()) - first_s, len(bits))
