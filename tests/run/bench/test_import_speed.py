"""The steps of `bench import`, each once and in this process, and what it makes of their figures."""

from pathlib import Path

import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bench import import_speed as bench


def test_the_steps_and_the_table(tmp_path: Path) -> None:
    bench._make(tmp_path, "d4rl", "2", "5")
    imported = bench._import(tmp_path, "d4rl")
    assert imported["transitions"] == 10
    assert imported["bytes"] == 12 * 430  # 39 observations, 28 actions twice, and 50 bytes of other columns
    assert imported["seconds_per_million"] == pytest.approx(1e5 * imported["seconds"])
    assert 20 < imported["libraries_mb"] <= imported["peak_mb"] < 2000
    formats = {"d4rl": {**imported, "times_plain_write": 3.0, "peak_mb": 501.0, "seconds_per_million": 59.0}}
    checks = {what: bench._STEPS[what](tmp_path) for what in ("validate", "validate-sealed")}
    assert all(figures["file_mb_per_s"] > 0 for figures in checks.values())
    text = bench.table({"formats": formats, "checks": checks, "steps": 5, "cores": 2, "missed": ["d4rl: peak_mb"]})
    assert text.splitlines()[1].startswith("d4rl                        10 ")
    assert text.endswith("steps=5 cores=2 missed: d4rl: peak_mb")
    assert bench._missed(formats["d4rl"]) == ["peak_mb"]


def test_a_format_that_there_is_not() -> None:
    from rlpd_robot.config import load

    settings, _ = load("bench", ["experiment=adroit_door_quick", "import_bench.formats=csv"])
    with pytest.raises(ConfigError, match="import_bench.formats.* all, or one of dapg, serl"):
        bench.run_bench(settings, [], lambda recipe: None)
