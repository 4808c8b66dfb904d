"""What a run tells about itself: three JSON-lines files in the run directory, and TensorBoard beside them.

| file | one line per | keys |
|---|---|---|
| metrics.jsonl | report of the learner, about one a second | THE row below |
| episodes.jsonl | training episode | wall_s, env_steps (at its end), episode, steps, success, normalized_return, reward, ending, cause, policy_version, explore |
| events.jsonl | thing worth a person's notice, from any process | wall_s, unix_s, severity, source, text |

A row of metrics.jsonl is flat; a key may be absent, and a number that was not finite is null.

| key | unit | meaning |
|---|---|---|
| wall_s | s | that learners of this run have worked, over restarts |
| phase | - | "waiting", "compiling", "resuming", "cloning", "pre-training", "learning" or "finished" |
| env_steps, env_steps_target, episodes | - | live transitions received, wanted; training episodes ended |
| critic_updates, updates_owed | - | done; due at the target UTD and not done yet |
| utd_target, utd_realised | updates a step | update-to-data ratio |
| ring_rows, demo_rows | - | live and demonstration transitions to sample from |
| policy_version | - | last snapshot published |
| success_recent | 0…1 | share of the last 20 training episodes that succeeded |
| return_recent, demo_return | % | normalised return of those, and of the demonstrations (mean): percent of the horizon solved |
| learner/… | - | critic_loss, q, target_q, q_spread, entropy, temperature, actor_loss, clone_error, policy_q, policy_std, updates_per_s; of IQL value_loss, advantage, advantage_weight |
| actor/… | ms, s | every `stats()` of the actor: steps, lockstep, policy_version, policy_age_s_p50, policy_age_s_p99, lateness_ms_p50, lateness_ms_p99, deadline_misses, uncommitted, connected, … |
| diagnostics/… | - | why it does not learn, only in rows that measured it anew: `run/diagnostics/checks.py`; value_low, value_high, q, monte_carlo_return, overestimation [reward] |
| delivery/… | - | received, committed, duplicates |

Every line is appended by one write, so that several processes may share events.jsonl; a process killed in the middle
of a write leaves a torn line, which every reader here passes over, as it does an empty one.
"""  # noqa: E501

import errno
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rlpd_robot.errors import DataError

METRICS = "metrics.jsonl"
EPISODES = "episodes.jsonl"
EVENTS = "events.jsonl"

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")

_STARTED = "started"
_END_BYTES = 1 << 16  # of metrics.jsonl: many rows


class LineFile:
    """Appends JSON objects to a file, one write call a line. Opening it again goes on at the end."""

    def __init__(self, path: Path) -> None:
        """Open or create.

        Raises:
            OSError: the directory is missing or cannot be written.
        """
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            # Ends the line that a killed process left torn. Where another process was merely in the middle of its
            # write, the kernel puts this after it, and there is an empty line.
            self._write(b"\n")

    def append(self, values: Mapping[str, Any]) -> None:
        """Append one line.

        Raises:
            DataError: a value that is neither a number, a text nor a truth value.
            OSError: the disk is full or the file cannot be written.
        """
        line = {key: _plain(key, value) for key, value in values.items()}
        self._write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n")

    def close(self) -> None:
        """Close; closing twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        if written != len(data):
            problem = f"only {written} of {len(data)} bytes could be appended"
            raise OSError(errno.ENOSPC, problem, str(self._path))


class MetricsWriter:
    """The learner's record of its run: rows, episodes and events. See the tables at the head of this module."""

    def __init__(self, run_dir: Path) -> None:
        """Create the directory and its files, or go on with those that are there.

        Raises:
            OSError: the directory cannot be created or written.
        """
        run_dir.mkdir(parents=True, exist_ok=True)
        self._run_dir = run_dir
        self._rows = LineFile(run_dir / METRICS)
        self._episodes = LineFile(run_dir / EPISODES)
        self._events = LineFile(run_dir / EVENTS)
        self._board = self._open_board()

    def row(self, values: Mapping[str, Any]) -> None:
        """Append one row to metrics.jsonl and its numbers to TensorBoard, against env_steps."""
        self._rows.append(values)
        self._show(values, "")

    def episode(self, values: Mapping[str, Any]) -> None:
        """Append one training episode to episodes.jsonl and its numbers to TensorBoard, against env_steps."""
        self._episodes.append(values)
        self._show(values, "episode/")

    def event(self, severity: Severity, source: str, text: str) -> None:
        """Append one event to events.jsonl."""
        self._events.append(_event(self._run_dir, severity, source, text))

    def close(self) -> None:
        """Flush TensorBoard and close the files; closing twice is harmless."""
        for file in (self._rows, self._episodes, self._events):
            file.close()
        board, self._board = self._board, None
        if board is not None:
            board.close()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_board(self) -> Any:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            self.event("info", "metrics", f"TensorBoard curves are left out ({error}); metrics.jsonl has every figure.")
            return None
        return SummaryWriter(str(self._run_dir / "tensorboard"))

    def _show(self, values: Mapping[str, Any], prefix: str) -> None:
        step = values.get("env_steps")
        if self._board is None or step is None:
            return
        for key, value in values.items():
            number = _plain(key, value)
            if isinstance(number, int | float) and key != "env_steps":  # a bool is an int: success shows as 0 or 1
                self._board.add_scalar(prefix + key, float(number), int(step))


