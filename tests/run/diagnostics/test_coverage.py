import math

import numpy as np
import pytest

from rlpd_robot.run.diagnostics.coverage import DemoCoverage
from rlpd_robot.types import Batch


def demos(*episodes: list[float]) -> Batch:
    """Of one element, N + 1 observations an episode."""
    observation = np.array([[x] for e in episodes for x in e[:-1]], np.float32)
    following = np.array([[x] for e in episodes for x in e[1:]], np.float32)
    n = len(observation)
    return Batch(observation, np.zeros((n, 1)), np.zeros(n, np.float32), following, np.ones(n), np.ones(n))


def test_nearness_is_as_the_demonstrations_are_among_themselves() -> None:
    # two demonstrations that pass 0.1 from one another, at 0, 1, 2, 3
    coverage = DemoCoverage(demos([0, 1, 2, 3, 4], [0.1, 1.1, 2.1, 3.1, 4.1]))
    deviation = np.std([0, 1, 2, 3, 0.1, 1.1, 2.1, 3.1])
    assert coverage.radius == pytest.approx(0.1 / deviation, rel=1e-3)
    # 0.05 lies near 0 and 0.1; 1.5 and 50 lie near nothing; of eight states 0 and 0.1 are reached
    assert coverage.of(np.array([[0.05], [1.5], [50.0]], np.float32)) == pytest.approx(
        {"visited_near_demos": 1 / 3, "demos_visited": 2 / 8}
    )


def test_one_demonstration_has_no_measure_of_nearness() -> None:
    coverage = DemoCoverage(demos([0, 1, 2, 3]))
    assert math.isnan(coverage.radius)
    assert coverage.of(np.zeros((2, 1), np.float32)) == {}


def test_what_does_not_move_in_the_demonstrations_does_not_count_infinitely() -> None:
    one, two = demos([0, 1, 2, 3, 4]), demos([0.5, 1.5, 2.5, 3.5, 4.5])
    still = [Batch(*(np.hstack([c, np.full_like(c, 7)]) if c.ndim == 2 else c for c in part)) for part in (one, two)]
    both = Batch(*(np.concatenate(columns) for columns in zip(*still, strict=True)))
    figures = DemoCoverage(both).of(np.array([[1.0, 7.01]], np.float32))
    assert figures["visited_near_demos"] == 1.0
