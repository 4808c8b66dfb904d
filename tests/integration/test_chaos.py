"""A short storm by the wall clock: each process is killed, one is suspended. `make chaos` is the long one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.running import CONFIGS, REPOSITORY

pytestmark = pytest.mark.integration

DEADLINE_S = 800.0  # of a machine that is busy with other things


@pytest.mark.timeout(DEADLINE_S + 60)
def test_a_short_storm_loses_nothing(tmp_path: Path, demos: Path) -> None:
    words = ["experiment=point", f"run.demos={demos}", "chaos.faults=4", "chaos.recovery_s=120"]
    words += ["run.seed=1", "chaos.phases=[realtime]"]  # `test_resume.py` kills in lock-step
    words += ["link.timeout_s=60"]  # on a slow machine the robot is far ahead of the learner
    words.append(f"chaos.folder='{tmp_path / 'Läufe der 1'}'")  # a space, and a letter beyond ASCII
    done = subprocess.run(
        [sys.executable, "-m", "rlpd_robot", "bench", "chaos", "--json", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "RLPD_ROBOT_CONFIGS": str(CONFIGS)},
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["findings"], report["other"]) == (
        0,
        {"lost": [], "duplicated": [], "torn": [], "unrecovered": []},
        [],
    ), done.stderr
    assert (report["faults"], list(report["phases"])) == (4, ["realtime"])
    for phase in report["phases"].values():
        assert phase["consumed"] == phase["committed"] > 0
        assert phase["critic_updates"] == 2 * phase["committed"]
    assert report["kill_to_commit_s"]["max"] >= report["kill_to_commit_s"]["p50"] > 0
    assert report["seen_s"]["max"] > 0
    assert report["journal_ms"]["p99"] >= report["journal_ms"]["p50"] > 0
    last = done.stderr.splitlines()[-1]
    pattern = r"faults=4 executed=\d+ committed=\d+ lost=0 duplicated=0 torn=0 unrecovered=0"
    assert re.fullmatch(pattern, last), last
