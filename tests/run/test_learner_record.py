import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlpd_robot.run.budget import UpdateBudget
from rlpd_robot.run.diagnostics.monitor import Monitor
from rlpd_robot.run.learner_record import LearnerRecord
from rlpd_robot.run.metrics import MetricsWriter, read_jsonl
from rlpd_robot.run.settings import ActorSettings, LearnerSettings
from tests.run.diagnostics.test_monitor import ACTOR, CONFIG, CRITICS, episode
from tests.run.point import PROBLEM, settings
from tests.wire.examples import segment


@pytest.fixture
def trainer():
    """What the record reads of a trainer."""
    budget = UpdateBudget(20, received=30, updates=400)
    return SimpleNamespace(budget=budget, ring_rows=30, demo_rows=7, metrics=lambda: {"critic_loss": 0.5})


@pytest.fixture
def make(tmp_path: Path):
    """A record in a run's directory."""
    writers = []

    def record(**groups) -> LearnerRecord:
        wanted = settings(tmp_path, **groups)
        writers.append(MetricsWriter(wanted.run.directory))
        return LearnerRecord(wanted, writers[-1])

    yield record
    for writer in writers:
        writer.close()


def test_an_episode_in_figures(make, tmp_path: Path) -> None:
    record = make(actor=ActorSettings(greedy_every=2))
    record.episode(segment(first=4, n=5, ending="truncated"), horizon=20, env_steps=9)
    record.episode(segment(first=9, n=1, episode=1, ending="terminated"), horizon=20, env_steps=10)
    one, two = read_jsonl(tmp_path / "point" / "episodes.jsonl")
    assert one.pop("wall_s") >= 0
    assert one == {
        "env_steps": 9,
        "episode": 0,
        "steps": 5,
        "success": True,
        "normalized_return": 15.0,  # sequences 4, 6 and 8 of 20 periods
        "reward": -30.0,
        "ending": "truncated",
        "cause": "time limit",
        "policy_version": 8,
        "explore": True,
    }
    assert (two["explore"], two["success"], two["ending"]) == (False, False, "terminated")
    assert record.episodes == 2


def test_rows_keep_their_distance_in_time(make, trainer, tmp_path: Path) -> None:
    record = make(learner=LearnerSettings(metrics_s=1000.0))
    actors = {"boot": SimpleNamespace(stats={"steps": 33.0})}
    for force in (False, False, True):
        record.row("learning", trainer, 4, {"received": 30.0}, actors, force)
    rows = read_jsonl(tmp_path / "point" / "metrics.jsonl")
    assert len(rows) == 2
    assert (
        rows[0].items()
        >= {
            "phase": "learning",
            "env_steps": 30,
            "critic_updates": 400,
            "utd_realised": 400 / 30,
            "updates_owed": 200,
            "ring_rows": 30,
            "demo_rows": 7,
            "policy_version": 4,
            "learner/critic_loss": 0.5,
            "delivery/received": 30.0,
            "actor/steps": 33.0,
        }.items()
    )
    assert "success_recent" not in rows[0]


def test_recent_success_is_that_of_twenty_episodes(make, trainer, tmp_path: Path) -> None:
    record = make()
    for i in range(25):
        record.episode(segment(first=i % 2, n=1, ending="truncated"), PROBLEM.horizon, env_steps=i)
    record.row("learning", trainer, 1, {}, {})
    (row,) = read_jsonl(tmp_path / "point" / "metrics.jsonl")
    assert row["success_recent"] == 0.5
    assert row["return_recent"] == 50 / PROBLEM.horizon
    assert row["episodes"] == 25


def test_a_row_tells_why_it_does_not_learn_once_there_is_time(make, trainer, tmp_path: Path) -> None:
    record = make(learner=LearnerSettings(metrics_s=1e-9))
    record.monitor = Monitor(CONFIG, None, share=1e-9)
    trainer.weights, trainer.metrics = lambda: (ACTOR, CRITICS), lambda: {"entropy": 0.25}
    trainer.budget.received, trainer.budget.updates = 3000, 3000  # of 60,000
    record.row("learning", trainer, 4, {}, {})  # nothing has been acted
    record.remember(episode([0.0, 0.0, 0.0, 1.0]), PROBLEM.horizon)
    record.row("resuming", trainer, 4, {}, {}, force=True)
    record.row("learning", trainer, 4, {}, {})
    record.row("learning", trainer, 4, {}, {})  # what the first one took is waited for
    for _ in range(3):
        record.row("finished", trainer, 4, {}, {}, force=True)
    rows = read_jsonl(tmp_path / "point" / "metrics.jsonl")
    assert ["diagnostics/q" in row for row in rows] == [False, False, True, False, True, True, True]
    assert rows[2]["diagnostics/utd_share"] == 0.05
    told = [event["text"] for event in read_jsonl(tmp_path / "point" / "events.jsonl")]
    assert sum(text.startswith("The learner has done only 5 % of the updates") for text in told) == 1
    record.status(trainer, finished=True)
    said = json.loads((tmp_path / "point" / "learner.json").read_text())["diagnostics"]
    assert said["measurements"] == 4
    assert {"utd_share", "action_saturation"} <= said["findings"].keys()
    assert said["checks"] > len(said["findings"])


def test_the_status_is_replaced_whole(make, trainer, tmp_path: Path) -> None:
    record = make()
    record.status(trainer, finished=False, published=3)
    record.status(trainer, finished=True, published=4)
    status = json.loads((tmp_path / "point" / "learner.json").read_text())
    assert (status["finished"], status["published"]) == (True, 4)
    assert (status["env_steps"], status["critic_updates"], status["utd_target"]) == (30, 400, 20)
    assert status["agent"]["ensemble"] == 10
    assert not [path for path in (tmp_path / "point").iterdir() if re.search("partial", path.name)]
