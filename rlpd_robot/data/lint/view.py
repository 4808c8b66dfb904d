"""One episode as a store has it, not checked: what the checks look at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.rows import Rows, boot_of, cause_of
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import ENDINGS


@dataclass(frozen=True, eq=False)
class EpisodeView:
    """N transitions, N+1 observations; names and units as in `types.Segment`, whose promises need not hold here.

    Attributes:
        index: number in the store.
        problem: robot and task.
    """

    index: int
    problem: ProblemSpec
    boot: str
    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    proposed_actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    success: NDArray[np.bool_]
    intervened: NDArray[np.bool_]
    safety: NDArray[np.uint16]
    stamps_s: NDArray[np.float64]
    ending: str
    cause: str

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def period_s(self) -> float:
        """The robot's control period [s]."""
        return self.problem.robot.period_s

    @staticmethod
    def of(index: int, problem: ProblemSpec, rows: Rows, meta: Rows) -> "EpisodeView":
        """From the N+1 rows of one episode, and the meta rows of all."""
        code = int(meta["meta/ending"][index])
        columns: dict[str, NDArray[Any]] = {
            name: rows[f"data/{name}"][:-1]
            for name in ("actions", "proposed_actions", "rewards", "success", "intervened", "safety", "stamps_s")
        }
        return EpisodeView(
            index=index,
            problem=problem,
            boot=boot_of(meta, index),
            observations=rows["data/observations"],
            ending=ENDINGS[code] if code < len(ENDINGS) else "",
            cause=cause_of(meta, index),
            **columns,
        )
