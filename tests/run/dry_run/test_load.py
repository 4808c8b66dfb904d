"""What other programs use of this machine, and what is made of it: nothing is loosened."""

import math
from typing import Any

import pytest

from rlpd_robot.run.bench import dry_run as bench
from rlpd_robot.run.bench.dry_run_sabotages import SABOTAGES
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.dry_run.load import Others, blamed

LATE = Check("lateness", "p99 5 ms", "p99 9 ms", False, "a core of its own")


def test_others_are_counted() -> None:
    found = Others().cores()
    assert math.isnan(found) or found >= 0


@pytest.mark.parametrize(
    ("check", "cores", "told"),
    [
        (LATE, 1.5, "p99 9 ms; other programs used 1.5 of"),
        (LATE, 0.1, "p99 9 ms"),
        (LATE, math.nan, "p99 9 ms"),
        (Check("joint order", "", "wrong", False), 1.5, "wrong"),
        (Check("lateness", "", "p99 1 ms", True), 1.5, "p99 1 ms"),
    ],
)
def test_a_check_that_load_may_have_failed_says_so_and_has_failed(check: Check, cores: float, told: str) -> None:
    found = blamed(check, cores)
    assert found.passed is check.passed
    assert found.measured.startswith(told)
    assert ("other programs" in found.measured) == ("other programs" in told)


def verdict(*failed: str, others: float | None = 0.0) -> dict[str, Any]:
    checks = [{"name": name, "passed": False, "measured": "so"} for name in failed]
    return {
        "go": not failed,
        "checks": [*checks, {"name": "disk", "passed": True, "measured": "so"}],
        "other_programs_cores": others,
        "wall_s": 30.0,
        "sentence": "",
    }


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (verdict(), bench.GO),
        (verdict(others=1.9), bench.GO),
        (verdict("lateness", others=0.1), bench.FAILED),
        (verdict("lateness", others=None), bench.FAILED),
        (verdict("lateness", "undisturbed", others=1.2), bench.SPOILED),
        (verdict("lateness", "joint order", others=1.2), bench.FAILED),
        (verdict(bench.NOT_TRIED, others=1.2), bench.SPOILED),  # no process came up in time
        (verdict(bench.NOT_TRIED), bench.FAILED),
    ],
)
def test_what_a_repeat_shows(one: dict[str, Any], outcome: str) -> None:
    assert bench.outcome_of(one) == outcome


def test_repeats_are_made_until_enough_show_something(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [verdict(), verdict("lateness", others=1.2), verdict("joint order"), verdict()]
    asked: list[list[str]] = []

    def run(name: str, words: list[str], folder: Any, timeout_s: float) -> dict[str, Any]:
        asked.append(words)
        return verdicts[len(asked) - 1]

    monkeypatch.setattr(bench, "_run", run)
    done = bench._repeat(3, ["robot=x"], tmp_path, 1.0)
    assert [one["outcome"] for one in done] == [bench.GO, bench.SPOILED, bench.FAILED, bench.GO]
    assert asked[0] == ["robot=x", "dry_run.trials=[]"]
    text = bench.table({"repeats": done, "sabotages": [], "go": 2, "failed": 1, "passed": False})
    assert "nothing inflicted: 2 go, 1 failed, 1 spoiled by load" in text
    monkeypatch.setattr(bench, "_run", lambda *_: verdict("lateness", others=2.0))
    assert len(bench._repeat(2, [], tmp_path, 1.0)) == 6  # it is given up some time
    monkeypatch.setattr(bench, "_run", lambda *_: verdict("policy's robot"))
    named = [bench._sabotage(one, [], tmp_path, 1.0)["named"] for one in SABOTAGES if one.check != "policy's robot"]
    assert not any(named)
    loaded = verdict("policy's robot", others=1.0)
    monkeypatch.setattr(bench, "_run", lambda *_: loaded)
    missed = bench._sabotage(SABOTAGES[0], [], tmp_path, 1.0)
    assert (missed["named"], missed["attempts"]) == (False, 3)
    text = bench.table({"repeats": [], "sabotages": [missed], "go": 0, "failed": 0, "passed": False})
    assert text.startswith("MISSED  readings one place further: joint order; failed: policy's robot (attempt 3")


def test_sabotages_are_of_many_kinds() -> None:
    assert len({one.name for one in SABOTAGES}) == len(SABOTAGES) >= 10
    assert {"joint order", "policy's robot", "safety limits", "filter interventions"} <= {
        one.check for one in SABOTAGES
    }
