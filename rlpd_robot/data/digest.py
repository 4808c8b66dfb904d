"""A digest of transitions that does not depend on their order: two books of the same rows have the same one."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.types import Batch

_OFFSET, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)


def row_hashes(rows: Batch) -> NDArray[np.uint64]:
    """(N,) a 64-bit hash of each transition of `rows` [N]; `is_demo` is left out.

    The words of a row are the bits of its float32 values in the order observation, action, reward, next_observation,
    bootstrap. h starts at 14695981039346656037; for each word w, h ← (h XOR w) · 1099511628211 (FNV-1a by words); then
    h ← h XOR (h >> 30), · 0xBF58476D1CE4E5B9, XOR >> 27, · 0x94D049BB133111EB, XOR >> 31 (SplitMix64's finish,
    Steele et al. 2014); all modulo 2^64.
    """
    n = len(rows.reward)
    columns = (rows.observation, rows.action, rows.reward, rows.next_observation, rows.bootstrap)
    values = np.concatenate([c if c.ndim == 2 else c[:, None] for c in columns], axis=1, dtype=np.float32)
    words = np.ascontiguousarray(values.T).view(np.uint32)
    h = np.full(n, _OFFSET)
    for word in words:
        h = (h ^ word) * _PRIME
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ (h >> np.uint64(shift))) * np.uint64(factor)
    mixed: NDArray[np.uint64] = h ^ (h >> np.uint64(31))
    return mixed


def rows_digest(rows: Batch) -> int:
    """The sum of `row_hashes` modulo 2^64; those of parts add up to that of the whole. 0 for no rows."""
    return int(row_hashes(rows).sum(dtype=np.uint64))
