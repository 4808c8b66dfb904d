"""Rows whose every number tells their boot and sequence."""

import numpy as np

from rlpd_robot.run.consumed import Rows
from rlpd_robot.types import Batch


def rows(boot: str, first: int, n: int) -> Rows:
    """N rows of `boot` from sequence `first`; reward = 1000 · letter + sequence."""
    numbers = np.arange(first, first + n, dtype=np.float32) + 1000 * (ord(boot) - ord("a"))
    flat = np.ones(n, np.float32)
    return Rows(boot, first, Batch(numbers[:, None], numbers[:, None], numbers, numbers[:, None], flat, 0 * flat))


def names(parts: list[Rows]) -> list[tuple[str, int]]:
    """(boot, sequence) of each row, by its content; a row under another's name fails here."""
    found = [(part.boot, part.first + i) for part in parts for i in range(len(part))]
    told = [(chr(int(r) // 1000 + ord("a")), int(r) % 1000) for part in parts for r in part.batch.reward]
    assert found == told
    return found
