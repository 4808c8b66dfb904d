"""Where a job was at its last evaluation, so that one that is cut goes on from there, bit for bit."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Batch

SAVEPOINT = "savepoint.npz"
"""In a job's directory, while the job is not done. Arrays alone, no pickle."""

_AGENT, _ROWS = "agent", "row/"
_COUNTERS = ("received", "critic_updates", "version", "episode", "due")


@dataclass(frozen=True)
class Savepoint:
    """Between two episodes.

    Attributes:
        version: of the policy.
        episode: number of the next.
        due: transitions from which the next evaluation is due.
    """

    version: int
    episode: int
    due: int

    def save(self, directory: Path, fingerprint: str, trainer: Trainer, rows: Sequence[Batch]) -> None:
        """Write it, whole or not at all, with the agent and every live transition so far, in their order."""
        arrays: dict[str, NDArray[Any]] = {
            f"{_AGENT}{name}": np.asarray(a) for name, a in trainer.export_state().items()
        }
        if rows:
            columns = (np.concatenate(parts) for parts in zip(*rows, strict=True))
            arrays |= {f"{_ROWS}{name}": column for name, column in zip(Batch._fields, columns, strict=True)}
        counters = (trainer.budget.received, trainer.budget.updates, self.version, self.episode, self.due)
        arrays["counters"] = np.array(counters, np.int64)
        arrays["fingerprint"] = np.frombuffer(fingerprint.encode(), np.uint8)
        partial = directory / f".{SAVEPOINT}.partial"
        try:
            with open(partial, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            os.replace(partial, directory / SAVEPOINT)
        finally:
            partial.unlink(missing_ok=True)

    @staticmethod
    def load(directory: Path, fingerprint: str, trainer: Trainer) -> "tuple[Savepoint, list[Batch]] | None":
        """Bring a fresh trainer to where it was, and return the live transitions.

        None where there is no savepoint, or it is damaged or of other settings: the job then begins anew.
        """
        try:
            with np.load(directory / SAVEPOINT, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, EOFError):
            return None
        if arrays.pop("fingerprint", np.zeros(0, np.uint8)).tobytes() != fingerprint.encode():
            return None
        counters = dict(zip(_COUNTERS, arrays.pop("counters").tolist(), strict=True))
        columns = [arrays.pop(f"{_ROWS}{name}", None) for name in Batch._fields]
        agent = {name.removeprefix(_AGENT): array for name, array in arrays.items()}
        trainer.restore(agent, counters["received"], counters["critic_updates"])
        rows = [] if columns[0] is None else [Batch(*columns)]
        for part in rows:
            trainer.refill(part)
        return Savepoint(counters["version"], counters["episode"], counters["due"]), rows
