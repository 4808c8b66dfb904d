"""One process of a run, kept running by itself: what a container or a service starts."""

import os
import signal
from pathlib import Path

import pytest

from rlpd_robot import cli
from rlpd_robot.run.health import health_of
from rlpd_robot.run.process_record import read_record
from tests.integration.running import Verb, events, link_words

pytestmark = pytest.mark.integration


def test_it_is_started_again_and_told_well_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "point"
    words = [
        "experiment=point",
        f"run.root={tmp_path}",
        *link_words(),
        "sim.lockstep=false",
        "supervise.backoff_s=0.01",
    ]
    sim = Verb(["supervise", "sim", *words], tmp_path / "out.log")
    try:
        sim.until(lambda: health_of(run, "sim").well)
        first = read_record(run, "sim")
        assert first is not None
        assert cli.main(["status", str(run), "--check=sim"]) == 0
        assert cli.main(["status", str(run), "--check=actor"]) == 1

        os.kill(first.pid, signal.SIGKILL)
        sim.until(lambda: (again := read_record(run, "sim")) and again.pid != first.pid and health_of(run, "sim").well)
        assert "ERROR sim: killed by SIGKILL; starts again" in sim.text
        assert "started again (1)" in events(run)
        sim.until(lambda: sim.text.count("\nstand-in of robot") == 1)  # the second; what it prints is seen here, too
        assert (run / "logs" / "sim.log").read_text().count("stand-in of robot 'point'") == 2

        sim.process.send_signal(signal.SIGTERM)
        assert sim.ends() == 0, sim.text
    finally:
        sim.kill()
    ended = read_record(run, "sim")
    assert ended is not None
    assert ended.ended == "ended (0)"
    assert cli.main(["status", str(run), "--check=sim"]) == 1


def test_what_was_asked_wrongly_is_not_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["supervise", "actor", f"run.root={tmp_path}", "run.sed=1"]) == 2
    assert cli.main(["supervise", "train"]) == 2
    assert "usage: rlpd-robot supervise sim|learner|actor|serve" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
