import sys

import pytest

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ChildError, ConfigError
from rlpd_robot.run.bench import learner_variants as variants
from rlpd_robot.run.bench_settings import LearnerBenchSettings
from rlpd_robot.run.learner_settings import LearnerSettings

BENCH = LearnerBenchSettings(seconds=0.5, compare=True, flags=("--xla_fast", "--xla_wrong"))

FAKE = """
import json, os, sys
flags, spec = os.environ["XLA_FLAGS"], json.loads(sys.argv[1])
if "wrong" in flags:
    sys.exit("Unknown flag in XLA_FLAGS: --xla_wrong")
print("a library's own words")
print(json.dumps({"platform": "cpu", "compile_s": 2.0}), flush=True)
for line in sys.stdin:
    rate = 40.0 if "fast" in flags else 10.0 * spec["learner"]["unroll"]
    rate *= 3 if spec["agent"]["precision"] == "bfloat16" else 1
    print(json.dumps({"critic_updates_per_s": rate, "fraction": 0.5, "device_peak_mb": 7.0}), flush=True)
"""


def test_what_is_compared_fits_the_device_and_the_agent() -> None:
    cpu, gpu = ([v.name for v in variants.variants_for(p, AgentConfig(utd=10), ["--a=1"])] for p in ("cpu", "gpu"))
    assert {"updates unrolled by 2", "updates unrolled by 5", "factors in bfloat16"} <= set(cpu) & set(gpu)
    assert "updates unrolled by 10" in gpu
    assert cpu[-1] == gpu[-1] == "--a=1"
    assert not any("unrolled" in v.name for v in variants.variants_for("cpu", AgentConfig(utd=7), []))
    assert "command buffers for all" in set(gpu) - set(cpu)
    assert all(
        AgentConfig(**v.agent) and LearnerSettings(**v.learner) for v in variants.variants_for("gpu", AgentConfig(), [])
    )


def test_each_is_measured_beside_the_baseline_and_one_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "_COMMAND", (sys.executable, "-S", "-c", FAKE))
    report = variants.compare(AgentConfig(), LearnerSettings(), BENCH)
    assert report["platform"] == "cpu"
    times = {name: row.get("speed_up") for name, row in report["variants"].items()}
    assert times[variants.BASELINE] == 1.0
    assert times["updates unrolled by 5"] == 5.0
    assert times["factors in bfloat16"] == 3.0
    assert times["--xla_fast"] == 4.0
    assert report["variants"]["--xla_wrong"]["refused"].endswith("Unknown flag in XLA_FLAGS: --xla_wrong")
    lines = variants.table(report).splitlines()
    assert lines[1].split() == ["updates", "unrolled", "by", "5", "50.0", "5.00", "0.50", "2.0", "7"]
    assert lines[-1].startswith("--xla_wrong: ")


def test_a_baseline_that_cannot_be_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "_COMMAND", (sys.executable, "-S", "-c", "import sys; sys.exit('no device')"))
    with pytest.raises(ChildError, match="no device"):
        variants.compare(AgentConfig(), LearnerSettings(), BENCH)


def test_flags_without_a_comparison_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"learner_bench\.flags"):
        LearnerBenchSettings(flags=("--a",))
