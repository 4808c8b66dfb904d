"""A short attack on real processes; `rlpd-robot bench fuzz` is the long one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.running import CONFIGS, REPOSITORY, make_demos

pytestmark = pytest.mark.integration


def test_every_listening_socket_outlives_spoiled_frames(tmp_path: Path) -> None:
    demos = make_demos(tmp_path / "demos.zarr")
    words = ["experiment=point", f"run.demos={demos}", "agent.clone_updates=0", "fuzz.frames=2500", "run.seed=3"]
    done = subprocess.run(
        [sys.executable, "-m", "rlpd_robot", "bench", "fuzz", "--json", *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "RLPD_ROBOT_CONFIGS": str(CONFIGS)},
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["failures"]) == (0, []), done.stderr
    assert (report["frames"], report["executed"], report["resets"]) == (2500, 0, 0)
    assert set(report["targets"]) == {"robot", "data", "policy", "control", "serve"}
    assert report["growth_mb"] <= report["max_growth_mb"]
    assert done.stderr.splitlines()[-1].startswith("frames=2500 executed=0 resets=0 failures=0 ")
