"""Symmetric sampling: every minibatch is part demonstrations, part live data (RLPD, arXiv:2302.02948, Alg. 1)."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.replay import ReplayRing
from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.types import Batch


class SymmetricSampler:
    """Draws [U, B] blocks, uniformly with replacement, each minibatch with the same share of demonstrations.

    The first round(B · demo_ratio) rows of a minibatch are demonstrations, the others live.

    Args:
        demos: prior data [N], or none.
        ring: live data.
        batch_size: B.
        demo_ratio: share of demonstrations, 0 to 1; the paper's is 0.5.
        seed: of the draws.

    Attributes:
        demo_rows, live_rows: of one minibatch.

    Raises:
        ConfigError: a batch size below 1, a ratio outside [0, 1], or demonstrations asked for and none given.
    """

    def __init__(self, demos: Batch | None, ring: ReplayRing, batch_size: int, demo_ratio: float, seed: int) -> None:
        if batch_size < 1:
            raise ConfigError("batch_size", batch_size, "at least 1")
        if not 0 <= demo_ratio <= 1:
            raise ConfigError("demo_ratio", demo_ratio, "between 0 and 1")
        self.demo_rows = round(batch_size * demo_ratio)
        self.live_rows = batch_size - self.demo_rows
        self._demo_count = 0 if demos is None else len(demos.reward)
        if self.demo_rows and not self._demo_count:
            raise ConfigError("demo_ratio", demo_ratio, "0 where there are no demonstrations")
        self._demos, self._ring = demos, ring
        self._rng = np.random.default_rng(seed)

    def indices(self, updates: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the demonstrations (U, demo_rows) and slots of the ring (U, live_rows) for the next U minibatches.

        Raises:
            DataError: live rows are needed and the ring is empty.
        """
        if self.live_rows and not len(self._ring):
            raise DataError("Replay ring", "it is empty", f"live transitions before {self.live_rows} are sampled")
        demo = self._rng.integers(0, max(1, self._demo_count), (updates, self.demo_rows))
        live = self._rng.integers(0, max(1, len(self._ring)), (updates, self.live_rows))
        return demo, live

    def sample(self, updates: int) -> Batch:
        """The next U minibatches, [U, B, …] float32 and contiguous.

        Raises:
            DataError: as `indices`.
        """
        demo, live = self.indices(updates)
        shape = (updates, self.demo_rows + self.live_rows)
        batch = Batch(*(np.empty((*shape, *column.shape[1:]), np.float32) for column in self._ring.rows))
        for out, column in zip(batch, self._ring.rows, strict=True):
            out[:, self.demo_rows :] = column[live]
        if self._demos is not None:
            for out, column in zip(batch, self._demos, strict=True):
                out[:, : self.demo_rows] = column[demo]
        return batch

    def state(self) -> dict[str, str]:
        """Where the draws stand, for a checkpoint. The data itself lies in the stores."""
        return {"rng": json.dumps(self._rng.bit_generator.state)}  # as text: its integers have 128 bits

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with the draws of the sampler whose `state` this is.

        Raises:
            DataError: it is no such state; the draws stand where they stood.
        """
        try:
            self._rng.bit_generator.state = json.loads(state["rng"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("Sampler state", f"{type(error).__name__}: {error}", "the output of state()") from error
