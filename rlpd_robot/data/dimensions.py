"""Names and ranges of each number of an observation and an action, over a whole store."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.spec import ProblemSpec


def action_names(problem: ProblemSpec) -> list[str]:
    """(A,) after the command's fields and their labels, such as "joint_target[WRJ1]"."""
    names = [
        field.name if not field.shape else f"{field.name}[{field.labels[i] if field.labels else i}]"
        for field in problem.robot.command
        for i in range(field.size)
    ]
    return names if len(names) == problem.action_size else [f"action[{i}]" for i in range(problem.action_size)]


def observation_names(problem: ProblemSpec) -> list[str]:
    """(O,) by number alone: what a task makes of a state has no names."""
    return [f"observation[{i}]" for i in range(problem.observation_size)]


def state_range(problem: ProblemSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(O,) low and high of each observation if it is the robot's state, field by field; unbounded where it is not."""
    size = problem.observation_size
    low, high = np.full(size, -np.inf), np.full(size, np.inf)
    if sum(f.size for f in problem.robot.state) == size:
        start = 0
        for f in problem.robot.state:
            if f.low:
                low[start : start + f.size], high[start : start + f.size] = f.low, f.high
            start += f.size
    return low, high


@dataclass(frozen=True)
class Range:
    """Of one dimension: extremes, mean and standard deviation."""

    name: str
    low: float
    high: float
    mean: float
    std: float


class Ranges:
    """Extremes and moments of D numbers, gathered block by block (Chan et al. 1979).

    Args:
        names: of the dimensions, (D,).
    """

    def __init__(self, names: list[str]) -> None:
        d = len(names)
        self._names, self._count = names, 0
        self._low, self._high = np.full(d, np.inf), np.full(d, -np.inf)
        self._mean, self._squares = np.zeros(d), np.zeros(d)

    def add(self, values: NDArray[np.floating]) -> None:
        """Take in (N, D) more."""
        n = len(values)
        if not n:
            return
        values = values.astype(np.float64)
        mean = values.mean(axis=0)
        apart, total = mean - self._mean, self._count + n
        self._squares += ((values - mean) ** 2).sum(axis=0) + apart**2 * self._count * n / total
        self._mean += apart * n / total
        self._count = total
        np.minimum(self._low, values.min(axis=0), out=self._low)
        np.maximum(self._high, values.max(axis=0), out=self._high)

    def __iter__(self) -> Iterator[Range]:
        """One for each dimension; nothing before there is a value."""
        if self._count:
            std = np.sqrt(self._squares / self._count)
            columns = (c.tolist() for c in (self._low, self._high, self._mean, std))
            yield from (Range(*row) for row in zip(self._names, *columns, strict=True))
