"""`rlpd-robot bench dry-run`: the command itself, again and again, where its verdict is known beforehand.

Repeats of the part in which nothing is inflicted must all be go. With `dry_run_bench.sabotages=true` each of the
sabotages in `dry_run_sabotages.py` must be no go, and name its own check.

A busy machine makes a robot late by itself. A repeat in which only checks of timing failed, while other programs used
cores, shows nothing either way: it counts as spoiled and is made again, and nothing is loosened for it.
"""

import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bench.dry_run_sabotages import SABOTAGES, Sabotage
from rlpd_robot.run.directory import DRY_RUN
from rlpd_robot.run.dry_run.load import NOTEWORTHY, TIMING, Others
from rlpd_robot.run.dry_run.sheet import VERDICT
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.processes import Child, path_word
from rlpd_robot.run.settings import Settings

GO, FAILED, SPOILED = "go", "failed", "spoiled by load"

NOT_TRIED = "could not be tried"
"""In the place of a check that failed."""

_ATTEMPTS = 3  # for each repeat that shall count
_END_S = 20.0
_LOOK_S = 0.1
_WORD = "dry-run"


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Run it, read its verdicts, compare.

    Args:
        settings: `dry_run_bench` says how often.
        words: of the dry runs.
        build: unused; robots are the dry runs' affair.

    Raises:
        ConfigError: sabotages of no policy.
    """
    wanted = settings.dry_run_bench
    if wanted.sabotages and settings.dry_run.policy is None:
        raise ConfigError(
            "dry_run.policy", None, "the policy that is to be sabotaged, of task=door on robot=adroit_door"
        )
    with ExitStack() as stack:
        folder = Path(wanted.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="rlpd-dry-run-")))
        folder.mkdir(parents=True, exist_ok=True)
        own = [*words, path_word("run.root", folder.absolute())]
        repeats = _repeat(wanted.repeats, own, folder, wanted.timeout_s)
        sabotages = [_sabotage(one, own, folder, wanted.timeout_s) for one in (SABOTAGES if wanted.sabotages else ())]
    good = sum(one["outcome"] == GO for one in repeats)
    failed = [one for one in repeats if one["outcome"] == FAILED]
    named = all(one["named"] for one in sabotages)
    passed = good >= wanted.repeats and not failed and named
    return {"repeats": repeats, "sabotages": sabotages, "go": good, "failed": len(failed), "passed": passed}


def table(report: Mapping[str, Any]) -> str:
    """One line each, and what they come to."""
    lines = [f"{i + 1:>3}  {_line(one)}" for i, one in enumerate(report["repeats"])]
    spoiled = sum(one["outcome"] == SPOILED for one in report["repeats"])
    if report["repeats"]:
        lines.append(f"nothing inflicted: {report['go']} go, {report['failed']} failed, {spoiled} spoiled by load")
    for one in report["sabotages"]:
        word = "named " if one["named"] else "MISSED"
        load = "" if one["others"] is None else f", cores used by others {one['others']:.2f}"
        failed = ", ".join(one["failed"]) or "nothing"
        lines.append(f"{word}  {one['name']}: {one['check']}; failed: {failed} (attempt {one['attempts']}{load})")
    if report["sabotages"]:
        named = sum(one["named"] for one in report["sabotages"])
        lines.append(f"sabotages: {named} of {len(report['sabotages'])} named")
    return "\n".join(lines)


def outcome_of(verdict: Mapping[str, Any]) -> str:
    """What a dry run shows in which nothing was inflicted."""
    if verdict["go"]:
        return GO
    others = verdict["other_programs_cores"]
    only_timing = all(name in (*TIMING, NOT_TRIED) for name in failed_checks(verdict))
    return SPOILED if only_timing and others is not None and others >= NOTEWORTHY else FAILED


def failed_checks(verdict: Mapping[str, Any]) -> list[str]:
    """Their names."""
    return [check["name"] for check in verdict["checks"] if check["passed"] is False]


def _repeat(count: int, words: Sequence[str], folder: Path, timeout_s: float) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    for i in range(_ATTEMPTS * count):
        if sum(one["outcome"] != SPOILED for one in done) >= count:
            break
        verdict = _run(f"repeat{i}", [*words, "dry_run.trials=[]"], folder, timeout_s)
        failed = [check for check in verdict["checks"] if check["passed"] is False]
        one = {"outcome": outcome_of(verdict), "others": verdict["other_programs_cores"], "wall_s": verdict["wall_s"]}
        done.append({**one, "checks": len(verdict["checks"]), "why": {c["name"]: c["measured"] for c in failed}})
        print(f"{i + 1:>3}  {_line(done[-1])}", file=sys.stderr, flush=True)
    return done


def _sabotage(one: Sabotage, words: Sequence[str], folder: Path, timeout_s: float) -> dict[str, Any]:
    """Until it is named; or it is not, though others had let the machine alone."""
    found: dict[str, Any] = {}
    for attempt in range(1, _ATTEMPTS + 1):
        name = re.sub(r"\W", "_", one.name)
        verdict = _run(name, [*words, "dry_run.trials=[]", *one.words], folder, timeout_s)
        told = [check["measured"] for check in verdict["checks"] if check["name"] == one.check and not check["passed"]]
        named, others = any(one.told in sentence for sentence in told), verdict["other_programs_cores"]
        print(f"     {one.name}: {verdict['sentence']}", file=sys.stderr, flush=True)
        found = {"name": one.name, "check": one.check, "named": named, "told": told, "others": others}
        found |= {"failed": failed_checks(verdict), "attempts": attempt}
        if named or others is None or others < NOTEWORTHY:
            break
    return found


def _line(one: Mapping[str, Any]) -> str:
    others = "unknown" if one["others"] is None else f"{one['others']:.2f}"
    why = "; ".join(f"{name}: {measured}" for name, measured in one["why"].items())
    head = f"{one['outcome']}, {one['checks']} checks, {one['wall_s']:.0f} s, cores used by others {others}"
    return f"{head}; {why}" if why else head


def _run(name: str, words: Sequence[str], folder: Path, timeout_s: float) -> dict[str, Any]:
    """The verdict of one dry run; a failed one where it could not be tried."""
    path = folder / name / DRY_RUN / VERDICT
    path.unlink(missing_ok=True)
    child, others = Child(name, [_WORD, *words, f"run.name={name}"], folder), Others()
    try:
        deadline_s = child.started_s + timeout_s
        while child.running and time.monotonic() < deadline_s:
            time.sleep(_LOOK_S)
        if child.status in (0, 1) and path.is_file():
            verdict: dict[str, Any] = json.loads(path.read_text())
            return verdict
        why = {"name": NOT_TRIED, "passed": False, "measured": f"{child.state}: {child.last_words()}"}
    finally:
        child.end(_END_S)
    wall_s, sentence = time.monotonic() - child.started_s, f"{NOT_TRIED}: {why['measured']}"
    cores = others.cores()
    load = cores if math.isfinite(cores) else None
    return {"go": False, "checks": [why], "other_programs_cores": load, "wall_s": wall_s, "sentence": sentence}
