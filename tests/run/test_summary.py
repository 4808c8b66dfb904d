import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.run.evaluate import Evaluation
from rlpd_robot.run.settings import EvalSettings, RunSettings
from rlpd_robot.run.summary import delivery, summarise
from rlpd_robot.wire.journal import Journal
from tests.run.point import settings
from tests.wire.examples import problem, segment

LEARNER = {
    "env_steps": 20,
    "critic_updates": 100,
    "utd_target": 5,
    "utd_realised": 5.0,
    "published": 4,
    "compile_s": 7.5,
    "compiles": 1,
}
ACTOR = {
    "steps": 4.0,
    "lockstep": 0.0,
    "period_ms": 10.0,
    "lateness_ms_p50": 0.1,
    "lateness_ms_p99": 0.5,
    "lateness_ms_p999": 0.9,
    "deadline_misses": 3.0,
    "policy_age_s_p50": 0.2,
    "policy_age_s_p99": 0.4,
}


def evaluation(*solved: float) -> Evaluation:
    episodes = [EpisodeSummary(i, 20, -20.0, s > 0, s, "truncated", "time limit", 4) for i, s in enumerate(solved)]
    return Evaluation(range(len(solved)), episodes)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's directory as the processes leave it: 20 transitions on disk."""
    directory = tmp_path / "point"
    directory.mkdir()
    (directory / "learner.json").write_text(json.dumps(LEARNER))
    (directory / "actor.json").write_text(json.dumps(ACTOR))
    with StoreWriter(directory / "live.zarr", problem()) as writer:
        writer.append(segment("boot-a", first=0, n=12, ending="truncated"))
        writer.append(segment("boot-a", first=12, n=5, ending="truncated", episode=1))
        writer.append(segment("boot-b", first=0, n=3, ending="truncated"))
    return directory


def summary(run: Path, result: Evaluation, demos: Any = None, **evaluating: Any) -> dict[str, Any]:
    wanted = settings(
        run.parent, eval=EvalSettings(**evaluating), run=RunSettings(name="point", root=str(run.parent), seed=7)
    )
    return summarise(wanted, "reach", demos, result, 61.26, None)


def test_every_figure_has_its_place(run: Path) -> None:
    assert summary(run, evaluation(0.5, 0.0), min_success=0.5) == {
        "task": "reach",
        "seed": 7,
        "learned": True,
        "verdict": "Learned: 50 % of evaluation episodes solved.",
        "env_steps": 20,
        "wall_s": 61.3,
        "critic_updates": 100,
        "utd_target": 5,
        "utd_realised": 5.0,
        "demos": None,
        "eval": {
            "episodes": 2,
            "success_rate": 0.5,
            "success_ci95": [pytest.approx(0.0945, abs=1e-3), pytest.approx(0.9055, abs=1e-3)],
            "normalized_return": 25.0,
        },
        "actor": {
            "period_ms": 10.0,
            "lateness_ms": {"p50": 0.1, "p99": 0.5, "p999": 0.9},
            "deadline_misses": 3,
            "lockstep": False,
        },
        "delivery": {"sent": 21, "committed": 20, "waiting": 0, "lost": 1, "duplicated": 0},
        "policy": {"published": 4, "age_s": {"p50": 0.2, "p99": 0.4}},
        "learner": {"compile_s": 7.5, "compiles": 1},
        "video": None,
    }


@pytest.mark.parametrize(
    ("solved", "verdict"),
    [
        ((0.9, 0.9), "Learned: 100 % of evaluation episodes solved, normalised return 90.0, above the demonstrations'"),
        ((0.1, 0.1), "Learned: 100 % of evaluation episodes solved, normalised return 10.0, below the demonstrations'"),
        ((0.9, 0.0), "Did not learn: 50 % of evaluation episodes solved, 80 % wanted."),
    ],
)
def test_the_verdict_sets_the_policy_against_the_demonstrations(
    run: Path, solved: tuple[float, ...], verdict: str
) -> None:
    demos = replace(DemoStore.open(run / "live.zarr").summary(), mean_normalized_return=50.0)
    made = summary(run, evaluation(*solved), demos)
    assert made["verdict"].startswith(verdict)
    assert made["learned"] == verdict.startswith("Learned")
    assert made["demos"]["normalized_return"] == 50.0
    assert made["demos"]["episodes"] == 3


def test_delivery_is_counted_on_disk(run: Path) -> None:
    found = delivery(run / "live.zarr", 3, run / "actor" / "journal")
    assert found == {"sent": 20, "committed": 20, "waiting": 0, "lost": 0, "duplicated": 0}


def test_what_only_the_actors_journal_has_is_waiting_and_not_lost(run: Path) -> None:
    with closing(Journal(run / "actor" / "journal", budget_mb=10)) as journal:
        journal.begin("boot-b", 1, "spec")
        journal.append(segment("boot-b", first=1, n=5, ending=""))  # two of them are in the store
    found = delivery(run / "live.zarr", 7, run / "actor" / "journal")  # sequence 6 is nowhere
    assert found == {"sent": 24, "committed": 20, "waiting": 3, "lost": 1, "duplicated": 0}


def test_a_transition_that_is_there_twice_shows(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store refuses one, so it is played to the count."""
    episodes = list(DemoStore.open(run / "live.zarr").episodes())
    monkeypatch.setattr(DemoStore, "episodes", lambda _, hidden: iter([*episodes, episodes[2]]))
    found = delivery(run / "live.zarr", 3, run / "actor" / "journal")
    assert found == {"sent": 20, "committed": 20, "waiting": 0, "lost": 0, "duplicated": 3}


def test_what_was_out_of_bounds_is_passed_on(run: Path) -> None:
    said = {"checks": 3, "findings": {"utd_share": "words"}}
    (run / "learner.json").write_text(json.dumps(LEARNER | {"diagnostics": said}))
    assert summary(run, evaluation(0.5))["diagnostics"] == said


def test_it_is_json(run: Path) -> None:
    made = summary(run, evaluation(0.5))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert not any(isinstance(value, np.generic) for value in made.values())
