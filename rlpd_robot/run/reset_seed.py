"""Seeds of simulated resets: what an actor draws, and which a recorded episode may have had."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rlpd_robot.types import Segment

SEED = "seed"
"""Attribute of a store: the seed with which its recorder began; they count up from there."""

_RUNS = 64  # seeds of training runs that are tried
_IN_A_ROW = 1000  # episodes after a seed that is known or likely
_ROUND = (1_000, 100_000), (100_000, 2_000_000)  # (step, end): people begin with a round number
_AFTER_ROUND = 100


def reset_seed(seed: int, episode: int) -> int:
    """A seed for each reset of a training run, the same in each run of the same seed."""
    return int(np.random.default_rng([seed, episode]).integers(1 << 31))


def likely_seeds(episode: Segment, attributes: Mapping[str, Any]) -> Iterator[int]:
    """Seeds that an episode's reset may have had, the likeliest first; no store holds them one by one.

    Args:
        episode: recorded by an actor, or by a recorder or collector, whose seeds count up.
        attributes: of its store.
    """
    known = attributes.get(SEED)
    if type(known) is int:
        yield from range(known, known + _IN_A_ROW)
    yield from range(_IN_A_ROW)
    for run in range(_RUNS):
        yield reset_seed(run, episode.episode)
    for step, end in _ROUND:
        for first in range(step, end, step):
            yield from range(first, first + _AFTER_ROUND)
