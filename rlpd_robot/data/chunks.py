"""Rows whose action is a chunk of several, or whose reward is that of several steps: for Q-chunking and n-step targets.

Source: Li, Zhou and Levine 2025, "Reinforcement learning with action chunking", arXiv:2507.07969, section 4: critics of
action sequences back up over the whole sequence, and since all of its actions count as the critic's input, that is
unbiased, where n steps of a single action are off-policy. Works on columns alone, before they reach a ring.
"""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import Batch


class Chunker:
    """Takes the transitions of an episode as they come, and gives the rows that are complete.

    Where chunk and steps are 1, rows are what came, untouched.

    Args:
        chunk: h, actions of a row.
        steps: n, transitions over which a row's reward is summed, at least h.
        discount: γ.
        offset: what will be added to each row's reward before it is scaled [reward]; here it has to count n times.
    """

    def __init__(self, chunk: int, steps: int, discount: float, offset: float) -> None:
        self._chunk, self._steps, self._discount, self._offset = chunk, max(chunk, steps), discount, offset
        self._kept: Batch | None = None

    def begin(self) -> None:
        """An episode begins: of the one before, nothing is left."""
        self._kept = None

    def take(self, rows: Batch, ended: bool) -> Batch | None:
        """Take the next transitions [N], NumPy; rows that begin at these or at earlier ones, None where there are none.

        Args:
            ended: whether the episode ends with the last.
        """
        if self._steps == 1:
            return rows
        if self._kept is not None:
            rows = Batch(*(np.concatenate(parts) for parts in zip(self._kept, rows, strict=True)))
        starts = self._starts(rows, ended)
        self._kept = None if ended else Batch(*(column[len(starts) :] for column in rows))
        return self._rows(rows, starts) if len(starts) else None

    def whole(self, episode: Batch) -> Batch | None:
        """The rows of one whole episode [N]."""
        self.begin()
        return self.take(episode, ended=True)

    def _starts(self, rows: Batch, ended: bool) -> NDArray[np.int64]:
        """Of the rows: those with n transitions after them; at an end also shorter ones, where nothing is missing.

        At a true terminal nothing is. Where an episode was cut, a chunk that it cut was never played to its end, so its
        value is unknown; but after a whole one, fewer than n transitions bootstrap as well.
        """
        n = len(rows.reward)
        terminal = ended and n > 0 and rows.bootstrap[-1] == 0
        shortest = 1 if terminal else self._chunk if ended else self._steps
        return np.arange(max(0, n - shortest + 1))

    def _rows(self, rows: Batch, starts: NDArray[np.int64]) -> Batch:
        n = len(rows.reward)
        last = np.minimum(starts + self._steps, n) - 1  # of each row's transitions
        reward = np.zeros(len(starts), np.float64)
        for i in range(self._steps):
            there = starts + i <= last
            step = rows.reward[np.minimum(starts + i, n - 1)].astype(np.float64) + self._offset
            reward += np.where(there, self._discount**i * step, 0.0)
        actions = [rows.action[np.minimum(starts + i, n - 1)] for i in range(self._chunk)]
        return Batch(
            observation=rows.observation[starts],
            action=np.concatenate(actions, axis=1),
            reward=(reward - self._offset).astype(np.float32),
            next_observation=rows.next_observation[last],
            # Whoever bootstraps multiplies by γ once more.
            bootstrap=(self._discount ** (last - starts) * rows.bootstrap[last]).astype(np.float32),
            is_demo=rows.is_demo[starts],
        )
