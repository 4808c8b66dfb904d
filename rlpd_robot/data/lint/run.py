"""Running every check over a store, one episode in memory at a time."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.ahead import ahead
from rlpd_robot.data.dimensions import action_names, observation_names
from rlpd_robot.data.edits import hidden_episodes
from rlpd_robot.data.layout import LOCKSTEP
from rlpd_robot.data.lint.checks import CHECKS, OF_TIME, SATURATED, Check
from rlpd_robot.data.lint.finding import MAX_PLACES, Finding, Place, Severity
from rlpd_robot.data.lint.table import Table
from rlpd_robot.data.lint.view import EpisodeView
from rlpd_robot.data.lint.whole import WHOLE, rate
from rlpd_robot.data.opening import open_store
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.data.rows import read_blocks, read_meta
from rlpd_robot.spec import ProblemSpec

_ORDER = {severity: i for i, severity in enumerate(Severity)}


def lint_store(path: Path | str, on_progress: OnProgress = no_progress, most_steps: int | None = None) -> list[Finding]:
    """Everything that the checks find in the episodes that are not hidden, the worst first.

    Args:
        path: of the store.
        on_progress: told of episodes.
        most_steps: of a larger store, every second, third … episode is looked at, so that about so many steps are.

    Raises:
        StoreError: the store cannot be read.
    """
    opened = open_store(Path(path))
    meta = read_meta(opened)
    hidden = hidden_episodes(opened)
    visible = [i for i in range(opened.episodes) if i not in hidden]
    stride = max(1, -(-opened.rows // most_steps)) if most_steps else 1
    chosen = set(visible[::stride])

    def views() -> Iterator[EpisodeView]:
        for block in ahead(read_blocks(opened, 0, opened.episodes)):
            for index, rows in block.episodes():
                if index in chosen:
                    yield EpisodeView.of(index, opened.problem, rows, meta)
                on_progress(index + 1, opened.episodes)

    return lint(opened.problem, views(), opened.attributes)


def lint(
    problem: ProblemSpec, episodes: Iterable[EpisodeView], attributes: Mapping[str, Any] | None = None
) -> list[Finding]:
    """The same, of episodes at hand and what their store says of itself.

    Of one that was recorded in lock-step, the wall clock says nothing.
    """
    about = attributes or {}
    timeless = about.get(LOCKSTEP) is True
    table = Table(problem, _import_notes(about))
    tallies = [_Tally(check, problem) for check in CHECKS if not (timeless and check.name in OF_TIME)]
    for e in episodes:
        table.add(e)
        for tally in tallies:
            tally.add(e)
    found = [finding for tally in tallies for finding in tally.findings(table)]
    found += [finding for look in WHOLE if not (timeless and look is rate) for finding in look(table)]
    unmoved = {f.dimension for f in found if f.check == "constant-action"}
    found = [f for f in found if not (f.check == SATURATED and f.dimension in unmoved)]
    return sorted(found, key=lambda f: (_ORDER[f.severity], f.check, -f.count))


def _import_notes(attributes: Mapping[str, Any]) -> dict[str, int]:
    imported = attributes.get("import")
    notes = imported.get("notes") if isinstance(imported, Mapping) else None
    return {str(k): v for k, v in notes.items() if isinstance(v, int)} if isinstance(notes, Mapping) else {}


class _Tally:
    """Counts of one check by dimension, and the places where it found most."""

    def __init__(self, check: Check, problem: ProblemSpec) -> None:
        self._check = check
        names: dict[str, list[str]] = {
            "action": action_names(problem), "observation": observation_names(problem), "": [""],
        }  # fmt: skip
        self._names = names[check.of]
        self._most_places = sys.maxsize if check.repair else MAX_PLACES
        self._counts = np.zeros(len(self._names), np.int64)
        self._episodes = np.zeros(len(self._names), np.int64)
        self._places: list[list[Place]] = [[] for _ in self._names]

    def add(self, e: EpisodeView) -> None:
        mask: NDArray[Any] = self._check.look(e)
        if not mask.any():
            return
        mask = mask.reshape(len(mask), -1)
        counts = mask.sum(axis=0)
        self._counts += counts
        self._episodes += counts > 0
        for d in np.flatnonzero(counts):
            steps = np.flatnonzero(mask[:, d])
            places = self._places[d]
            places.append(Place(e.index, int(steps[0]), int(steps[-1]), int(counts[d])))
            if len(places) > 2 * self._most_places:
                self._places[d] = self._most(places)

    def findings(self, table: Table) -> Iterator[Finding]:
        for name, count, episodes, places in zip(
            self._names, self._counts.tolist(), self._episodes.tolist(), self._places, strict=True
        ):
            if not count or count < self._check.share * table.steps:
                continue
            what = self._check.what.format(
                where=name if name.startswith("observation") else f"{self._check.of} {name}",
                count=count, steps=table.steps, episodes=episodes, share=100 * count / table.steps,
            )  # fmt: skip
            yield Finding(
                check=self._check.name,
                severity=self._check.severity,
                dimension=name or None,
                what=what,
                places=tuple(self._most(places)),
                count=count,
                why=self._check.why,
                fix=self._check.fix,
                fixable=bool(self._check.repair),
            )

    def _most(self, places: list[Place]) -> list[Place]:
        return sorted(places, key=lambda p: (-p.count, p.episode))[: self._most_places]
