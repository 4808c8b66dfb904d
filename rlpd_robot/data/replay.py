"""Live transitions in memory: a ring that forgets the oldest."""

import numpy as np

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.types import Batch


class ReplayRing:
    """The last `capacity` transitions, all memory taken at once. Not thread-safe.

    The k-th transition ever added lies in slot k mod capacity, however the additions were cut up, so that a ring
    refilled from the run's store equals the one that was lost.

    Args:
        capacity: most transitions it holds.
        observation_size: O.
        action_size: A.

    Attributes:
        rows: columns with leading dimension [capacity]; the first `len(ring)` slots are filled.
        added: transitions ever added.

    Raises:
        ConfigError: a capacity below 1.
    """

    def __init__(self, capacity: int, observation_size: int, action_size: int) -> None:
        if capacity < 1:
            raise ConfigError("capacity", capacity, "at least 1 transition")
        o, a = (observation_size,), (action_size,)
        self.rows = Batch(*(np.zeros((capacity, *row), np.float32) for row in (o, a, (), o, (), ())))
        self.added = 0

    @property
    def capacity(self) -> int:
        """Slots."""
        return len(self.rows.reward)

    def __len__(self) -> int:
        """Filled slots."""
        return min(self.added, self.capacity)

    def add(self, batch: Batch) -> None:
        """Add transitions [N], the oldest first.

        Raises:
            DataError: a column of another shape or of values other than float32; nothing has been added.
        """
        self._check(batch)
        n = len(batch.reward)
        kept = min(n, self.capacity)
        slots = (self.added + n - kept + np.arange(kept)) % self.capacity
        for column, values in zip(self.rows, batch, strict=True):
            column[slots] = values[n - kept :]
        self.added += n

    def _check(self, batch: Batch) -> None:
        n = len(batch.reward)
        for name, column, values in zip(Batch._fields, self.rows, batch, strict=True):
            expected = (n, *column.shape[1:])
            if values.shape != expected or values.dtype != np.float32:
                raise DataError(
                    "Batch for the replay ring",
                    f"{name} has shape {values.shape} and dtype {values.dtype}",
                    f"{expected} float32",
                )
