import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.errors import ChildError, ConfigError
from rlpd_robot.liveness import Sign
from rlpd_robot.run import processes
from rlpd_robot.run.processes import Child, kill_all
from rlpd_robot.run.supervise_settings import SuperviseSettings
from rlpd_robot.run.supervisor import ChildSpec, Supervisor
from tests.wire.waiting import wait_until

QUICK = SuperviseSettings(seen_s=0.3, killed_s=0.6, start_s=60.0, backoff_s=0.01, backoff_max_s=0.02, restarts=3)

LIVES = """
import sys, time
from rlpd_robot.liveness import pulse
print("up", flush=True)
while True:
    pulse().beat("serving")
    time.sleep(0.01)
"""
FALLS = "print('it slipped', flush=True); raise SystemExit(3)"
WRONG = "print('no such key', flush=True); raise SystemExit(2)"
HANGS = """
import time
from rlpd_robot.liveness import pulse
pulse().beat("updating")
time.sleep(1000)
"""
HALF_HANGS = LIVES.replace("while True", "pulse('uplink').beat('sending')\nwhile True")
THREAD_DIES = LIVES.replace("while True", "pulse('uplink').died(ValueError('a bad frame'))\nwhile True")

Events = list[tuple[str, str, str]]
Make = Callable[..., tuple[Supervisor, Events]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Supervisors of programs instead of this one; the program is the first word."""
    popen = processes.subprocess.Popen
    made: list[tuple[Supervisor, list[str]]] = []

    def run(command: list[str], **settings: Any) -> Any:
        return popen([sys.executable, "-c", *command[3:]], **settings)

    monkeypatch.setattr(processes.subprocess, "Popen", run)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def start(settings: SuperviseSettings = QUICK, **programs: str) -> tuple[Supervisor, Events]:
        events: Events = []
        specs = [ChildSpec(name, [program]) for name, program in programs.items()]
        supervisor = Supervisor(specs, tmp_path, settings, lambda *event: events.append(event))
        made.append((supervisor, list(programs)))
        supervisor.start()
        return supervisor, events

    yield start
    for supervisor, names in made:
        supervisor.end(names, 1.0)


def look_until(supervisor: Supervisor, condition: Callable[[], Any]) -> Any:
    def look() -> Any:
        supervisor.look()
        return condition()

    return wait_until(look, 60.0)


def texts(events: Events, name: str) -> list[str]:
    return [text for _, who, text in events if who == name]


def test_a_killed_process_is_named_and_started_again(make: Make, tmp_path: Path) -> None:
    supervisor, events = make(sim=LIVES, actor=LIVES)
    look_until(supervisor, lambda: supervisor.child("actor").last_words() and supervisor.child("actor").signs())
    first = supervisor.child("actor").pid
    os.kill(first, signal.SIGKILL)
    look_until(supervisor, lambda: supervisor.restarted["actor"])
    assert texts(events, "actor") == [
        "killed by SIGKILL; starts again in 0.01 s. Last words: up",
        "started again (1)",
    ]
    assert texts(events, "sim") == []
    assert supervisor.child("actor").pid != first
    look_until(supervisor, lambda: supervisor.child("actor").signs())
    assert supervisor.states() == {"sim": "running", "actor": "running"}


def test_one_that_falls_every_time_is_given_up_with_a_report(make: Make, tmp_path: Path) -> None:
    supervisor, events = make(actor=FALLS)
    with pytest.raises(ChildError) as caught:
        look_until(supervisor, lambda: False)
    assert str(caught.value) == (
        "Process 'actor' ended (3), after 3 restarts within 300 s; it is given up. "
        f"Its log: {tmp_path / 'logs' / 'actor.log'}. Last words: it slipped"
    )
    waits = [text.split("starts again in ")[1].split(" s")[0] for text in texts(events, "actor") if "in 0" in text]
    assert waits == ["0.01", "0.02", "0.02"]  # doubled, up to its bound
    assert (tmp_path / "logs" / "actor.log").read_text() == 4 * "it slipped\n"


def test_what_was_asked_wrongly_is_not_tried_again(make: Make) -> None:
    supervisor, events = make(actor=WRONG)
    with pytest.raises(ChildError, match=r"^Process 'actor' ended \(2\)\. Last words: no such key$"):
        look_until(supervisor, lambda: False)
    assert events == []


def test_old_restarts_are_forgotten(make: Make) -> None:
    supervisor, _ = make(replace(QUICK, restarts=1, window_s=1e-6), actor=FALLS)
    look_until(supervisor, lambda: supervisor.restarted["actor"] == 3)


def test_a_suspended_process_is_recognised_killed_and_started_again(make: Make) -> None:
    supervisor, events = make(actor=LIVES)
    look_until(supervisor, lambda: supervisor.child("actor").signs())
    os.kill(supervisor.child("actor").pid, signal.SIGSTOP)
    look_until(supervisor, lambda: supervisor.restarted["actor"])
    assert texts(events, "actor") == [
        "suspended (SIGSTOP)",
        "was killed, since it hung: suspended (SIGSTOP); starts again in 0.01 s. Last words: up",
        "started again (1)",
    ]


def test_one_that_goes_on_in_time_is_left_alone(make: Make) -> None:
    supervisor, events = make(replace(QUICK, killed_s=60.0), actor=LIVES)
    look_until(supervisor, lambda: supervisor.child("actor").signs())
    os.kill(supervisor.child("actor").pid, signal.SIGSTOP)
    look_until(supervisor, lambda: events)
    assert supervisor.states() == {"actor": "hangs"}
    os.kill(supervisor.child("actor").pid, signal.SIGCONT)
    look_until(supervisor, lambda: len(events) == 2)
    assert texts(events, "actor") == ["suspended (SIGSTOP)", "moves again"]
    assert supervisor.restarted["actor"] == 0


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (HANGS, r"main loop has not moved for \d+\.\d s \(while updating\)"),
        (HALF_HANGS, r"thread 'uplink' has not moved for \d+\.\d s \(while sending\)"),
        (THREAD_DIES, r"thread 'uplink' died: ValueError: a bad frame"),
    ],
)
def test_whoever_hangs_is_named_with_what_it_did(make: Make, program: str, sentence: str) -> None:
    supervisor, events = make(learner=program)
    look_until(supervisor, lambda: supervisor.restarted["learner"])
    said = texts(events, "learner")
    assert re.fullmatch(sentence, said[0])
    assert said[1].startswith("was killed, since it hung: ")


def test_what_takes_its_time_as_declared_is_no_hang(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, events = make(learner=LIVES)
    said = [Sign("main loop", silent_s, 300.0, "compiling", False) for silent_s in (0.0, 3.0, 299.0, 300.2)]
    monkeypatch.setattr(Child, "signs", lambda _: said[:1])
    while len(said) > 1:
        supervisor.look()
        assert events == []
        del said[0]
    supervisor.look()
    assert texts(events, "learner") == ["main loop has not moved for 300.2 s (while compiling)"]


def test_others_that_hung_because_of_one_have_as_long_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in and the actor that waits for it fall silent together: only the stand-in is killed."""
    supervisor, events = make(replace(QUICK, killed_s=0.5), sim=LIVES, actor=LIVES)
    look_until(supervisor, lambda: supervisor.child("sim").signs())
    monkeypatch.setattr(
        Child, "signs", lambda self: [Sign("main loop", 9.0 if self.name == "sim" else 0.45, 0.0, "serving", False)]
    )
    look_until(supervisor, lambda: supervisor.restarted["sim"])
    assert supervisor.restarted["actor"] == 0


def test_ends_come_in_the_order_given(make: Make, tmp_path: Path) -> None:
    note = f"""
import signal, sys, time
def bye(*_):
    open({str(tmp_path / "order")!r}, "a").write(sys.argv[1] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("up", flush=True)
time.sleep(1000)
"""
    supervisor = Supervisor(
        [ChildSpec(name, [note, name]) for name in ("sim", "learner", "actor")], tmp_path, QUICK, lambda *_: None
    )
    supervisor.start()
    wait_until(lambda: all(supervisor.child(name).last_words() for name in ("sim", "learner", "actor")))
    supervisor.end(["actor", "learner", "sim"], 60.0)
    assert (tmp_path / "order").read_text().split() == ["actor", "learner", "sim"]


def test_all_can_be_killed_at_once(make: Make) -> None:
    supervisor, _ = make(sim=LIVES, actor=LIVES)
    kill_all()
    wait_until(lambda: not supervisor.child("sim").running and not supervisor.child("actor").running)


@pytest.mark.parametrize(
    ("key", "value"),
    [("seen_s", 0.0), ("killed_s", 1.0), ("start_s", float("nan")), ("backoff_s", -1.0), ("restarts", -1)],
)
def test_a_wrong_setting_is_named(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^Setting 'supervise\.{key}' must be "):
        SuperviseSettings(**{key: value})  # type: ignore[arg-type]
