import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.config import build, load
from rlpd_robot.run.experiment import tune
from rlpd_robot.run.experiment.plan import CURVE, RESULT, Job
from rlpd_robot.run.experiment.settings import StudySettings
from rlpd_robot.run.settings import RunSettings, Settings
from tests.run.point import settings

SCORES = {1: 20.0, 2: 10.0}  # of Z; two layers are worth 5 more than three, an entropy backup costs 3


def score(agent: AgentConfig) -> float:
    return SCORES[agent.target_subset] + 5.0 * (agent.hidden_layers == 2) - 3.0 * agent.entropy_backup


class Played:
    """Stands for a job's process: it writes what the job would, and notes that it was asked for."""

    state, pid, running, status = "ended", 0, False, 0

    def __init__(self, job: Job) -> None:
        job.directory.mkdir(parents=True)
        value = score(job.settings.agent) + job.seed
        lines = [
            {"at": at, "measure": measure, "success": 1.0}
            for at, measure in ((0, 99.0), (5, value - 1), (9, value + 1))
        ]
        (job.directory / CURVE).write_text("".join(json.dumps(line) + "\n" for line in lines))
        result = {"row": job.row, "seed": job.seed, "fingerprint": job.fingerprint, "measure": value, "findings": {}}
        (job.directory / RESULT).write_text(json.dumps(result))

    def last_words(self) -> str:
        return ""

    def end(self, timeout_s: float) -> None:
        pass


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the tuning with two seeds; what it said, and the jobs that it started."""
    monkeypatch.setattr("rlpd_robot.run.experiment.pool._LOOK_S", 0.0)
    monkeypatch.setattr("rlpd_robot.run.experiment.pool._keep_to", lambda *_: None)
    monkeypatch.setattr(tune, "study_png", lambda *_: b"")  # test_results.py draws one

    def compose(words: Sequence[str]) -> tuple[Settings, str]:
        wanted = settings(
            tmp_path,
            task={"_target_": "nothing", "name": "reach"},
            agent=AgentConfig(demo_ratio=0.0),
            run=RunSettings(root=str(tmp_path), env_steps=9),
            study=StudySettings(seeds=2),
        )
        return wanted, ""

    def run() -> tuple[list[str], list[str]]:
        said: list[str] = []
        started: list[str] = []

        def start(job: Job) -> Played:
            started.append(job.name)
            return Played(job)

        monkeypatch.setattr(tune, "_starter", lambda *_: start)
        assert tune.run_tune([], compose, build, threading.Event(), said.append) == 0
        return said, started

    return run


def test_each_stage_keeps_what_is_better(tuned, tmp_path: Path) -> None:
    said, started = tuned()
    assert said[0].startswith("tune 'reach': 4 agents × 2 seeds × 9 environment steps = 72 in all")
    z, layers = "target_subset=1", "target_subset=1+hidden_layers=2"
    assert sorted(started) == sorted(
        f"{label}-seed{seed}" for label in ("as_given", z, f"{z}+entropy_backup=true", layers) for seed in (0, 1)
    )
    agent = tmp_path / "tune-reach" / "agent.yaml"
    text = agent.read_text()
    # 10 and 20, for seeds 0 and 1; the start, 99 %, does not count
    assert "# target_subset: 2 gave 10.5 %, 1 20.5 % (2 seeds, difference +10.0 to +10.0); 1 stays, NOT clear" in text
    assert "# entropy_backup: false gave 20.5 %, true 17.5 % (2 seeds, difference -3.0 to -3.0); false stays" in text
    assert "# hidden_layers: 3 gave 20.5 %, 2 25.5 %" in text
    assert tuned()[1] == []  # done already


def test_what_it_writes_is_an_agent(tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned()
    folder = tmp_path / "mine" / "agent"
    folder.mkdir(parents=True)
    (folder / "found.yaml").write_text((tmp_path / "tune-reach" / "agent.yaml").read_text())
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(tmp_path / "mine"))
    agent = load("train", ["agent=found"])[0].agent
    assert agent == AgentConfig(demo_ratio=0.0, target_subset=1, hidden_layers=2)


def test_a_difference_within_its_interval_is_not_clear() -> None:
    stage = tune.STAGES[0]
    found = tune.Comparison(stage, 2, 1, [10.0, 20.0], [15.0, 19.0], (-1.0, 5.0))
    assert (found.better, found.clear) == (True, False)
    assert found.sentence.endswith("1 stays, NOT clear: more seeds or steps would tell")
    assert not replace(found, interval=(1.0, 5.0)).clear  # of two seeds
    assert replace(found, kept=[1.0] * 5, tried=[4.0] * 5, interval=(1.0, 5.0)).clear
    assert not tune.Comparison(stage, 2, 1, [10.0], [10.0], None).better  # a tie changes nothing


def test_the_other_value_of_each_stage() -> None:
    agent = AgentConfig()
    assert [stage.other(agent) for stage in tune.STAGES] == [1, True, 2]
    again = replace(agent, target_subset=1, entropy_backup=True, hidden_layers=2)
    assert [stage.other(again) for stage in tune.STAGES] == [2, False, 3]
    with pytest.raises(Exception, match="study.eval_every"):
        tune.score_of(Job("r", 0, settings(Path("/nowhere")), Path("/nowhere")))
