"""`rlpd-robot train` with all its processes, in lock-step on the Adroit door."""

import os
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot
from rlpd_robot.run.compile_cache import processor
from sim.sim_driver import SimDriver
from sim.tasks.registry import make_task
from tests.integration.running import Verb, link_words, make_demos, read_json, run_verb

pytestmark = pytest.mark.integration

TINY = (
    "agent.ensemble=2",
    "agent.hidden_layers=1",
    "agent.hidden_width=16",
    "agent.batch_size=16",
    "agent.utd=3",
    "agent.clone_updates=20",
    "learner.publish_every=30",
    "run.env_steps=320",
    "eval.episodes=2",
    "eval.film=false",
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the door, "a"."""
    root = tmp_path_factory.mktemp("door")
    demos = make_demos(root / "demos.zarr", SimDriver("door"), make_task("door"), episodes=1)
    words = ["train", "experiment=adroit_door_quick", *TINY, f"run.demos={demos}", f"run.root={root}", "run.name=a"]
    status, text = run_verb([*words, "eval.report=true", *link_words()], root / "a.log")
    assert status == 1, text  # it cannot have learned
    assert "Did not learn: 0 % of evaluation episodes solved, 80 % wanted." in text
    return root


def test_the_summary_is_complete_and_right(door: Path) -> None:
    summary = read_json(door / "a" / "summary.json")
    assert summary["task"] == "door"
    assert summary["seed"] == 0
    assert summary["env_steps"] == 320
    assert summary["wall_s"] > 0
    assert summary["critic_updates"] == 960
    assert summary["utd_target"] == 3
    assert summary["utd_realised"] == pytest.approx(3, rel=0.02)
    assert summary["eval"].keys() == {"episodes", "success_rate", "success_ci95", "normalized_return"}
    assert summary["eval"]["episodes"] == 2
    assert summary["actor"]["period_ms"] > 0
    assert summary["actor"]["lateness_ms"].keys() == {"p50", "p99", "p999"}
    assert summary["actor"]["deadline_misses"] == 0
    assert summary["actor"]["lockstep"] is True
    assert summary["delivery"] == {"sent": 320, "committed": 320, "waiting": 0, "lost": 0, "duplicated": 0}
    assert summary["policy"]["published"] == 13  # at the start, with each block, at the end
    assert summary["policy"]["age_s"].keys() == {"p50", "p99"}
    assert summary["learner"]["compile_s"] > 0
    assert summary["learner"]["compiles"] == 1
    assert summary["video"] is None


def test_a_run_leaves_what_it_promises(door: Path) -> None:
    names = {path.name for path in (door / "a").iterdir()}
    assert names >= {"config.yaml", "summary.json", "eval.json", "policy.npz", "live.zarr", "report.html", "curves.png"}
    assert names >= {"metrics.jsonl", "episodes.jsonl", "events.jsonl", "tensorboard", "logs"}
    assert {path.name for path in (door / "a" / "logs").iterdir()} == {"sim.log", "learner.log", "actor.log"}
    assert list((door / "a" / "actor" / "journal").glob("*.journal")) == []  # all of it was acknowledged


def test_what_a_learner_compiled_is_kept_for_the_next(door: Path) -> None:
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "rlpd-robot" / "xla" / processor()
    assert any("update" in path.name for path in folder.iterdir())


def test_a_runs_live_data_is_a_demonstration_store(door: Path) -> None:
    store = DemoStore.open(door / "a" / "live.zarr")
    store.check(DemoStore.open(door / "demos.zarr").problem)
    assert len(store.transitions().reward) == 320
    assert [len(episode) for episode in store.episodes()] == [200, 120]
    versions = np.concatenate([episode.policy_versions for episode in store.episodes()])
    assert versions.tolist() == [max(1, 1 + i // 30) for i in range(320)]


def test_the_policy_loads_and_fits(door: Path) -> None:
    snapshot = load_snapshot(door / "a" / "policy.npz")
    check_snapshot(snapshot, DemoStore.open(door / "demos.zarr").problem)
    assert (snapshot.env_steps, snapshot.critic_updates, snapshot.version) == (320, 960, 13)


def test_evaluation_from_disk_repeats_that_of_the_run(door: Path) -> None:
    before = read_json(door / "a" / "eval.json")
    links = link_words()
    words = ["experiment=adroit_door_quick", *TINY, f"run.root={door}", "run.name=a", *links]
    sim = Verb(["sim", *words], door / "sim.log")
    try:
        (door / "a" / "eval.json").unlink()
        status, text = run_verb(["eval", *words], door / "eval.log")
        assert status == 1, text
        assert "0 of 2 deterministic episodes solved" in text
        assert read_json(door / "a" / "eval.json") == before
        sim.interrupt()
        assert sim.ends() == 0
    finally:
        sim.kill()
