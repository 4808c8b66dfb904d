"""How far a replayed episode leaves the recorded one, by state field and over time.

A store holds observations. Which element of the state each of their numbers is, is found by observing a state that was
changed a little everywhere; numbers that are no element as it is, such as differences, are called derived.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.task import Task
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

DERIVED = "derived"
QUARTERS = 4

_JITTER = (1e-3, 2e-3)  # a state near a real one: any task can observe it


@dataclass(frozen=True)
class Observed:
    """What one number of an observation is.

    Attributes:
        field: of the state; `DERIVED` where it is no element of it.
        label: of the element.
        unit: "" where it is derived.
    """

    field: str
    label: str
    unit: str

    def __str__(self) -> str:
        return f"{self.field}[{self.label}]" if self.label else self.field


@dataclass(frozen=True)
class FieldDivergence:
    """Replayed minus recorded, over the numbers of one field.

    Attributes:
        field, unit: see `Observed`.
        elements: how many of its numbers are observed.
        rms: over elements and steps, in `unit`.
        largest: magnitude of the largest one, at element `worst` after step `step`, counted from 0.
        quarters: RMS over each quarter of the replayed steps.
        by_step: RMS over the elements, (K,).
    """

    field: str
    unit: str
    elements: int
    rms: float
    largest: float
    worst: str
    step: int
    quarters: tuple[float, ...]
    by_step: tuple[float, ...]


def what_is_observed(task: Task, state: RobotState, spec: RobotSpec) -> list[Observed]:
    """(O,) what each number of the task's observation is.

    Args:
        task: pure functions of a state.
        state: a real one.
        spec: of the robot.
    """
    rng = np.random.default_rng(0)
    values = dict(state.values)
    elements: dict[float, Observed] = {}
    for field in spec.state:
        if np.dtype(field.dtype).kind == "f":
            values[field.name] = (state.values[field.name] + rng.uniform(*_JITTER, field.shape)).astype(field.dtype)
            for value, what in zip(values[field.name].ravel().astype(np.float32), _elements(field), strict=True):
                elements.setdefault(float(value), what)
    observation = task.observe(replace(state, values=values))
    return [elements.get(float(v), Observed(DERIVED, str(i), "")) for i, v in enumerate(observation)]


def _elements(field: Field) -> Iterator[Observed]:
    for i in range(field.size):
        yield Observed(field.name, (field.labels[i] if field.labels else str(i)) if field.shape else "", field.unit)


def farthest(recorded: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[float, int]:
    """The largest difference of two observations (O,), and of which number."""
    apart = np.abs(now.astype(np.float64) - recorded)
    return float(apart.max()), int(apart.argmax())


def divergence(
    recorded: NDArray[np.float32],
    replayed: NDArray[np.float32],
    steps: NDArray[np.int64],
    observed: Sequence[Observed],
) -> list[FieldDivergence]:
    """One entry a field, in the order of the observation; derived numbers come last, as one. Empty without a step.

    Args:
        recorded: (N+1, O).
        replayed: (K, O) after each step.
        steps: (K,) of which command of the recording each was the outcome, from 0.
        observed: (O,).
    """
    if not len(steps):
        return []
    apart = replayed.astype(np.float64) - recorded[steps + 1]
    order = sorted(range(len(observed)), key=lambda i: (observed[i].field == DERIVED, _first(observed, i)))
    return [
        _of_field([observed[i] for i in columns], apart[:, columns], steps)
        for columns in (list(group) for _, group in groupby(order, key=lambda i: observed[i].field))
    ]


def _first(observed: Sequence[Observed], index: int) -> int:
    return next(i for i, other in enumerate(observed) if other.field == observed[index].field)


def _of_field(observed: Sequence[Observed], apart: NDArray[np.float64], steps: NDArray[np.int64]) -> FieldDivergence:
    row, column = divmod(int(np.abs(apart).argmax()), len(observed))
    squares = (apart**2).mean(axis=1)
    parts = [part for part in np.array_split(squares, QUARTERS) if len(part)]
    return FieldDivergence(
        field=observed[0].field,
        unit=observed[0].unit,
        elements=len(observed),
        rms=float(np.sqrt(squares.mean())),
        largest=float(np.abs(apart[row, column])),
        worst=observed[column].label,
        step=int(steps[row]),
        quarters=tuple(float(np.sqrt(part.mean())) for part in parts),
        by_step=tuple(np.sqrt(squares).tolist()),
    )
