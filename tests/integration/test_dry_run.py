"""One short dry run as real processes: a point at 20 Hz, two faults, random actions.

Robots that are played from their own files: `tests/sim/rosbridge/test_simulated_joints.py` and `bench dry-run`.
"""

import json
from pathlib import Path

import pytest

from tests.integration.running import link_words, run_verb

pytestmark = pytest.mark.integration


def test_a_short_dry_run_and_its_sheet(tmp_path: Path) -> None:
    words = ["dry-run", "experiment=point", "run.demos=null", f"run.root={tmp_path}", *link_words()]
    words += ["robot.stand_in.period_s=0.05", "task.horizon=10", "dry_run.episodes=1", "dry_run.hold_s=0.1"]
    words += ["dry_run.babble_s=0", "dry_run.only=[not a number,controller reflex]"]
    status, text = run_verb(words, tmp_path / "log")
    folder = tmp_path / "point" / "dry_run"
    verdict = json.loads((folder / "verdict.json").read_text())
    assert status == (0 if verdict["go"] else 1), text
    # Whether this machine is quick enough now is not what is tested: that is in the checks of rate and lateness.
    by_name = {trial["name"]: trial for trial in verdict["trials"]}
    assert set(by_name) == {"not a number", "controller reflex"}
    assert by_name["not a number"]["sentence"].startswith("bad data: Robot state")
    assert "controller reflex (cartesian_reflex)" in by_name["controller reflex"]["sentence"]
    assert [trial["moved_after"] for trial in verdict["trials"]] == [0, 0]
    checks = {check["name"]: check["passed"] for check in verdict["checks"]}
    for name in ("commands within limits", "no stale command", "no motion before re-arming"):
        assert checks[name] is True, verdict["checks"]
    assert checks["success"] is None  # no policy was given
    page = (folder / "verdict.html").read_text()
    assert page.count("<figure>") == 7
    assert not any(word in page for word in ("http:", "https:", "<script"))
    assert f"sheet  {folder / 'verdict.html'}" in text
