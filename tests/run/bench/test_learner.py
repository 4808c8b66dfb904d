import json
import sys
from dataclasses import asdict

import jax
import numpy as np
import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.run.bench import learner_guard as guard
from rlpd_robot.run.bench import learner_variants
from rlpd_robot.run.bench.learner import run_bench, table
from rlpd_robot.run.bench.learner_parts import made_up_rows, update_flops
from rlpd_robot.run.bench.learner_sweeps import sweeps_png
from rlpd_robot.run.bench_settings import LearnerBenchSettings
from rlpd_robot.run.evaluate import Build
from tests.run.point import settings

SMALL = AgentConfig(ensemble=2, hidden_layers=1, hidden_width=8, batch_size=8, utd=2, random_steps=0)


def test_the_flops_of_an_update_counted_by_hand():
    # One layer of 8 units, O=3, A=2. Products for one row: critic 5·8 + 8·1 = 48, actor 3·8 + 8·4 = 56.
    # A critic's step: for both critics forward, gradient by weights, and by the inputs of all but the first layer:
    # 2·(48 + 48 + 8); two targets 2·48; the next action 56. The actor's: 56 + 56 + 32, and the critics there and back:
    # 2·2·48.
    critic_step = 2 * (48 + 48 + 8) + 2 * 48 + 56
    actor_step = 56 + 56 + 32 + 2 * 2 * 48
    assert update_flops(SMALL, 3, 2) == 2 * 8 * (critic_step + actor_step / 2)


def test_rows_come_in_chunks_and_follow_each_other():
    chunks = list(made_up_rows(3, 2, 25, 10, is_demo=True))
    assert [len(chunk.reward) for chunk in chunks] == [10, 10, 5]
    np.testing.assert_array_equal(chunks[0].next_observation[:-1], chunks[0].observation[1:])
    assert chunks[0].action.shape == (10, 2)
    assert (chunks[0].is_demo == 1).all()


def test_the_report_is_complete_and_its_figures_agree(tmp_path):
    bench = LearnerBenchSettings(seconds=0.1, demo_rows=100, ring_rows=1000, first_update=False)
    report = run_bench(settings(tmp_path, agent=SMALL, learner_bench=bench), [], Build)
    rate = report["critic_updates_per_s"]
    assert rate > 0
    assert report["env_steps_per_s"] == rate / 2
    assert report["gflops"] == pytest.approx(rate * update_flops(SMALL, 45, 24) / 1e9)
    assert report["fraction"] > 0
    assert 0 < report["data_share"] < 1
    assert 0 <= report["held_share"] < 1 - report["data_share"]
    assert 0 <= report["device_idle_share"] < 1
    assert all(cost > 0 for cost in report["costs"].values())
    assert report["device"] == jax.devices()[0].device_kind
    assert report["passed"]
    sweeps = {"width": {"64": {"critic_updates_per_s": 9.0, "fraction": 0.5}}}
    text = table({**report, "first_update_s": {"cold": 3.0, "cached": 1.0}, "sweeps": sweeps})
    assert "first update                 3.0 s cold, 1.0 s with a compile cache" in text
    assert "width         64:        9.0 critic updates/s, 0.50" in text
    assert sweeps_png(sweeps).startswith(b"\x89PNG")


def test_the_process_of_a_variant_answers_each_line(monkeypatch, capsys):
    spec = {"agent": asdict(SMALL), "mesh": {}, "learner": {"ring": "device", "unroll": 1}}
    monkeypatch.setattr(sys, "stdin", ["0.05\n", "0.05\n"])
    learner_variants.main(json.dumps({**spec, "demo_rows": 100, "ring_rows": 1000}))
    first, *turns = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["platform"] == jax.default_backend()
    assert len(turns) == 2
    assert all(turn["critic_updates_per_s"] > 0 and turn["fraction"] > 0 for turn in turns)


REPORT = {"fraction": 0.5, "costs": {"targets": 0.8, "a policy": 0.1}, "device": "cpu", "cores": 2}


def test_the_guard_says_what_got_slower(tmp_path):
    file = tmp_path / "costs.json"
    guard.save(file, {**REPORT, "first_update_s": {"cold": 4.0, "cached": 1.0}})
    committed = guard.load(file)
    assert committed["costs"]["targets"] == 0.8
    now = {**REPORT, "fraction": 0.45, "costs": {"targets": 1.6, "a policy": 0.05}}
    found = guard.compare(now, committed)
    assert found == {
        "judged": True,
        "slower": ["targets: 1.6, was 0.8 (2.00 times)"],
        "faster": ["a policy: 0.05, was 0.1 (0.50 times)"],
        "missing": ["first update with a compile cache, of one without"],
    }
    assert not guard.compare({**now, "cores": 8}, committed)["judged"], "another proportion of arithmetic to memory"


@pytest.mark.parametrize("text", [None, "no JSON", "[]", '{"machine": {}, "costs": {"targets": "fast"}}'])
def test_a_file_of_costs_that_is_none_is_refused_before_anything_is_measured(tmp_path, text):
    file = tmp_path / "costs.json"
    if text is not None:
        file.write_text(text)
    bench = LearnerBenchSettings(against=str(file))
    with pytest.raises(DataError, match=r"costs\.json.*learner_bench\.save"):
        run_bench(settings(tmp_path, learner_bench=bench), [], Build)


@pytest.mark.parametrize(
    ("key", "settings"),
    [("cores", {"cores": 0}), ("picture", {"picture": "a.png"}), ("save", {"save": "no/such/a.json"})],
)
def test_files_that_could_not_be_written_are_refused(key, settings):
    with pytest.raises(ConfigError, match=f"learner_bench.{key}"):
        LearnerBenchSettings(**settings)
