"""Each fault against each thing that may come of it, and the deadlines that follow from the watchdog's settings."""

import math
from dataclasses import replace

import pytest

from rlpd_robot.config import load
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.watchdog import WatchdogSettings
from rlpd_robot.run.dry_run.settings import DryRunSettings
from rlpd_robot.run.dry_run.trials import Link, Seen, Trial, fit, judge, outcome_in_words, parse
from rlpd_robot.spec import Field, RobotSpec

PERIOD_S = 0.01
SETTINGS = load("dry_run", [])[0]
TRIALS = parse(SETTINGS.dry_run, SETTINGS.watchdog, PERIOD_S)
BY_NAME = {trial.name: trial for trial in TRIALS}

WENT_ON = Seen(began_s=10.0, went_on=20)


def stopped(cause="stale state: gone", after_s=0.01, told_s=0.1, **changes):
    return replace(Seen(10.0, 10.0 + told_s, cause, 10.0 + after_s, 0, 0, True), **changes)


def rightly(trial):
    """What must come of it."""
    return WENT_ON if trial.expects == "survives" else stopped(f"{trial.causes[0] if trial.causes else 'overrun'}: so")


@pytest.mark.parametrize("trial", TRIALS, ids=list(BY_NAME))
def test_what_must_come_of_a_fault_passes_and_everything_else_does_not(trial: Trial):
    assert judge(trial, rightly(trial), PERIOD_S) == []
    assert judge(trial, Seen(), PERIOD_S) == ["it could not be inflicted"]
    silent = Seen(began_s=10.0)
    assert judge(trial, silent, PERIOD_S)
    if trial.expects == "survives":
        assert judge(trial, stopped("bad data: no"), PERIOD_S) == ["the robot was stopped (bad data: no)"]
        return
    if trial.expects == "stops":
        assert "the actor did not notice" in judge(trial, WENT_ON, PERIOD_S)
        assert "something else (no policy: none)" in judge(trial, stopped("no policy: none"), PERIOD_S)[0]
        late = stopped(f"{trial.causes[0]}: so", told_s=trial.within_s + 0.1)
        assert judge(trial, late, PERIOD_S) == [f"the actor told after {trial.within_s + 0.1:.2f} s"]
        long = stopped(f"{trial.causes[0]}: so", after_s=40.0, told_s=0.1)
        assert judge(trial, long, PERIOD_S) == ["the robot stopped after 40.00 s"]
    moved = replace(rightly(trial), moved_after=2)
    assert judge(trial, moved, PERIOD_S) == ["2 commands or resets were carried out before a person had armed"]
    dead = replace(rightly(trial), rearmed=False)
    assert judge(trial, dead, PERIOD_S) == ["it did not move again after a person had armed"]
    never = replace(rightly(trial), stopped_s=math.nan)
    expected = [] if trial.name == "robot dies" else ["the robot did not stop"]  # a process that is gone writes nothing
    assert judge(trial, never, PERIOD_S) == expected


def test_deadlines_follow_the_watchdog():
    trials = parse(SETTINGS.dry_run, WatchdogSettings(stale_s=2.0, frozen=10, e_stop="pressed"), 0.1)
    by_name = {trial.name: trial for trial in trials}
    assert by_name["link cut"].within_s == pytest.approx(2.35)
    assert by_name["frozen sensors"].within_s == pytest.approx(1.5 * 10 * 0.1 + 0.35)
    assert by_name["not a number"].within_s == pytest.approx(0.35)
    assert by_name["e-stop"].fault["field"] == "pressed"
    assert by_name["e-stop"].causes == ("e-stop pressed", "robot link")
    assert "field" not in BY_NAME["e-stop"].fault


def test_a_robot_has_the_trials_that_it_can_have():
    joints = Field("q", (2,), "float64", "rad", labels=("a", "b"))
    arm = RobotSpec("arm", 0.05, (joints,), (replace(joints, name="c", low=(-1.0,) * 2, high=(1.0,) * 2),))
    trials = parse(SETTINGS.dry_run, SETTINGS.watchdog, arm.period_s)
    found = {trial.name: (trial, why) for trial, why in fit(trials, arm, SETTINGS.watchdog, Link(False, False))}
    assert {name: why for name, (_, why) in found.items() if why} == {
        "tracker dropout": "it measures nothing but its joints",
        "clock too fast": "its states bear no stamps",
        "clock set back": "its states bear no stamps",
    }
    assert found["link too slow"][0].fault["delay_s"] == pytest.approx(0.65)  # more than the watchdog bears
    assert found["frozen sensors"][0].seconds == found["frozen sensors"][0].within_s == pytest.approx(7.85)
    hand = replace(arm, period_s=PERIOD_S, state=(joints, Field("tracker", (3,), "float64", "m")))
    kept = fit(TRIALS, hand, SETTINGS.watchdog, Link())
    assert [trial for trial, why in kept if not why] == TRIALS  # at 100 Hz, with a watchdog of its own


def test_what_is_made_of_entries():
    entry = {"name": "x", "fault": {"kind": "nan"}}
    for entries, only, sentence in (
        ([{**entry, "cause": []}], [], "an entry of the keys name, fault, "),
        ([{"name": "x"}], [], "either a fault, or the signal STOP or KILL"),
        ([{**entry, "signal": "KILL"}], [], "either a fault, or the signal STOP or KILL"),
        ([{**entry, "expects": "dies"}], [], "one of stops, survives, either"),
        ([{**entry, "causes": ["fire"]}], [], "some of stale state, overrun, "),
        ([entry, entry], [], "entries of different names"),
        ([entry], ["y"], "some of x"),
    ):
        with pytest.raises(ConfigError, match="Setting 'dry_run") as info:
            parse(DryRunSettings(trials=entries, only=only), WatchdogSettings(), PERIOD_S)
        assert sentence in str(info.value)
    assert [trial.name for trial in parse(DryRunSettings(trials=[entry]), WatchdogSettings(), PERIOD_S)] == ["x"]


def test_a_busy_machine_is_told_apart():
    assert stopped("overrun: a tick came 600 ms late, 500 ms are allowed").busy
    assert stopped("robot link: it refused: it stopped by itself: no fresh command for 27 ms, and …").busy
    assert not stopped("robot link: it refused: controller reflex").busy
    assert "attempt 3, this machine was too busy before" in outcome_in_words(replace(WENT_ON, attempts=3))
