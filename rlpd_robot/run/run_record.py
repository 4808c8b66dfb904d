"""A run's directory read back, whole or cut short, for its figures and its report."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.run.metrics import EPISODES, EVENTS, METRICS, read_jsonl

_LARGEST = 1 << 24  # bytes of a JSON or YAML file that is read


@dataclass(frozen=True)
class RunRecord:
    """Everything that a run wrote about itself. What it did not get to write is empty.

    Attributes:
        rows: of metrics.jsonl, env_steps never decreasing.
        episodes: of episodes.jsonl, env_steps never decreasing.
        events: of events.jsonl.
        evaluation: the episodes of eval.json, each {seed, success, normalized_return, steps}.
        summary: summary.json.
        config_text: config.yaml as it stands.
    """

    directory: Path
    rows: list[dict[str, Any]]
    episodes: list[dict[str, Any]]
    events: list[dict[str, Any]]
    evaluation: list[dict[str, Any]]
    summary: dict[str, Any]
    config_text: str

    @property
    def demo_return(self) -> float:
        """Mean normalised return of the demonstrations [%]; NaN when there were none."""
        of_summary = number(section(self.summary, "demos"), "normalized_return")
        if math.isfinite(of_summary):
            return of_summary
        known = [value for row in self.rows if math.isfinite(value := number(row, "demo_return"))]
        return known[-1] if known else math.nan

    def column(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(env_steps, values) of one metric, rows without it left out."""
        return _columns(self.rows, key)

    def episode_column(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(env_steps at the end, values) of one figure of the training episodes."""
        return _columns(self.episodes, key)


def load_run(run_dir: Path) -> RunRecord:
    """Read a run's directory.

    Raises:
        ConfigError: there is no such directory.
        DataError: summary.json or eval.json is no JSON object, or far too large.
    """
    if not run_dir.is_dir():
        raise ConfigError("run_dir", str(run_dir), "the directory of a run")
    evaluation = _json(run_dir / "eval.json").get("episodes", [])
    if not isinstance(evaluation, list) or not all(isinstance(episode, dict) for episode in evaluation):
        raise DataError(f"File {str(run_dir / 'eval.json')!r}", "'episodes' is no list of objects", "one per episode")
    return RunRecord(
        directory=run_dir,
        rows=_forward(read_jsonl(run_dir / METRICS)),
        episodes=_forward(read_jsonl(run_dir / EPISODES)),
        events=read_jsonl(run_dir / EVENTS),
        evaluation=evaluation,
        summary=_json(run_dir / "summary.json"),
        config_text=_text(run_dir / "config.yaml"),
    )


def number(values: dict[str, Any], key: str) -> float:
    """A value as a float; NaN where it is absent, null or no number."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) else math.nan


def section(values: dict[str, Any], key: str) -> dict[str, Any]:
    """A nested object; empty where it is absent or something else."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _columns(rows: list[dict[str, Any]], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = np.array([(number(row, "env_steps"), number(row, key)) for row in rows], np.float64).reshape(-1, 2)
    known = np.isfinite(pairs).all(axis=1)
    return pairs[known, 0], pairs[known, 1]


def _forward(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what a resumed run, which begins again at its last checkpoint, has lived through a second time."""
    kept: list[dict[str, Any]] = []
    limit = math.inf
    for row in reversed(rows):
        steps = number(row, "env_steps")
        if steps <= limit:
            limit = steps
            kept.append(row)
    return kept[::-1]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"File {str(path)!r}", f"it has {path.stat().st_size} bytes", f"at most {_LARGEST}")
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    text = _text(path)
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"File {str(path)!r}", f"it is no JSON ({error})", "a file written by this toolkit") from error
    if not isinstance(value, dict):
        raise DataError(f"File {str(path)!r}", f"it holds a {type(value).__name__}", "a JSON object")
    return value
