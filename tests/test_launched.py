"""Jobs of a study through Hydra's launchers."""

import threading
from pathlib import Path

import pytest

from rlpd_robot import cli
from rlpd_robot.errors import MissingPackageError
from rlpd_robot.verbs import launched


def test_every_job_runs_through_joblib_and_leaves_its_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    jobs = {"base-seed0": ["--version"], "base-seed1": ["no-such-verb"]}
    launched.launch("joblib", ["hydra.launcher.n_jobs=1"], jobs, tmp_path, threading.Event())
    logs = {name: (tmp_path / "logs" / f"{name}.log").read_text() for name in jobs}
    assert logs["base-seed0"][0].isdigit()
    assert "there is no verb 'no-such-verb'" in logs["base-seed1"]
    said = capfd.readouterr()
    assert "Process 'base-seed1' ended with status 2. Last words: rlpd-robot: there is no verb" in said.err + said.out


def test_a_launcher_that_is_none_or_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["experiment", "small/door", "--launcher=slurm"]) == 2
    assert (
        "'--launcher' must be one of joblib, submitit_local, submitit_slurm. Received 'slurm'"
        in capsys.readouterr().err
    )
    monkeypatch.setitem(launched.LAUNCHERS, "submitit_slurm", "hydra-no-launcher")
    with pytest.raises(MissingPackageError, match=r"hydra-no-launcher.*rlpd-robot\[cluster\]"):
        launched.check_launcher("submitit_slurm")
