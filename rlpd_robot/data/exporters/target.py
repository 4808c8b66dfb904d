"""What an exporter is, and what no format but our own holds."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.importers.source import Notes
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment


class Exporter(Protocol):
    """Writes one file or folder of another format. Made with a path where nothing is, and what the store is of.

    Attributes:
        format: its name, as in `formats.FORMATS`.
        notes: what was lost or invented, counted by sentence.
    """

    format: str
    notes: Notes

    def __init__(self, path: Path, problem: ProblemSpec) -> None: ...

    def append(self, episode: Segment) -> None:
        """Write one whole episode.

        Raises:
            OSError: the disk refused.
        """

    def finish(self) -> None:
        """Complete what has been written. Raises as `append` does."""

    def close(self) -> None:
        """Let go of files, finished or not."""


def count_lost(notes: Notes, episode: Segment) -> None:
    """What every format loses of an episode."""
    proposed = int((episode.proposed_actions != episode.actions).any(axis=1).sum())
    notes.count("transitions whose proposed action differs from the executed one: only that is written", proposed)
    notes.count("transitions that the safety filter changed, of which nothing is written", int(episode.filtered.sum()))
    notes.count("transitions whose policy version is not written", int((episode.policy_versions >= 0).sum()))
    more = bool((episode.stamps_s != episode.stamps_s[:, :1]).any())
    notes.count("episodes of whose four time stamps only that of the observation is written", more)
    notes.count("episodes whose cause of ending is not written", bool(episode.cause))


def ends(episode: Segment) -> dict[str, NDArray[np.bool_]]:
    """(N,) "terminated" and "truncated", True in the last transition at most."""
    last = np.arange(len(episode)) == len(episode) - 1
    return {name: last & (episode.ending == name) for name in ("terminated", "truncated")}
