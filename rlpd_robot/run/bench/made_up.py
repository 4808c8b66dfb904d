"""Transitions of no robot, to time what is done with each."""

from collections.abc import Iterator

import numpy as np

from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Transition


def made_up(problem: ProblemSpec, boot: str, count: int, sequence: int = 0, episode: int = 0) -> Iterator[Transition]:
    """`count` consecutive transitions of one episode that goes on.

    Args:
        problem: gives their sizes.
        boot: of whoever is supposed to have made them.
        sequence: of the first.
        episode: its number.
    """
    rng = np.random.default_rng(episode)
    observations = rng.standard_normal((count + 1, problem.observation_size)).astype(np.float32)
    actions = rng.uniform(-1, 1, (count, problem.action_size)).astype(np.float32)
    for i in range(count):
        yield Transition(
            boot=boot,
            sequence=sequence + i,
            episode=episode,
            step=i,
            observation=observations[i],
            action=actions[i],
            proposed_action=actions[i],
            reward=-1.0,
            next_observation=observations[i + 1],
            success=False,
            intervened=False,
            safety=0,
            policy_version=1,
            stamps_s=(0.0, 0.0, 0.0, 0.0),
            ending="",
            cause="",
        )
