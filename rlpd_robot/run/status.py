"""How a run stands: what runs where and how well, how fast it learns, what went wrong last; for people and programs.

Everything is read from the run's own directory, and one sentence is asked of the actor. Nothing is written.
"""

import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.run.health import health_of, tail
from rlpd_robot.run.learner_status import read_status
from rlpd_robot.run.live_state import count, duration, figure, known, number, one_line, refusals
from rlpd_robot.run.metrics import EVENTS, METRICS
from rlpd_robot.run.newest_run import changed_unix_s
from rlpd_robot.run.process_record import names_in, own_version, read_record

ACTOR = "actor"

_FAULTS = 5
_RATE_S = 60.0

Ask = Callable[[], str]
"""Asks the actor for its sentence; an `RlpdRobotError` says why there is none."""


def status_of(directory: Path | None, address: str, ask: Ask) -> dict[str, Any]:
    """Everything that `rlpd-robot status` tells, as plain values.

    Args:
        directory: of the run; None: there is none here, and the actor alone is asked.
        address: of the actor's control link.
        ask: the actor.
    """
    status: dict[str, Any] = {"version": own_version(), "directory": None, "actor": _actor(address, ask)}
    return status if directory is None else status | written(directory)


def written(directory: Path) -> dict[str, Any]:
    """The part of it that a run's directory tells by itself."""
    rows, events = tail(directory / METRICS), tail(directory / EVENTS)
    ended = read_status(directory)
    return {
        "directory": str(directory),
        "run": directory.resolve().name,
        "processes": {name: _process(directory, name, events) for name in names_in(directory)},
        "finished": bool(ended.get("finished")),
        "row": rows[-1] if rows else {},
        "row_age_s": max(0.0, time.time() - changed_unix_s(directory / METRICS)) if rows else None,
        "rates": _rates(rows),
        "faults": _faults(events)[-_FAULTS:],
        "disk_free_gb": shutil.disk_usage(directory).free / 1e9,
    }


def lines_of(status: Mapping[str, Any]) -> list[str]:
    """The same for reading."""
    actor = status["actor"]
    if status["directory"] is None:
        return [one_line(actor["sentence"] or actor["problem"])]
    lines = [f"run {status['run']} in {status['directory']}, rlpd-robot {status['version']}"]
    for name, process in status["processes"].items():
        lines.append(f"  {name:<9} {_process_line(process)}")
    lines.append(f"  {'robot':<9} {one_line(actor['sentence'] or actor['problem'])}")
    lines += [f"  {name:<9} {text}" for name, text in _figures(status) if text]
    if status["faults"]:
        lines.append("last faults and warnings")
        lines += [f"  {_event_line(event)}" for event in status["faults"]]
    return lines


def _actor(address: str, ask: Ask) -> dict[str, Any]:
    try:
        sentence, problem = ask(), None
    except RlpdRobotError as error:
        sentence, problem = None, str(error)
    fault = sentence.removeprefix("FAULT: ").partition("; ")[0] if sentence and sentence.startswith("FAULT") else None
    return {"address": address, "sentence": sentence, "fault": fault, "problem": problem}


