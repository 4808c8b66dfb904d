"""The runs below one folder, each followed once somebody has looked at it."""

import json
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rlpd_robot.run.dashboard.charts import compared, drawn
from rlpd_robot.run.dashboard.disk import DiskWatch
from rlpd_robot.run.dashboard.run_watch import RunWatch
from rlpd_robot.run.dashboard.store_shares import StoreWatch
from rlpd_robot.run.dashboard.tiles import tiles_of
from rlpd_robot.run.health import tail
from rlpd_robot.run.live_state import number, one_line
from rlpd_robot.run.metrics import EVENTS, METRICS
from rlpd_robot.run.newest_run import changed_unix_s
from rlpd_robot.run.report import REPORT
from rlpd_robot.run.run_record import section
from rlpd_robot.run.statistics import wilson_interval
from rlpd_robot.run.status import written
from rlpd_robot.timing import SystemClock

VIEW, FILM = "view", "film"
"""Names under which the page asks for a run's newest picture and for its film."""

_FOLLOWED = 8  # runs at a time
_FRESH_S = 0.5  # several browsers share what was read within this time
_LARGEST = 1 << 20  # bytes of a JSON file
_LINE_END = 1 << 16  # bytes of metrics.jsonl in which the newest row of a run is looked for
_LISTED = ("env_steps", "wall_s", "utd_realised", "success_recent", "return_recent")
_PICTURE_S = 60.0  # an older picture is of something that has ended


class RunView:
    """One run, followed from its files alone; any process of it may come and go."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._watch = RunWatch(directory, SystemClock())
        self._disk, self._store = DiskWatch(directory, time.monotonic), StoreWatch(directory, time.monotonic)
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}
        self._made_s = -1.0

    def snapshot(self) -> dict[str, Any]:
        """Everything that the page shows of it."""
        with self._lock:
            if time.monotonic() - self._made_s > _FRESH_S:
                self._watch.catch_up()
                self._made = self._snapshot()
                self._made_s = time.monotonic()
            return self._made

    def curves(self) -> dict[str, Any]:
        """What another run is compared by."""
        with self._lock:
            self._watch.catch_up()
            return compared(self._watch)

    def _snapshot(self) -> dict[str, Any]:
        watch, status = self._watch, written(self._directory)
        disk = self._disk.look(max(0.0, watch.get("wall_s", 0.0)))
        return {
            "run": self._directory.name,
            "unix_s": time.time(),
            "told_s_ago": status["row_age_s"],
            "phase": "finished" if status["finished"] else watch.phase,
            "share_done": watch.share_done,
            "rates": status["rates"],
            "fault": self._fault(),
            "tiles": tiles_of(watch, evaluation_of(self._directory), self._store.look(), disk),
            "charts": drawn(watch),
            "processes": [_process(name, values) for name, values in status["processes"].items()],
            "events": [_event(event, times) for event, times in reversed(watch.told.values())],
            "files": {name: True for name in (VIEW, FILM, REPORT) if file_of(self._directory, name) is not None},
        }

    def _fault(self) -> str | None:
        """The cause of a latched fault, as far as the learner has been told of it."""
        if self._watch.get("actor/armed") != 0:
            return None
        told = [str(event.get("text")) for event in self._watch.events]
        words = "The robot is stopped: look at it, then arm it"
        return next((one_line(text) for text in reversed(told) if "Robot stopped" in text), words)


class Runs:
    """All runs below `root`.

    Args:
        root: folder of the runs; it may not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._views: OrderedDict[tuple[str, int], RunView] = OrderedDict()
        self._lock = threading.Lock()

    def directory(self, name: str) -> Path | None:
        """Of the run of this name; None where there is none. A name is compared, never joined to a path."""
        return next((path for path in self._directories() if path.name == name), None)

    def view(self, name: str) -> RunView | None:
        """The run of this name as it is followed; another directory that took its place is another run."""
        directory = self.directory(name)
        if directory is None:
            return None
        key = (name, directory.stat().st_ino)
        with self._lock:
            if key not in self._views:
                self._views[key] = RunView(directory)
                while len(self._views) > _FOLLOWED:
                    self._views.popitem(last=False)
            self._views.move_to_end(key)
            return self._views[key]

    def listed(self) -> list[dict[str, Any]]:
        """A line for each run, the one last at work first."""
        lines = [_listed(path) for path in self._directories()]
        return sorted(lines, key=lambda line: -float(line["changed_unix_s"]))

    def _directories(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".") and _work(path)]


def evaluation_of(directory: Path) -> dict[str, int]:
    """Of the final evaluation: `good` of `episodes`; empty where there was none."""
    episodes = _json(directory / "eval.json").get("episodes")
    if not isinstance(episodes, list) or not episodes:
        return {}
    good = sum(isinstance(episode, dict) and bool(episode.get("success")) for episode in episodes)
    return {"good": good, "episodes": len(episodes)}


def file_of(directory: Path, name: str) -> Path | None:
    """A file of a run that the page may show: its newest picture, its film, its report; None where there is none."""
    if name == VIEW:
        path = directory / "view" / "view.jpg"
        if time.time() - changed_unix_s(path) > _PICTURE_S:
            return None
    elif name == FILM:
        told = _json(directory / "summary.json").get("video")
        if not isinstance(told, str) or PurePosixPath(told).suffix != ".mp4":
            return None
        path = directory / told
    elif name == REPORT:
        path = directory / REPORT
    else:
        return None
    inside = path.is_file() and path.resolve().is_relative_to(directory.resolve())
    return path if inside else None


def _work(directory: Path) -> float:
    """When a run was last at work [unix s]; 0: the directory is none of a run."""
    names = (METRICS, EVENTS, "config.yaml", "alive")
    return max(changed_unix_s(directory / name) for name in names)


def _listed(directory: Path) -> dict[str, Any]:
    rows = tail(directory / METRICS, _LINE_END)
    row, summary = (rows[-1] if rows else {}), _json(directory / "summary.json")
    evaluation = evaluation_of(directory)
    figures = {key: number(row, key) for key in _LISTED}
    figures["eval_return"] = number(section(summary, "eval"), "normalized_return")
    line: dict[str, Any] = {"run": directory.name, "changed_unix_s": _work(directory), "phase": row.get("phase")}
    line |= {key: value if math.isfinite(value) else None for key, value in figures.items()}
    line["report"] = file_of(directory, REPORT) is not None
    if evaluation:
        line["evaluation"] = [evaluation["good"], evaluation["episodes"]]
        line["interval"] = list(wilson_interval(evaluation["good"], evaluation["episodes"]))
    return line


def _process(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("well", "sentence", "host", "version", "started_unix_s", "ended", "restarts")
    return {"name": name} | {key: values.get(key) for key in kept}


def _event(event: Mapping[str, Any], times: int) -> dict[str, Any]:
    kept = {key: one_line(event.get(key, "")) for key in ("severity", "source", "text")}
    return kept | {"times": times, "unix_s": number(dict(event), "unix_s", 0.0)}


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or half of one."""
    try:
        if os.path.getsize(path) > _LARGEST:
            return {}
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