def append_event(run_dir: Path, severity: Severity, source: str, text: str) -> None:
    """Append one event to `run_dir`/events.jsonl, from whichever process has something to say.

    Raises:
        DataError: a severity outside `SEVERITIES`.
        OSError: the directory cannot be created or written.
    """
    event = _event(run_dir, severity, source, text)
    file = LineFile(run_dir / EVENTS)
    try:
        file.append(event)
    finally:
        file.close()


def elapsed_s(run_dir: Path) -> float:
    """Seconds [s] since the run in `run_dir` began, by the wall clock; the first call of all begins it.

    The beginning is kept in a file, so that every process of a run, and one that resumes it, counts from the same
    moment. A beginning that cannot be read, or lies in the future, counts as now.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    now = time.time()
    try:
        with open(run_dir / _STARTED, "x", encoding="ascii") as file:
            file.write(f"{now:.3f}\n")
        return 0.0
    except FileExistsError:
        try:
            return max(0.0, now - float((run_dir / _STARTED).read_text(encoding="ascii")))
        except ValueError:  # empty for the moment that another process needs to write it
            return 0.0


def wall_before_s(run_dir: Path) -> float:
    """Seconds [s] that learners of the run in `run_dir` have worked so far, as its newest row tells; 0 before any."""
    try:
        with open(run_dir / METRICS, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return 0.0
    for line in reversed(lines):
        wall_s = (_parse(line) or {}).get("wall_s")
        if isinstance(wall_s, int | float):
            return float(wall_s)
    return 0.0


def _event(run_dir: Path, severity: Severity, source: str, text: str) -> dict[str, Any]:
    if severity not in SEVERITIES:
        raise DataError(f"Event of {source}", f"severity is {severity!r}", f"one of {SEVERITIES}")
    wall_s = round(elapsed_s(run_dir), 3)
    return {
        "wall_s": wall_s,
        "unix_s": round(time.time(), 3),
        "severity": severity,
        "source": source,
        "text": text,
    }


def _plain(key: str, value: Any) -> str | bool | int | float | None:
    """A NumPy or JAX scalar as Python's own; a number that is not finite as None, which JSON can say."""
    if hasattr(value, "item"):
        value = value.item() if getattr(value, "size", 1) == 1 else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise DataError(f"Metric '{key}'", f"it is {type(value).__name__}", "a number, a text or a truth value")


class Tail:
    """Reads what was appended to a JSON-lines file since the last look; complete lines only.

    Args:
        path: of the file; it may not be there yet.
        most: bytes read in one look, so that a long file comes in parts; None: all there is.
    """

    def __init__(self, path: Path, most: int | None = None) -> None:
        self._path, self._most = path, most
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """The objects of the lines completed since the last call; none while the file does not exist.

        A file that has become shorter is another file, and is read from its beginning.
        """
        try:
            with open(self._path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                data = file.read(self._most)
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        if not complete and len(data) == self._most:
            complete = data  # no line of ours is that long
        self._offset += len(complete)
        return [line for text in complete.splitlines() if (line := _parse(text)) is not None]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every object of a JSON-lines file, oldest first; none when it does not exist; torn lines are passed over."""
    return Tail(path).new()


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:  # torn by a kill or a power cut
        return None
    return value if isinstance(value, dict) else None
