"""A tiny study from its first word to its last, and what is asked wrongly of one."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from rlpd_robot import cli
from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.config import build, load
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.experiment import experiment
from rlpd_robot.run.experiment.job import run_job
from rlpd_robot.run.experiment.plan import Job, job_of
from rlpd_robot.run.experiment.practice import Practice
from rlpd_robot.run.experiment.settings import StudySettings
from rlpd_robot.run.settings import LearnerSettings, RunSettings, Settings
from tests.integration.running import make_demos
from tests.run.learning import AGENT
from tests.run.point import settings

CONFIGS = Path(__file__).parents[3] / "robot_configs"
ROWS = sorted(path.stem for path in (CONFIGS / "row").glob("*.yaml"))


class Here:
    """Stands for a job's process: it runs in this one, when it is started."""

    state, pid, running = "ended", 0, False

    def __init__(self, job: Job, compose: experiment.Compose) -> None:
        self.said = [""]
        words = [f"row={job.row}", f"run.seed={job.seed}"]
        try:
            self.status = experiment.one_job("tiny", words, compose, build, threading.Event(), self.said.append)
        except ConfigError as error:
            self.status = 2
            self.said.append(str(error))

    def last_words(self) -> str:
        return self.said[-1]

    def end(self, timeout_s: float) -> None:
        pass


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demos(tmp_path_factory.mktemp("demos") / "demos.zarr", episodes=2)


@pytest.fixture
def compose(tmp_path: Path, demos: Path) -> experiment.Compose:
    """In the place of Hydra: a study of one row and two seeds, with the agent that other tests compile too."""

    def compose(words: Sequence[str]) -> tuple[Settings, str]:
        given = dict(word.split("=") for word in words)
        numbers = {"seeds": 2, "eval_every": 50, "eval_episodes": 2, "final_episodes": 3}
        study = StudySettings(rows=["base"], row="base", keep=True, **numbers)
        run = RunSettings(root=str(tmp_path), env_steps=90, demos=str(demos), seed=int(given.get("run.seed", 0)))
        return settings(tmp_path, agent=AGENT, run=run, study=study, learner=LearnerSettings(publish_every=7)), ""

    return compose


@pytest.fixture
def study(compose: experiment.Compose, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[int, list[str]]]:
    """Runs the study; its status and what it said."""
    monkeypatch.setattr(experiment, "child_of", lambda *_: lambda job: Here(job, compose))
    monkeypatch.setattr("rlpd_robot.run.experiment.pool._LOOK_S", 0.0)
    monkeypatch.setattr("rlpd_robot.run.experiment.pool._keep_to", lambda *_: None)

    def run() -> tuple[int, list[str]]:
        said: list[str] = []
        return experiment.run_experiment("tiny", [], compose, build, threading.Event(), said.append), said

    return run


def begins(monkeypatch: pytest.MonkeyPatch, *deaths: tuple[str, int]) -> list[tuple[str, int]]:
    """Seeds and numbers of the episodes that begin from here on, and deaths before some of them."""
    begun, real = [], Practice.begin_episode

    def begin(self: Practice, number: int) -> None:
        begun.append((self._seed, number))
        if begun[-1] in deaths:
            raise ConfigError("episode", number, "another")
        real(self, number)

    monkeypatch.setattr(Practice, "begin_episode", begin)
    return begun


def curve(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "curve.jsonl").read_text().splitlines()]


