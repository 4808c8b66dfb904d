import contextlib
import random
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.rosbridge import connection
from rlpd_robot.run.bench import rosbridge_parts
from rlpd_robot.run.bench.rosbridge import AIMS, run_bench, table
from rlpd_robot.run.bench.rosbridge_parts import Commander, be_cut, draw_cuts, stale
from rlpd_robot.run.bench.tcp_proxy import Cut, TcpProxy
from tests.integration.running import CONFIGS, REPOSITORY
from tests.robot.rosbridge.point_node import driving, point
from tests.run.point import settings

FIGURES = {"p50": 1.0, "p99": 2.0, "p999": 3.0}


def test_a_command_is_stale_when_a_connection_was_made_between_its_making_and_its_execution() -> None:
    made = np.array([0.5, 1.5, 1.5, 2.5, 9.0])
    executed = np.array([0.6, 1.9, 2.1, 3.5, 9.1])
    assert stale(made, executed, [0.0, 2.0, 3.0]).tolist() == [False, False, True, True, False]
    assert not stale(made, executed, []).any()


def test_the_cuts_leave_nothing_out() -> None:
    cuts = draw_cuts(200, random.Random(0), 1000)
    assert {kind: sum(cut.kind == kind for cut in cuts) for kind in ("reset", "freeze", "late")} == {
        "reset": 160,
        "freeze": 20,
        "late": 20,
    }
    assert len({cut.after_bytes for cut in cuts}) > 100
    assert {cut.kind for cut in draw_cuts(3, random.Random(0), 1000)} == {"reset", "freeze", "late"}


def test_the_driver_lets_no_stale_command_through_and_one_that_a_network_held_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The point executes whatever arrives, whenever: so what the last cut holds back must show, and nothing else."""
    monkeypatch.setattr(connection, "SILENCE_S", 0.4)
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(rosbridge_parts, "_ACTING", (3, 8))
    cuts = [Cut("reset", 133), Cut("freeze", 300, 0.1), Cut("late", 50, 0.05)]
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(point())
        proxy = TcpProxy(node.server.url.replace("ws://", "tcp://"))
        stack.callback(proxy.close)
        driver = stack.enter_context(driving(proxy.address))
        commander = Commander(driver, driver.connect(20.0))
        be_cut(commander, proxy, cuts, random.Random(0))
        executed = [(commander.made[message["data"][0]], at_s) for at_s, message in list(node.heard)]
    assert len(proxy.cut_s) == len(cuts)
    assert commander.refused > 0
    made_s, executed_s = np.array(executed).T
    held = stale(made_s, executed_s, proxy.made_s)
    assert held.any()
    assert (made_s[held] > proxy.made_s[-2]).all()  # all of them on the link that was cut last
    assert {int(i) for i in np.searchsorted(proxy.made_s, made_s[~held])} == set(range(1, len(proxy.made_s) + 1))


@pytest.mark.integration
def test_the_bench_reads_the_robots_own_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(CONFIGS))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(rosbridge_parts, "_ACTING", (3, 8))
    words = ["robot=still", "rosbridge.seconds=1", "rosbridge.cuts=1", "actor.realtime_priority=0"]
    report = run_bench(load("bench", words)[0], words, build)
    assert report["joints"] == 2
    assert report["hertz"] == 50
    for key in ("state_ms", "command_ms", "echo_state_ms", "echo_command_ms"):
        assert 0 < report[key]["p50"] <= report[key]["p999"] < 1e4
    assert report["cuts"]["count"] == 1
    assert report["cuts"]["connections"] >= 2
    assert report["cuts"]["stale_commands"] == 0
    assert 0 < report["cuts"]["executed"] <= report["cuts"]["made"] - report["cuts"]["dropped"]
    assert report["passed"] == (not report["missed"])
    assert "1 cuts (1 reset)" in table(report)


def test_a_robot_that_is_not_behind_rosbridge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one behind rosbridge with a stand-in"):
        run_bench(settings(tmp_path), [], build)


def test_the_table_tells_what_was_missed() -> None:
    cuts = {"count": 3, "kinds": {"reset": 2, "late": 1}, "connections": 4, "made": 50, "dropped": 20, "executed": 29}
    delays = {key: FIGURES for key in ("state_ms", "command_ms", "echo_state_ms", "echo_command_ms")}
    counts = {"joints": 24, "hertz": 100.0, "states": 10, "commands": 9, "interruptions": 0, "cores": 2}
    text = table(
        {
            **delays,
            **counts,
            "cuts": {**cuts, "stale_commands": 1, "refused_late": 2},
            "missed": [next(iter(AIMS))],
            "not_permitted": ["not permitted: this"],
        }
    )
    assert "command                         1.00      2.00      3.00" in text
    assert "3 cuts (2 reset, 1 late)" in text
    assert "29 executed, 1 of them stale" in text
    assert text.endswith("not permitted: this\ncores=2 missed aims: state_age_p50_ms")