def _process(directory: Path, name: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    health, record = health_of(directory, name), read_record(directory, name)
    restarts = sum(
        event.get("source") == name and str(event.get("text")).startswith("started again (") for event in events
    )
    return asdict(health) | {"restarts": restarts} | (asdict(record) if record is not None else {})


def _faults(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Warnings and errors; of those that follow each other and differ in numbers alone, the newest, with `times`."""
    told: list[dict[str, Any]] = []
    for event in events:
        if event.get("severity") not in ("warning", "error"):
            continue
        again = told and kind_of(told[-1]) == kind_of(event)
        times = told.pop()["times"] + 1 if again else 1
        told.append({**event, "times": times})
    return told


def kind_of(event: Mapping[str, Any]) -> tuple[object, object, str]:
    """What events have in common that differ in numbers alone."""
    return event.get("severity"), event.get("source"), re.sub(r"\d+", "", str(event.get("text")))


def _rates(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Transitions and updates a second, over the last minute of the learner's work; empty before there is one."""
    lately = [row for row in rows if number(dict(row), "wall_s") >= number(dict(rows[-1]), "wall_s") - _RATE_S]
    if len(lately) < 2:
        return {}
    first, last = dict(lately[0]), dict(lately[-1])
    span_s = number(last, "wall_s") - number(first, "wall_s")
    rates = {
        name: (number(last, key) - number(first, key)) / span_s
        for name, key in (("transitions_per_s", "env_steps"), ("updates_per_s", "critic_updates"))
        if span_s > 0
    }
    return {name: rate for name, rate in rates.items() if math.isfinite(rate) and rate >= 0}


def _process_line(process: Mapping[str, Any]) -> str:
    began, now = process.get("started_unix_s", math.nan), time.time()
    if process.get("ended"):
        when = f"{process['ended']}, {duration(now - process['ended_unix_s'])} ago"
    else:
        when = f"{'well' if process['well'] else 'NOT WELL'}: {one_line(process['sentence'])}"
    times = process["restarts"]
    restarts = f", started again {'once' if times == 1 else f'{times} times'}" if times else ""
    where = f"on {process.get('host', '?')} (pid {process.get('pid', '?')}), version {process.get('version', '?')}"
    return f"{when}; {where}, started {duration(now - began)} ago{restarts}"


def _figures(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    row, rates = status["row"], status["rates"]
    phase = "finished" if status["finished"] else one_line(row.get("phase", ""))
    learning = [
        f"{phase}, {count(number(row, 'env_steps', 0))} of {count(number(row, 'env_steps_target'))} transitions",
        known(number(row, "utd_realised"), lambda v: f"UTD {v:.2f} of {figure(number(row, 'utd_target'), 0)}"),
        known(number(row, "success_recent"), lambda v: f"success {100 * v:.0f} %"),
        known(number(row, "return_recent"), lambda v: f"return {v:.1f}"),
        f"told {duration(status['row_age_s'] or 0.0)} ago",
    ]
    policy = [
        known(number(row, "policy_version"), lambda v: f"{v:.0f} published"),
        known(number(row, "actor/policy_version"), lambda v: f"{v:.0f} acts"),
        known(number(row, "actor/policy_age_s_p99"), lambda v: f"age p99 {v:.2f} s"),
        *refusals(row),
    ]
    ticks = [
        known(number(row, "actor/lateness_ms_p99"), lambda v: f"late p99 {v:.2f} ms"),
        known(number(row, "actor/deadline_misses"), lambda v: f"{v:.0f} missed"),
    ]
    delivery = [
        known(number(row, "delivery/received"), lambda v: f"{count(v)} received"),
        known(number(row, "delivery/committed"), lambda v: f"{count(v)} committed"),
        known(number(row, "actor/uncommitted"), lambda v: f"{count(v)} not acknowledged"),
        known(number(row, "delivery/duplicates"), lambda v: f"{count(v)} duplicates dropped"),
    ]
    shown = [
        ("learning", learning if row else []),
        ("rates", [f"{rate:.1f} {name.replace('_per_s', '/s')}" for name, rate in rates.items()]),
        ("policy", policy),
        ("ticks", [] if number(row, "actor/lockstep") == 1 else ticks),
        ("delivery", delivery),
        ("disk", [f"{status['disk_free_gb']:.1f} GB free"]),
    ]
    return [(name, ", ".join(part for part in parts if part)) for name, parts in shown]


def _event_line(event: Mapping[str, Any]) -> str:
    when = time.strftime("%m-%d %H:%M:%S", time.localtime(number(dict(event), "unix_s", 0.0)))
    times = f" ({event['times']} times like this, the newest)" if event["times"] > 1 else ""
    said = one_line(event.get("text"))
    return f"{when} {one_line(event.get('severity'))} {one_line(event.get('source'))}: {said}{times}"
