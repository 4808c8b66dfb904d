"""What befalls the processes of `rlpd-robot train`: killed, suspended, dying again and again; and how it is ended."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.integration.running import children_of, events, live_rows, read_json, steps
from tests.wire.waiting import wait_until

pytestmark = pytest.mark.integration

QUICK = ("supervise.backoff_s=0.05", "supervise.backoff_max_s=0.05", "supervise.killed_s=3", "supervise.restarts=20")


KILLED = (signal.SIGKILL, "killed by SIGKILL; starts again in ")
HUNG = (signal.SIGSTOP, "was killed, since it hung: suspended (SIGSTOP); starts again in ")


def test_each_process_is_named_and_started_again_and_nothing_is_lost(train: Start) -> None:
    """The other pairs of process and signal befall the runs of `test_chaos.py`."""
    verb, run = train("run.env_steps=600", *QUICK)
    verb.until(lambda: steps(run) > 50)
    for name, (number, words) in (("sim", KILLED), ("learner", HUNG), ("actor", HUNG)):
        pid, told, before = children_of(verb.process.pid)[name], len(events(run)), steps(run)
        os.kill(pid, number)
        verb.until(lambda w=words, t=told: any(text.startswith(w) for text in events(run)[t:]))
        verb.until(lambda n=name, p=pid: children_of(verb.process.pid).get(n, p) != p)
        verb.until(lambda b=before: steps(run) > b + 40)
    assert verb.ends() == 0, verb.text
    summary = read_json(run / "summary.json")
    assert summary["env_steps"] == 600
    assert summary["delivery"]["lost"] == summary["delivery"]["duplicated"] == 0
    assert summary["delivery"]["committed"] >= 600
    # With so short a patience, an actor that waits for a dead robot may be killed too.
    helped = ("armed after its stand-in was started again", "was killed, since it hung")
    assert any(text.startswith(helped) for text in events(run))
    assert children_of(verb.process.pid) == {}


def test_one_that_dies_again_and_again_is_given_up_with_a_report(train: Start) -> None:
    verb, run = train("run.env_steps=1000000", "robot.stand_in.dies_after=60", *QUICK, "supervise.restarts=2")
    assert verb.ends() == 1
    assert (
        "rlpd-robot train: Process 'sim' ended (1), after 2 restarts within 300 s; it is given up. Its log: "
        in verb.text
    )
    assert "Last words: RuntimeError: the point fell off the plane" in verb.text
    assert f"Everything executed until then is kept in {run}; `resume=auto` goes on with it." in verb.text
    assert any("it is given up" in text for text in events(run))
    assert children_of(verb.process.pid) == {}
    assert not (run / "summary.json").exists()
    assert len(live_rows(run)) >= 60  # what was received is kept


def test_a_second_ctrl_c_ends_at_once(train: Start) -> None:
    verb, run = train("run.env_steps=1000000")
    verb.until(lambda: steps(run) > 50)
    children = children_of(verb.process.pid)
    assert children.keys() == {"sim", "learner", "actor"}
    suspend(children["actor"])  # it cannot end in order
    verb.interrupt()
    verb.until(lambda: pending(children["actor"], signal.SIGTERM))
    verb.interrupt()
    assert verb.ends() == 130
    assert "Stopped by a person" not in verb.text
    wait_until(lambda: all(is_gone(pid) for pid in children.values()))
    assert len(live_rows(run)) > 0


def test_ctrl_c_ends_a_suspended_process_too_and_keeps_what_the_others_have(train: Start) -> None:
    verb, run = train("run.env_steps=1000000")
    verb.until(lambda: steps(run) > 50)
    children = children_of(verb.process.pid)
    suspend(children["actor"])
    verb.interrupt()
    assert verb.ends() == 130
    assert f"Stopped by a person; everything executed until then is in {run / 'live.zarr'}." in verb.text
    wait_until(lambda: all(is_gone(pid) for pid in children.values()))
    assert read_json(run / "learner.json")["env_steps"] > 50  # the learner could still commit and say how it went


def suspend(pid: int) -> None:
    """Until it has taken effect: a signal that comes just before would be delivered first."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def pending(pid: int, number: signal.Signals) -> bool:
    """Whether this signal waits to be delivered to a suspended process."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def is_gone(pid: int) -> bool:
    """Whether it has ended, waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
