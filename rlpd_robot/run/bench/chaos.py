"""`rlpd-robot bench chaos`: real processes train while they are killed, suspended, and their links spoilt.

Then three books are compared: what the stand-in executed, what `live.zarr` holds, what the learner learned from. One
run is in lock-step, one by the wall clock, unless `chaos.phases` says otherwise.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.digest import rows_digest
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.robot.book import read_book
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.run.bench.books import compare, stretches
from rlpd_robot.run.bench.chaos_faults import Fault, schedule
from rlpd_robot.run.bench.chaos_run import LIVE, ChaosRun, Struck
from rlpd_robot.run.bench.journal_cost import journal_cost
from rlpd_robot.run.bench.learner_book import compare_learner
from rlpd_robot.run.checkpoint import CHECKPOINTS, fingerprint_of, load_newest
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.learner_status import read_status
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.settings import Settings
from rlpd_robot.types import to_batch

_NAMES = ("robot", "data", "policy", "control")
_VERDICTS = ("lost", "duplicated", "torn", "unrecovered")


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Train, spoil, compare.

    Args:
        settings: `chaos` says how much, `run.seed` which.
        words: of the processes.
        build: unused; the task is the processes' affair.
    """
    chaos, seed = settings.chaos, settings.run.seed
    with tempfile.TemporaryDirectory(prefix="rlpd-chaos-") as temporary:
        folder = Path(chaos.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        dealt = schedule(chaos.faults, seed, len(chaos.phases))
        phases = {
            name: _phase(name, faults, folder, settings, words)
            for name, faults in zip(chaos.phases, dealt, strict=True)
        }
        problem = DemoStore.open(folder / chaos.phases[0] / LIVE).problem
        cost = journal_cost(problem, folder / "cost")
    total = {name: sum(phase[name] for phase in phases.values()) for name in ("faults", "executed", "committed")}
    found = {name: [text for phase in phases.values() for text in phase[name]] for name in _VERDICTS}
    other = [text for phase in phases.values() for text in phase["other"]]
    kills = [s for phase in phases.values() for s in phase["recovery_s"]["kill"]]
    seen = [s for phase in phases.values() for s in phase["seen_s"]]
    return {
        **total,
        **{name: len(sentences) for name, sentences in found.items()},
        "findings": found,
        "other": other,
        "kill_to_commit_s": _quantiles(kills),
        "seen_s": _quantiles(seen),
        "journal_ms": cost,
        "recovery_patience_s": chaos.recovery_s,
        "seed": seed,
        "phases": phases,
        "passed": not any(found.values()) and not other and total["faults"] == chaos.faults,
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people; its last line is for programs too."""
    lines = []
    for name, phase in report["phases"].items():
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(phase["kinds"].items()))
        lines += [f"{name}: {phase['seconds']:.0f} s; {kinds}"]
        lines += [
            f"  {phase['executed']} commands executed, {phase['committed']} transitions committed, "
            f"{phase['consumed']} learned from, {phase['critic_updates']} updates; "
            f"{phase['unobserved']} commands whose outcome nobody saw"
        ]
        for what, seconds in phase["recovery_s"].items():
            if seconds:
                quantiles = _quantiles(seconds)
                lines += [f"  {what} → next commit: p50 {quantiles['p50']:.1f} s, max {quantiles['max']:.1f} s"]
    lines += [f"{name}: {text}" for name, texts in report["findings"].items() for text in texts]
    lines += report["other"]
    for what, quantiles in (
        ("kill → next committed transition", report["kill_to_commit_s"]),
        ("kill or suspension → report of the supervisor", report["seen_s"]),
    ):
        if quantiles:
            lines += [f"{what}: p50 {quantiles['p50']:.2f} s, max {quantiles['max']:.2f} s"]
    cost = report["journal_ms"]
    lines += [f"journalling: p50 {cost['p50']:.2f} ms, p99 {cost['p99']:.2f} ms a tick"]
    names = ("faults", "executed", "committed", *_VERDICTS)
    return "\n".join([*lines, " ".join(f"{name}={report[name]}" for name in names)])


def _phase(
    name: str, faults: Sequence[Fault], folder: Path, settings: Settings, words: Sequence[str]
) -> dict[str, Any]:
    """One run under its faults: figures and findings."""
    started_s = time.monotonic()
    addresses = dict(zip(_NAMES, free_addresses(len(_NAMES)), strict=True))
    found: dict[str, list[str]] = {verdict: [] for verdict in (*_VERDICTS, "other")}
    lockstep = name == "lockstep"
    with ChaosRun(name, folder, settings, words, lockstep, addresses, settings.run.seed) as run:
        try:
            run.learns()
            for i, fault in enumerate(faults):
                struck = run.strike(fault)
                recovered = not fault.alone or run.recovers(settings.chaos.recovery_s)
                _tell(f"{name} {i + 1} of {len(faults)}: {_sentence(struck)}")
                if not recovered:
                    break
            run.recovers(settings.chaos.recovery_s)
        except RlpdRobotError as error:  # a process that cannot be kept running
            found["other"].append(f"{name}: {error}")
        statuses = run.end()
        found["other"] += [f"{name}: {who} ended with status {s}" for who, s in statuses.items() if s != 0]
    found["unrecovered"] += [
        f"{name}: no transition executed after '{s.fault}' was committed" for s in run.struck if s.recovered_s is None
    ]
    found["other"] += [f"{name}: {who} {text}" for who, text in run.own_deaths()]
    figures = _compare(name, run, settings, found)
    return {
        **figures,
        **found,
        "faults": len(run.struck),
        "kinds": dict(Counter(_kind(struck.fault) for struck in run.struck)),
        "recovery_s": _recoveries(run.struck),
        "seen_s": [s.seen_s - s.at_s for s in run.struck if s.seen_s is not None],
        "armed": run.armed,
        "seconds": time.monotonic() - started_s,
    }


def _compare(name: str, run: ChaosRun, settings: Settings, found: dict[str, list[str]]) -> dict[str, Any]:
    """The three books; adds to what was found."""
    live = run.directory / LIVE
    store = DemoStore.open(live)
    rows = store.summary().transitions
    status = run.settle(rows)
    if status != 0:
        found["other"].append(f"{name}: the learner that was to learn from the rest ended with status {status}")
    store = DemoStore.open(live)
    robot = ActionMap.of(store.problem.robot)
    executed = compare(stretches(read_book(run.book), robot), store.episodes(), run.lockstep)
    checkpoint, passed = load_newest(run.directory / CHECKPOINTS, fingerprint_of(store.problem, settings))
    learned = compare_learner(checkpoint.book if checkpoint is not None else (), store.episodes())
    found["lost"] += [f"{name}: {text}" for text in (*executed.lost, *learned.lost)]
    found["duplicated"] += [f"{name}: {text}" for text in (*executed.duplicated, *learned.duplicated)]
    torn = (*executed.torn, *executed.not_executed, *learned.not_committed, *passed)
    found["torn"] += [f"{name}: {text}" for text in torn]
    found["torn"] += [f"{name}: {LIVE}: {problem}" for problem in validate(live)]
    last = read_status(run.directory)
    digest = sum(rows_digest(to_batch(episode, is_demo=False)) for episode in store.episodes()) % (1 << 64)
    if last.get("ring_digest") != digest:
        found["torn"].append(f"{name}: what is in the learner's ring is not what is in {LIVE}")
    owed = settings.agent.utd * max(0, executed.committed - settings.agent.free_steps)
    if last.get("critic_updates") != owed:
        found["other"].append(f"{name}: {last.get('critic_updates')} critic updates were made, {owed} are owed")
    return {
        "executed": executed.executed,
        "committed": executed.committed,
        "consumed": learned.consumed,
        "unobserved": len(executed.unobserved),
        "critic_updates": last.get("critic_updates", 0),
    }


def _recoveries(struck: Sequence[Struck]) -> dict[str, list[float]]:
    """Times from fault (or its end) to the next commit of what was executed after it [s], by what it was."""
    times: dict[str, list[float]] = {"kill": []}
    for one in struck:
        if one.recovered_s is not None:
            times.setdefault(one.fault.kind, []).append(one.recovered_s - one.over_s)
            if one.fault.kind == "kill":
                times.setdefault(f"kill {one.fault.target}", []).append(one.recovered_s - one.over_s)
    return times


def _kind(fault: Fault) -> str:
    return f"{fault.kind} {fault.target}"


def _sentence(struck: Struck) -> str:
    if struck.recovered_s is None:
        return f"{struck.fault}"
    return f"{struck.fault}; a new transition was committed {struck.recovered_s - struck.over_s:.1f} s later"


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(seconds, 50)), "max": max(seconds)} if seconds else {}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
