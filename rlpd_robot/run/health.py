"""Whether a process of a run does its work, told from the files that it leaves: fast, and without asking it.

The actor and the stand-in are well while their loops turn. The learner must moreover commit the episodes that end, and
do the updates that it owes. A fault of the robot is none of the process: it waits for a person, and starting it again
would not help.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpd_robot import liveness
from rlpd_robot.liveness import MAIN, Sign
from rlpd_robot.run.metrics import METRICS
from rlpd_robot.run.process_record import ProcessRecord, read_record, signs_path
from rlpd_robot.run.supervise_settings import SuperviseSettings

LEARNER = "learner"

STALLED_S = 30.0
"""Time in which a learner that owes updates must do some, and commit the episodes that ended [s]."""

_TAIL_BYTES = 1 << 20  # of metrics.jsonl: some minutes
_AT_WORK = ("receiving", "updating")


@dataclass(frozen=True)
class Health:
    """How one process stands.

    Attributes:
        name: of the process.
        well: whether it does its work.
        sentence: what it does, or what is wrong.
        silent_s: since its main loop last moved [s]; None: nothing is known of that.
    """

    name: str
    well: bool
    sentence: str
    silent_s: float | None = None


def health_of(directory: Path, name: str, patience: SuperviseSettings | None = None) -> Health:
    """Look at one process of the run in `directory`."""
    patience = patience or SuperviseSettings()
    record = read_record(directory, name)
    if record is None:
        return Health(name, False, f"it has not been started in {directory}")
    if record.ended:
        return Health(name, False, record.ended)
    if not record.this_start:
        return Health(name, False, _elsewhere(record))
    signs = liveness.read(signs_path(directory, name))
    loop = next((sign for sign in signs if sign.name == MAIN), None)
    if loop is None:
        return Health(name, False, "no sign of life yet")
    problem = _silence(signs, patience.seen_s)
    if not problem and name == LEARNER and loop.doing in _AT_WORK:
        problem = stall(tail(directory / METRICS))
    return Health(name, not problem, problem or loop.doing or "running", loop.silent_s)


def stall(rows: Sequence[dict[str, Any]]) -> str:
    """What a learner has left undone for `STALLED_S`, from its newest rows, oldest first; empty: nothing."""
    if not rows or rows[-1].get("phase") != "learning":
        return ""
    rows = _of_one_learner(rows)
    return _not_updating(rows) or _not_committing(rows)


def _not_updating(rows: Sequence[dict[str, Any]]) -> str:
    updates = rows[-1].get("critic_updates")
    since = [row for row in rows if row.get("critic_updates") == updates and _number(row, "updates_owed") > 0]
    if not since or since[-1] is not rows[-1]:
        return ""
    silent_s = _wall(rows[-1]) - _wall(since[0])
    owed = _number(rows[-1], "updates_owed")
    return f"it owes {owed:.0f} updates and has done none for {silent_s:.0f} s" if silent_s > STALLED_S else ""


def _not_committing(rows: Sequence[dict[str, Any]]) -> str:
    """An episode with transitions in it ended after the last commit: the actor has begun two more since."""
    committed = rows[-1].get("delivery/committed")
    since = [row for row in rows if row.get("delivery/committed") == committed]
    begun, steps = (_number(since[0], f"actor/{name}") for name in ("episodes", "steps"))
    for row in since:
        if _number(row, "actor/episodes") >= begun + 2 and _number(row, "actor/steps") > steps:
            silent_s = _wall(rows[-1]) - _wall(row)
            return f"it has committed no episode for {silent_s:.0f} s, and some ended" if silent_s > STALLED_S else ""
    return ""


def _of_one_learner(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Those since the newest learner began: its counters may start anew."""
    for i in range(len(rows) - 1, -1, -1):
        if rows[i].get("phase") != "learning":
            return rows[i + 1 :]
    return rows


def tail(path: Path, size: int = _TAIL_BYTES) -> list[dict[str, Any]]:
    """The last objects of a JSON-lines file, oldest first; torn lines are passed over."""
    try:
        with open(path, "rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - size)
            file.seek(start)
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines[1 if start else 0 :]:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _silence(signs: Sequence[Sign], seen_s: float) -> str:
    for sign in signs:
        who = sign.name if sign.name == MAIN else f"thread '{sign.name}'"
        if sign.died:
            return f"{who} died: {sign.doing}"
        if sign.silent_s > max(seen_s, sign.patience_s):
            doing = f" (while {sign.doing})" if sign.doing else ""
            return f"{who} has not moved for {sign.silent_s:.1f} s{doing}"
    return ""


def _elsewhere(record: ProcessRecord) -> str:
    return f"it was started on {record.host}, by another machine or before this one was last started"


def _number(row: dict[str, Any], key: str) -> float:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _wall(row: dict[str, Any]) -> float:
    return _number(row, "wall_s")
