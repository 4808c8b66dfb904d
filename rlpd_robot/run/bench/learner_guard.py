"""The regression guard: costs of today beside costs that were committed, both in products of the same machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.errors import DataError
from rlpd_robot.files import replace_file

TOLERANCE = 1.5
"""Times the committed cost; on a shared machine, medians of two runs of one program differed by a third."""


def costs_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Everything in a report of `bench learner` that is a ratio, as a cost: more is worse."""
    found = {"a critic update, as products of its own layers": 1.0 / report["fraction"], **report["costs"]}
    first = report.get("first_update_s")
    if first:
        found["first update with a compile cache, of one without"] = first["cached"] / first["cold"]
    return found


def save(path: Path, report: Mapping[str, Any]) -> None:
    """Write the costs down, to be committed."""
    text = {"machine": machine_of(report), "costs": {name: round(cost, 3) for name, cost in costs_of(report).items()}}
    replace_file(path, (json.dumps(text, indent=1, ensure_ascii=False) + "\n").encode())


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote.

    Raises:
        DataError: the file is none of these.
    """
    expected = "a file that `bench learner learner_bench.save=FILE` wrote"
    try:
        committed = json.loads(path.read_text())
        costs = {str(name): float(cost) for name, cost in committed["costs"].items()}
        return {"machine": dict(committed["machine"]), "costs": costs}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(str(path), " ".join(str(error).split()), expected) from error


def machine_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the ratios depend on: the proportion of arithmetic to memory."""
    return {"device": report["device"], "cores": report["cores"]}


def compare(report: Mapping[str, Any], committed: Mapping[str, Any]) -> dict[str, Any]:
    """What got slower and faster than was committed, each as a sentence; `judged`: on the same kind of machine."""
    before, now = committed["costs"], costs_of(report)
    changed = {name: now[name] / before[name] for name in before if name in now}

    def told(name: str) -> str:
        return f"{name}: {now[name]:.3g}, was {before[name]:.3g} ({changed[name]:.2f} times)"

    return {
        "judged": machine_of(report) == committed["machine"],
        "slower": [told(name) for name in sorted(changed, key=changed.__getitem__) if changed[name] > TOLERANCE][::-1],
        "faster": [told(name) for name in sorted(changed, key=changed.__getitem__) if changed[name] < 1 / TOLERANCE],
        "missing": sorted(set(before) - set(now)),
    }
