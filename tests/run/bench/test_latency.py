import json

import numpy as np
import pytest

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.control_loop import STAGES
from rlpd_robot.run.bench.latency import table
from rlpd_robot.run.bench.latency_parts import Part, bench_problem, write_demos
from rlpd_robot.run.bench.networks import random_network
from rlpd_robot.run.ports import free_addresses

FIGURES = {"p50": 1.0, "p99": 2.0, "p999": 3.0}


def loop(**changes):
    stages = (*STAGES, "response", "policy_swap", "command_age")
    figures = {f"{stage}_ms_{q}": value for stage in stages for q, value in FIGURES.items()}
    return {**figures, "said": [], "faults": 0.0, "learner_cores": 1.5, **changes}


def report(missed):
    runs = {"50": FIGURES, "100": FIGURES}
    faulty = loop(said=["Robot stopped: overrun: 600 ms"], faults=2.0)
    return {
        **{f"{name}_us": FIGURES for name in ("echo", "forward", "server", "swap")},
        "ratio": {"p50": 1.25, "p99": 1.5, "p999": 1.75},
        "lateness_ms": {**FIGURES, "alone": runs, "loaded": runs},
        "loops": {"alone": {"100": loop()}, "loaded": {"100": faulty}},
        "cores": 2,
        "missed": missed,
    }


def test_the_table_tells_every_figure_and_every_fault():
    text = table(report(["ratio_p50"]))
    assert "server / (echo + forward)       1.25      1.50      1.75" in text
    assert "50 Hz, loaded                   1.00      2.00      3.00" in text
    assert "command_age, alone" in text
    assert "record, loaded" in text
    assert "100 Hz, loaded: Robot stopped: overrun: 600 ms" in text
    assert "100 Hz, loaded: 2 faults, after each of which it went on by itself" in text
    assert "cores that the learner kept busy: 1.50 at 100 Hz" in text
    assert text.splitlines()[-1] == "cores=2 missed aims: ratio_p50"
    assert table(report([])).endswith("missed aims: none")


@pytest.mark.integration
def test_what_is_measured_is_the_whole_actor_in_front_of_a_robot_in_another_process(tmp_path):
    problem = bench_problem(20)
    policy = random_network(problem.observation_size, problem.action_size, problem.fingerprint)
    save_snapshot(tmp_path / "policy.npz", policy)
    robot_address, *others = free_addresses(4)
    link = {**dict(zip(("data", "policy", "control"), others, strict=True)), "robot": robot_address, "timeout_s": 0.5}
    robot = Part("robot", robot_address, 20)
    actor = Part("actor", tmp_path, 12, json.dumps({"link": link, "actor": {"realtime_priority": 0}}))
    try:
        figures, theirs = actor.report(60), robot.end()
    finally:
        actor.kill()
        robot.kill()
    assert 1 <= figures["steps"] < 12  # of 12 looks, the one at the reset and those of a busy machine's faults aside
    assert figures["uncommitted"] == figures["steps"]  # journalled; no learner is there
    assert figures["policy_version"] == 1
    for stage in STAGES:
        assert 0 < figures[f"{stage}_ms_p50"] <= figures[f"{stage}_ms_max"]
    assert theirs["executed"] >= figures["steps"]
    assert 0 < theirs["command_age_ms_p50"] < 1e4


def test_the_learner_beside_it_starts_from_episodes_of_that_robot(tmp_path):
    write_demos(tmp_path / "demos.zarr", 500)
    store = DemoStore.open(tmp_path / "demos.zarr")
    assert store.problem.fingerprint == bench_problem(500).fingerprint
    assert store.summary().episodes == 5
    assert np.isfinite(store.transitions().reward).all()