def test_a_study_from_end_to_end_cut_on_the_way(
    study: Callable[[], tuple[int, list[str]]],
    compose: experiment.Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "study_png", lambda *_: b"")
        begun = begins(patch, (1, 2))
        status, said = study()
    assert status == 1  # one job failed, and did not hold up the other
    assert said[0] == "tiny: 1 rows (base) × 2 seeds on 'fake'; 0 of 2 jobs are done, 180 environment steps to go"
    assert [line for line in said if "Setting 'episode' must be another" in line]
    assert begun == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    job = tmp_path / "tiny" / "base" / "seed1"
    assert [row["at"] for row in curve(job)] == [0, 50]
    with monkeypatch.context() as patch:
        begun = begins(patch)
        status, said = study()
    assert status == 0
    assert "1 of 2 jobs are done" in said[0]
    assert begun == [(1, 2)]  # from its last evaluation on
    assert "2 of 2" in said[-2]
    assert {path.name for path in (tmp_path / "tiny").iterdir()} == {
        *("results.csv", "results.json", "results.png", "base", "logs")
    }
    assert {path.name for path in job.iterdir()} == {
        *("curve.jsonl", "result.json", "live.zarr", "live.zarr.lock", "policies"),
    }
    assert {path.name for path in (job / "policies").iterdir()} == {"0.npz", "50.npz", "90.npz"}
    kept = DemoStore.open(job / "live.zarr")
    assert [len(episode) for episode in kept.episodes()] == [40, 40, 10], "what is played anew is there once"
    result = json.loads((job / "result.json").read_text())
    assert (result["row"], result["seed"], result["episodes"], result["env_steps"]) == ("base", 1, 3, 90)

    # The same job, never cut: the same figures, bit for bit.
    wanted = compose(["run.seed=1"])[0]
    once = job_of("once", "base", 1, wanted)
    assert run_job(once, build, threading.Event(), lambda _: None)
    rows, again = curve(once.directory), curve(job)
    # Evaluated at the first end of an episode (40 transitions) after each fifty, and at the end; three updates each.
    assert [(row["at"], row["env_steps"], row["critic_updates"]) for row in rows] == [
        (0, 0, 0),
        (50, 80, 240),
        (90, 90, 270),
    ]
    assert "diagnostics/q_outside_range" in rows[1]
    for key in ("at", "env_steps", "critic_updates", "success", "solved", "return", "measure"):
        assert [row[key] for row in again] == [row[key] for row in rows]
    other = DemoStore.open(once.directory / "live.zarr").transitions()
    assert all(np.array_equal(a, b) for a, b in zip(kept.transitions(), other, strict=True))


def test_a_command_a_job_for_other_machines(compose: experiment.Compose) -> None:
    said: list[str] = []
    experiment.list_jobs("tiny", ["run.seed=3", "agent.utd=2"], lambda words: compose([]), said.append)
    assert said == [f"todo rlpd-robot experiment tiny agent.utd=2 row=base run.seed={seed} --job" for seed in (0, 1)]


def test_what_the_command_line_asks_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["experiment"]) == 2
    assert "must be one study, such as small/door" in capsys.readouterr().err
    assert cli.main(["experiment", "paper/relocate", "study.rows=[base]"]) == 2
    said = capsys.readouterr().err
    assert "there is no such demonstration store. How to have it: " in said
    assert "rlpd-robot demos import relocate-human-v1.hdf5 demos/adroit_relocate/demos.zarr" in said
    assert cli.main(["experiment", "small/door", "study.rows=[no_norm]"]) == 2
    assert "no_norm" in capsys.readouterr().err
    assert cli.main(["tune", "run.demos=demos/adroit_door/demos.zarr"]) == 2
    assert "Setting 'robot' must be adroit_in_process, gymnasium, or another" in capsys.readouterr().err


@pytest.fixture(scope="module")
def small() -> str:
    """The composed small study, as YAML."""
    return load("experiment", ["experiment=small/door"])[1]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_change_of_the_agent_that_it_takes(row: str, small: str) -> None:
    """Merged as Hydra merges it, which takes half a second for each."""
    base, change = OmegaConf.create(small), OmegaConf.load(CONFIGS / "row" / f"{row}.yaml")
    OmegaConf.set_struct(base, True)
    merged = OmegaConf.merge(base, change)
    assert merged.study.row == row
    assert set(change) <= {"agent", "study", "run"}
    agent = AgentConfig(**{field.name: merged.agent[field.name] for field in fields(AgentConfig)})
    if row not in ("base", "two_layers", "z2", "no_entropy_backup"):  # which the quick agent has already
        assert merged.agent != base.agent
    assert agent.needs_demos == (row != "redq")


@pytest.mark.parametrize(
    "study", sorted(f"{p.parent.name}/{p.stem}" for p in (CONFIGS / "experiment").glob("*/*.yaml"))
)
def test_every_study_says_where_its_prior_data_comes_from(study: str) -> None:
    said = OmegaConf.load(CONFIGS / "experiment" / f"{study}.yaml")
    if "study" in said:
        out = said.run.demos
        assert said.study.prior.startswith("shipped") or out in said.study.prior
        assert (CONFIGS.parent / out).exists() == said.study.prior.startswith("shipped")
