"""Pickles of DAPG (Rajeswaran et al. 2018): a list of episodes, each a dictionary of arrays.

T observations for T actions: the final one was not recorded. Nothing says how an episode ended.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.data.importers.restricted_pickle import load_items
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, column, numbers, rows
from rlpd_robot.errors import ImportSourceError


class DapgImporter:
    """Implements `source.Importer`. Holds one episode in memory."""

    format = "dapg"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        count = 0
        for data in load_items(self._path):
            if count == 0 and not is_episode(data):
                raise self._no_list()
            yield self._episode(f"episode {count}", data)
            count += 1
        if not count:
            raise self._no_list()

    def _no_list(self) -> ImportSourceError:
        words = "dictionaries with 'observations', 'actions' and 'rewards'"
        return ImportSourceError(self._path, "it is no list of episodes", words)

    def _episode(self, name: str, data: Any) -> SourceEpisode:
        if not (isinstance(data, Mapping) and {"observations", "actions"} <= set(data)):
            raise ImportSourceError(self._path, f"{name} has no observations or no actions", "a dictionary with both")
        numbers(self._path, f"{name}, actions", data["actions"], 2)
        return SourceEpisode(
            name=name,
            observations=rows(self._path, f"{name}, observations", data["observations"]),
            actions=rows(self._path, f"{name}, actions", data["actions"]),
            rewards=column(self._path, f"{name}, rewards", data["rewards"]) if "rewards" in data else None,
            ending="terminated" if data.get("terminated") is True else "unknown",
        )


def is_episode(data: Any) -> bool:
    """Whether an item of an unpickled list looks like DAPG's: a dictionary of sequences without `masks`."""
    return isinstance(data, Mapping) and {"observations", "actions"} <= set(data) and "next_observations" not in data
