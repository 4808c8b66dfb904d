"""`rlpd-robot train` with all its processes: in lock-step on the Adroit door, and what may befall it on a point."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot
from rlpd_robot.run.compile_cache import processor
from sim.sim_driver import SimDriver
from sim.tasks.registry import make_task
from tests.integration.running import Verb, children_of, link_words, live_rows, make_demos, read_json, row, run_verb

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
    """Two runs on the door, "a" and "b", of the same settings and seed."""
    root = tmp_path_factory.mktemp("door")
    demos = make_demos(root / "demos.zarr", SimDriver("door"), make_task("door"), episodes=1)
    for name, report in (("a", "eval.report=true"), ("b", "eval.report=false")):
        words = ["train", "experiment=adroit_door_quick", *TINY, f"run.demos={demos}", f"run.root={root}", report]
        status, text = run_verb([*words, f"run.name={name}", *link_words()], root / f"{name}.log")
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
    assert not (door / "b" / "report.html").exists()  # as it was asked


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


def test_the_same_seed_gives_the_same_run_bit_for_bit(door: Path) -> None:
    one, two = ([*DemoStore.open(door / name / "live.zarr").episodes()] for name in "ab")
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        for column in ("observations", "actions", "rewards", "policy_versions"):
            assert np.array_equal(getattr(a, column), getattr(b, column)), (a.episode, column)
    first, second = (load_snapshot(door / name / "policy.npz").arrays for name in "ab")
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


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


Start = Callable[..., tuple[Verb, Path]]


@pytest.fixture
def train(tmp_path: Path, demos: Path) -> Iterator[Start]:
    """Starts a run of the point's experiment; gives the process and the run's directory."""
    started: list[Verb] = []

    def start(*words: str) -> tuple[Verb, Path]:
        base = ["train", "experiment=point", f"run.demos={demos}", f"run.root={tmp_path}", *link_words()]
        started.append(Verb([*base, *words], tmp_path / "train.log"))
        return started[-1], tmp_path / "point"

    yield start
    for verb in started:
        verb.kill()


def test_ctrl_c_ends_every_child_and_keeps_the_data(train: Start) -> None:
    verb, run = train("run.env_steps=1000000")
    verb.until(lambda: row(run).get("env_steps", 0) > 50)
    children = children_of(verb.process.pid)
    assert children.keys() == {"sim", "learner", "actor"}
    verb.interrupt()
    assert verb.ends() == 130
    assert f"Stopped by a person; everything executed until then is in {run / 'live.zarr'}." in verb.text
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    rows = live_rows(run)
    assert rows == [(rows[0][0], n) for n in range(len(rows))]
    assert len(rows) == read_json(run / "actor.json")["steps"] > 50
    assert "Traceback" not in "".join(path.read_text() for path in (run / "logs").iterdir())


def test_a_stopped_run_is_gone_on_with_and_a_finished_one_is_only_evaluated(train: Start) -> None:
    verb, run = train("learner.checkpoint_every=40")
    verb.until(lambda: row(run).get("env_steps", 0) > 50)
    verb.interrupt()
    assert verb.ends() == 130
    stopped = len(live_rows(run))

    again, _ = train("resume=auto")
    assert again.ends() == 0, again.text
    assert len(live_rows(run)) == len(set(live_rows(run))) == 300 > stopped
    learned, summary = read_json(run / "learner.json"), read_json(run / "summary.json")
    assert learned["env_steps"] == 300
    assert summary["delivery"]["lost"] == summary["delivery"]["duplicated"] == 0

    third, _ = train("resume=auto")
    assert third.ends() == 0, third.text
    assert read_json(run / "learner.json") == learned  # nobody learned
    assert read_json(run / "summary.json")["eval"] == summary["eval"]


def test_a_run_by_the_wall_clock(train: Start) -> None:
    """300 periods of 10 ms; the learner may fall behind, the actor may not wait for it."""
    verb, run = train("sim.lockstep=false")
    assert verb.ends() == 0, verb.text
    summary = read_json(run / "summary.json")
    assert summary["actor"]["lockstep"] is False
    assert summary["actor"]["period_ms"] == pytest.approx(10, rel=0.5)
    assert summary["actor"]["deadline_misses"] >= 0
    assert summary["env_steps"] >= 300
    assert summary["delivery"]["lost"] == summary["delivery"]["duplicated"] == 0
    assert summary["delivery"]["committed"] == summary["delivery"]["sent"] >= 300
    assert summary["utd_realised"] == pytest.approx(2, rel=0.02)
    assert summary["learner"]["compiles"] == 1
