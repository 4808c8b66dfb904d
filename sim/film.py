"""What a camera saw, as numbers: enough to draw every frame later, elsewhere, or not at all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.hand import Snapshot


@dataclass(frozen=True)
class Film:
    """Frames of one or more episodes of one task, one a control period.

    Attributes:
        task: its name.
        period_s: time between frames [s].
        qpos: (N, Q) joint positions.
        placement: (N, P) placed objects, flattened.
        solved: (N,) whether the task is solved.
        episode: (N,) counts up.
    """

    task: str
    period_s: float
    qpos: NDArray[np.float64]
    placement: NDArray[np.float64]
    solved: NDArray[np.bool_]
    episode: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.qpos)

    def save(self, path: Path) -> None:
        """Write an .npz."""
        np.savez(path, allow_pickle=False, **vars(self))

    @staticmethod
    def load(path: Path) -> "Film":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return Film(
                task=str(data["task"]),
                period_s=float(data["period_s"]),
                **{name: data[name] for name in ("qpos", "placement", "solved", "episode")},
            )


class Reel:
    """Collects snapshots into a `Film`."""

    def __init__(self, task: str, period_s: float) -> None:
        self._task, self._period_s = task, period_s
        self._shots: list[tuple[Snapshot, bool, int]] = []
        self._episode = -1

    def begin_episode(self) -> None:
        """What follows belongs to another episode."""
        self._episode += 1

    def shoot(self, snapshot: Snapshot, solved: bool) -> None:
        """Add one frame."""
        self._shots.append((snapshot, solved, self._episode))

    def __len__(self) -> int:
        return len(self._shots)

    def film(self) -> Film:
        """All frames so far."""
        return Film(
            task=self._task,
            period_s=self._period_s,
            qpos=np.stack([shot.qpos for shot, _, _ in self._shots]),
            placement=np.stack([np.concatenate(shot.placement) for shot, _, _ in self._shots]),
            solved=np.array([solved for _, solved, _ in self._shots], np.bool_),
            episode=np.array([episode for _, _, episode in self._shots], np.int64),
        )
