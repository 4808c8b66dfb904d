"""Pickles of SERL and HIL-SERL: a list of transitions, each a dictionary.

`masks` is the bootstrap flag: 0 where no value follows. `dones` ends an episode, by itself without saying why.
Where `infos` holds an `intervene_action`, a person acted and that action is the one that was executed.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.importers.restricted_pickle import load_items
from rlpd_robot.data.importers.source import Notes, SourceEpisode, SourceOptions, choose_keys, numbers, rows
from rlpd_robot.errors import ImportSourceError

_NEEDED = ("observations", "actions", "next_observations", "rewards", "masks", "dones")


class SerlImporter:
    """Implements `source.Importer`, holding one episode in memory."""

    format = "serl"

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.notes = Notes()
        self._path = path
        self._options = options
        self._keys: tuple[str, ...] | None = None

    def episodes(self) -> Iterator[SourceEpisode]:
        """As `source.Importer` says."""
        gathered: list[Mapping[str, Any]] = []
        count = 0
        for transition in load_items(self._path):
            self._check(count, transition)
            gathered.append(transition)
            count += 1
            if self._flag(count - 1, transition, "dones"):
                yield self._episode(count - len(gathered), gathered)
                gathered = []
        if gathered:
            yield self._episode(count - len(gathered), gathered)
        if not count:
            raise self._no_list()

    def _check(self, index: int, transition: Any) -> None:
        if index == 0 and not is_transition(transition):
            raise self._no_list()
        keys = transition.keys() if isinstance(transition, dict) else ()
        missing = [key for key in _NEEDED if key not in keys]
        if missing:
            raise ImportSourceError(self._path, f"transition {index} has no {missing[0]!r}", ", ".join(_NEEDED))

    def _no_list(self) -> ImportSourceError:
        return ImportSourceError(self._path, "it is no list of transitions", f"dictionaries with {', '.join(_NEEDED)}")

    def _flag(self, index: int, transition: Mapping[str, Any], key: str) -> bool:
        if type(transition[key]) in (bool, int, float):
            return bool(transition[key])
        value = numbers(self._path, f"transition {index}, {key}", transition[key])
        if value.size != 1:
            raise ImportSourceError(self._path, f"transition {index}, {key} has shape {value.shape}", "one number")
        return bool(value.reshape(()))

    def _episode(self, start: int, data: Sequence[Mapping[str, Any]]) -> SourceEpisode:
        name = f"transitions {start} to {start + len(data) - 1}"
        actions, intervened = [], []
        for t in data:
            infos = t.get("infos")
            by_person = isinstance(infos, dict) and "intervene_action" in infos
            intervened.append(by_person)
            actions.append(infos["intervene_action"] if isinstance(infos, dict) and by_person else t["actions"])
        self.notes.count("actions taken from infos/intervene_action, where a person acted", sum(intervened))
        last = len(data) - 1
        ended = self._flag(start + last, data[-1], "dones")
        bootstraps = self._flag(start + last, data[-1], "masks")
        return SourceEpisode(
            name=name,
            observations=self._observations(name, [t["observations"] for t in data]),
            next_observations=self._observations(name, [t["next_observations"] for t in data]),
            actions=rows(self._path, f"{name}, actions", actions),
            rewards=rows(self._path, f"{name}, rewards", [t["rewards"] for t in data])[:, 0],
            intervened=np.array(intervened),
            ending=("truncated" if bootstraps else "terminated") if ended else "unknown",
        )

    def _observations(self, name: str, data: Sequence[Any]) -> Any:
        if not isinstance(data[0], Mapping):
            return rows(self._path, f"{name}, observations", data)
        if self._keys is None:
            arrays = {str(k): numbers(self._path, f"{name}, observations/{k}", v) for k, v in data[0].items()}
            pictures = sorted(k for k, v in arrays.items() if v.dtype == np.uint8)
            self.notes.count(f"pictures not read: {', '.join(pictures)}", len(pictures))
            sizes = {k: v.size for k, v in arrays.items() if v.dtype != np.uint8}
            self._keys = choose_keys(self._path, self._options.observations, sizes)
        parts = []
        for key in self._keys:
            if not all(isinstance(o, Mapping) and key in o for o in data):
                raise ImportSourceError(self._path, f"{name}: a transition has no observations/{key}", "it in all")
            parts.append(rows(self._path, f"{name}, observations/{key}", [o[key] for o in data]))
        return np.concatenate(parts, axis=1)


def is_transition(data: Any) -> bool:
    """Whether an item of an unpickled list looks like SERL's."""
    return isinstance(data, Mapping) and "next_observations" in data
