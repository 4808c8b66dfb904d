"""What is asked wrongly, and what is written."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.config import load
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.bench.books import Comparison
from rlpd_robot.run.directory import refuse_existing
from rlpd_robot.run.dry_run import sheet
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.dry_run.learn import check_delivery, check_recovery
from rlpd_robot.run.dry_run.plan import check_stand_in
from rlpd_robot.run.dry_run.randomized import Randomized
from rlpd_robot.run.dry_run.settings import DryRunSettings
from rlpd_robot.run.dry_run.stage import stand_in_words
from rlpd_robot.run.dry_run.timeline import interventions
from rlpd_robot.run.dry_run.trials import Seen, Trial
from rlpd_robot.run.settings import RunSettings

FAULT = Trial("<nan>", {"kind": "nan"}, expects="stops", causes=("bad data",), within_s=0.4)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["robot=zmq_robot", "task=fields"], "nothing stands in for robot 'zmq_robot' yet (docs/dry_run.md says"),
        (
            ["robot=zmq_robot", "task=fields", "dry_run.stand_in={_target_: builtins.print}"],
            "one that takes faults; that of robot 'zmq_robot' plays a robot",
        ),
        (["policy=/none/at/all"], "there is no file '/none/at/all'"),
        (["dry_run.only=[fire]"], "must be some of noise, bias,"),
        (["dry_run.episodes=0"], "Setting 'dry_run.episodes' must be at least 1"),
    ],
)
def test_what_cannot_be_tried_is_told_in_one_sentence(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["dry-run", *words]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.rglob("verdict.*"))


def test_a_real_robot_keeps_its_file_and_only_the_stand_in_is_told():
    recipe = "dry_run.stand_in={_target_: my.stand_in, address: '${link.robot}', faults: '${sim.faults}'}"
    words = ["robot=ur5e", "task=fields", "link.robot=tcp://127.0.0.1:7001", recipe]
    settings, _ = load("dry_run", words)
    assert settings.robot.stand_in is None  # the actor's: it acts as in front of the robot
    check_stand_in(settings)
    played, _ = load("sim", [*words, *stand_in_words(settings)])
    assert played.robot.stand_in is not None
    assert played.robot.stand_in["address"] == "tcp://127.0.0.1:7001"
    assert stand_in_words(load("dry_run", [])[0]) == []
    with pytest.raises(ConfigError, match=r"dry_run.stand_in' must be a mapping: a recipe"):
        DryRunSettings(stand_in="my.stand_in")


def test_a_dry_run_is_no_run(tmp_path):
    run = RunSettings(name="one", root=str(tmp_path))
    (tmp_path / "one" / "dry_run").mkdir(parents=True)
    refuse_existing(run)
    (tmp_path / "one" / "live.zarr").mkdir()
    with pytest.raises(ConfigError, match="a new name"):
        refuse_existing(run)


def findings(*checks, trials=()):
    found = sheet.Findings("a <robot>", "door", "", "run: 1", 0.01, list(checks), list(trials))
    found.intervals_ms, found.ages_ms = np.full(100, 10.0), np.full(100, 7.0)
    found.lateness_s = np.array([[1e-4, 90.0], [2e-3, 10.0]])
    found.stages_ms, found.interventions = np.ones((9, 5)), interventions([])
    found.randomized = Randomized({"mass": (0.8, 1.2)}, (0.0, 50.0), (False, True))
    found.random = sheet.Envelope(("a", "b"), np.zeros(2), np.ones(2), np.zeros(2), np.ones(2))
    return found


def test_a_sheet_of_go_and_of_no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn = (
        "lateness_png",
        "intervals_png",
        "ages_png",
        "envelope_png",
        "stops_png",
        "stages_png",
        "interventions_png",
        "randomized_png",
    )
    for name in drawn:  # an integration test draws them
        monkeypatch.setattr(sheet, name, lambda *_: b"png")
    good = Check("rate", "10 ms", "10 ms", True, "")
    open_ = Check("success", "80 %", "not judged: no policy", None)
    bad = Check("fault: <nan>", "stops", "it did not", False, "Look at it.")
    go = findings(good, open_)
    assert (go.go, go.sentence) == (True, "Go: 1 checks passed, 1 not judged.")
    no = findings(good, bad, trials=[(FAULT, Seen(1.0, 1.2, "bad data: x", 1.01, 0, 0, True)), (FAULT, Seen())])
    assert (no.go, no.sentence) == (False, "No go: fault: <nan>.")
    sheet.write(no, tmp_path)
    told = json.loads((tmp_path / "verdict.json").read_text())
    assert told["go"] is False
    assert told["trials"][0]["problems"] == []
    assert told["trials"][0]["stopped_after_s"] == pytest.approx(0.01)
    assert told["trials"][1]["problems"] == ["it could not be inflicted"]
    assert told["trials"][1]["told_after_s"] is None
    page = (tmp_path / "verdict.html").read_text()
    assert "Look at it." in page
    assert "<nan>" not in page
    assert page.count("<figure>") == 7  # nothing was acted on which the filter could have intervened
    assert "mass 0.8 to 1.2" in page
    assert told["randomized"]["success_ci95"] == pytest.approx([0.0945, 0.9055], abs=1e-3)
    assert told["stages_ms"]["policy"] == {"p50": 1.0, "p99": 1.0}
    assert not any(word in page for word in ("http:", "https:", "<script"))


def test_nothing_at_all_is_no_go():
    empty = sheet.Findings("r", "t", "", "")
    assert empty.go is False
    assert math.isnan(empty.period_s)
    assert "<figure>" not in sheet.html(empty)


def test_what_is_delivered_and_whether_it_goes_on():
    good = Comparison(executed=100, committed=90)
    assert check_delivery(good, []).passed
    assert check_delivery(good, ["actor ended with status 1"]).passed is False
    for name in ("lost", "duplicated", "torn", "not_executed"):
        assert check_delivery(Comparison(executed=9, committed=9, **{name: ["row 3"]}), []).passed is False
    assert check_delivery(Comparison(), []).passed is False  # nothing was committed: nothing is shown
    assert check_recovery([], 4).passed
    assert check_recovery(["kill actor"], 4).measured == "3 of 4 faults; not after: kill actor"
