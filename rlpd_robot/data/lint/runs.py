"""Stretches of steps in which something holds."""

import numpy as np
from numpy.typing import NDArray


def runs_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(R, 2) first step of each stretch of True in (N,), and the step after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def within_long_runs(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """(N,) or (N, D), column by column: True where a stretch of True is at least that long."""
    if mask.ndim == 2:
        columns = [within_long_runs(column, least) for column in mask.T]
        return np.stack(columns, axis=1) if columns else mask.copy()
    kept = np.zeros_like(mask)
    for start, stop in runs_of(mask):
        kept[start:stop] = stop - start >= least
    return kept
