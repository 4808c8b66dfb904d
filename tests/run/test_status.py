"""`rlpd-robot status` as a person and a program see it, on a run's files."""

import json
import os
import time
from pathlib import Path

import pytest

from rlpd_robot import cli
from rlpd_robot.errors import DataError, PeerTimeoutError
from rlpd_robot.liveness import MAIN
from rlpd_robot.run.metrics import EVENTS, METRICS, append_event
from rlpd_robot.run.newest_run import named_run, newest_run
from rlpd_robot.run.process_record import ProcessRecord
from rlpd_robot.run.run_links import links_of
from rlpd_robot.run.status import lines_of, status_of
from rlpd_robot.run.status_cli import StatusWords
from rlpd_robot.wire.settings import LinkSettings
from tests.run.test_health import Process, row

TELLS = "no fault; 12 episodes, 600 transitions, 3 not acknowledged; policy 7 acts"


def silent() -> str:
    raise PeerTimeoutError("the actor", "tcp://127.0.0.1:1", 2.0, "See whether it runs.")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run at work: an actor and a learner that live, a stand-in that was killed."""
    directory = tmp_path / "runs" / "door"
    directory.mkdir(parents=True)
    for name, doing in (("actor", "acting"), ("learner", "updating"), ("sim", "serving")):
        Process(directory, name).pulse(0, MAIN).beat(doing)
    Process(directory, "sim").record.write_end(directory, "killed by SIGKILL")
    rows = [row(t, env_steps=10 * t, env_steps_target=4000, utd_target=5, utd_realised=4.98) for t in range(100)]
    (directory / METRICS).write_text("".join(json.dumps(r) + "\n" for r in rows))
    append_event(directory, "error", "sim", "killed by SIGKILL; starts again in 0.5 s. Last words: up")
    append_event(directory, "warning", "sim", "started again (1)")
    append_event(directory, "info", "learner", "compiled in 3.0 s")
    return directory


def test_a_program_gets_everything(run: Path) -> None:
    status = json.loads(json.dumps(status_of(run, "tcp://127.0.0.1:5563", lambda: TELLS), allow_nan=False))
    assert status["run"] == "door"
    wells = {name: process["well"] for name, process in status["processes"].items()}
    assert wells == {"actor": True, "learner": True, "sim": False}
    assert status["processes"]["sim"]["restarts"] == 1
    assert status["processes"]["actor"]["restarts"] == 0
    assert status["processes"]["actor"]["host"]
    assert status["processes"]["actor"]["pid"] == 4711
    assert status["processes"]["actor"]["version"] == status["version"]
    assert status["rates"] == {"transitions_per_s": 10.0, "updates_per_s": 50.0}
    assert status["row"]["utd_realised"] == 4.98
    assert [event["severity"] for event in status["faults"]] == ["error", "warning"]
    assert status["actor"] == {
        "address": "tcp://127.0.0.1:5563",
        "sentence": TELLS,
        "fault": None,
        "problem": None,
    }
    assert status["disk_free_gb"] > 0
    assert not status["finished"]


def test_what_happens_again_and_again_hides_nothing_else(run: Path) -> None:
    for late_ms in (28, 35, 111):
        append_event(run, "error", "actor 5df0", f"Robot stopped: no fresh command for {late_ms} ms")
        append_event(run, "info", "actor 5df0", "armed again")
    status = status_of(run, "tcp://127.0.0.1:5563", lambda: TELLS)
    assert [event["times"] for event in status["faults"]] == [1, 1, 3]
    *others, last = lines_of(status)
    assert last.endswith("error actor 5df0: Robot stopped: no fresh command for 111 ms (3 times like this, the newest)")
    assert others[-1].endswith("warning sim: started again (1)")
    assert any(
        "  sim       killed by SIGKILL, 0 s ago; on " in line and line.endswith("started again once") for line in others
    )


def test_an_actor_alone_is_asked_where_its_words_say(run: Path) -> None:
    assert links_of(run) == LinkSettings()
    words = ["actor", "robot=adroit_door", "link.control=tcp://*:6563", "link.timeout_s=3", "run.name=door"]
    ProcessRecord.of("actor", 4711, words).write(run)
    assert links_of(run) == LinkSettings(control="tcp://127.0.0.1:6563", timeout_s=3)
    (run / "config.yaml").write_text("link: {control: 'tcp://127.0.0.1:7777'}")
    assert links_of(run) == LinkSettings(control="tcp://127.0.0.1:7777")
    (run / "config.yaml").write_text("link: [1]")
    with pytest.raises(DataError, match="its links cannot be read"):
        links_of(run)


def test_a_person_reads_it(run: Path) -> None:
    text = "\n".join(lines_of(status_of(run, "tcp://127.0.0.1:5563", lambda: TELLS)))
    assert text.startswith(f"run door in {run}, rlpd-robot ")
    assert "  actor     well: acting; on " in text
    assert "  sim       killed by SIGKILL, 0 s ago; on " in text
    assert f"  robot     {TELLS}\n" in text
    assert "  learning  learning, 990 of 4 000 transitions, UTD 4.98 of 5, told 0 s ago\n" in text
    assert "  rates     10.0 transitions/s, 50.0 updates/s\n" in text
    assert " error sim: killed by SIGKILL; starts again in 0.5 s. Last words: up\n" in text


def test_a_fault_is_told_by_name(run: Path) -> None:
    status = status_of(run, "tcp://127.0.0.1:5563", lambda: "FAULT: stale state; 3 episodes, 9 transitions")
    assert status["actor"]["fault"] == "stale state"


def test_an_actor_that_does_not_answer_is_told_and_no_error(run: Path) -> None:
    status = status_of(run, "tcp://127.0.0.1:1", silent)
    assert status["actor"]["sentence"] is None
    assert "  robot     No answer from the actor at tcp://127.0.0.1:1" in "\n".join(lines_of(status))


def test_a_run_that_has_barely_begun(tmp_path: Path) -> None:
    status = status_of(tmp_path, "tcp://127.0.0.1:1", silent)
    assert (status["processes"], status["row"], status["rates"], status["faults"]) == ({}, {}, {}, [])
    assert json.dumps(status, allow_nan=False)
    assert lines_of(status)


def test_without_a_run_here_the_actor_alone_is_asked() -> None:
    assert lines_of(status_of(None, "tcp://127.0.0.1:5563", lambda: TELLS)) == [TELLS]


def test_the_newest_run_is_the_one_last_at_work(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "runs") is None
    for i, name in enumerate(("first", "second", "third")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "third":  # an empty directory is no run
            (tmp_path / "runs" / name / EVENTS).touch()
            os.utime(tmp_path / "runs" / name / EVENTS, (1000 - i, 1000 - i))
    found = newest_run(tmp_path / "runs")
    assert found is not None
    assert found.name == "first"


@pytest.mark.parametrize(
    "words", [["a", "b"], ["--check="], ["--check=a", "--check=b"], ["--jsn"], ["-f"], ["--check", "actor"]]
)
def test_words_that_make_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert StatusWords.of(words) is None
    assert cli.main(["status", *words]) == 2
    assert capsys.readouterr().err.startswith("usage: rlpd-robot status")


def test_a_run_goes_by_its_name_too(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parents[1])
    (run / "logs").mkdir()
    (run / "logs" / "actor.log").write_text("ready\n")
    assert cli.main(["status", "door", "--check=actor"]) == 0
    assert cli.main(["logs", "door", "actor"]) == 0
    assert cli.main(["logs", "actor"]) == 0
    assert capsys.readouterr().out.splitlines() == ["actor: well: acting", *2 * ["actor | ready"]]
    assert named_run(Path("pen"), Path("runs")) == Path("pen")  # whoever asks for it is told so


def test_a_run_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "runs/no-such"]) == 2
    assert "Setting 'RUN' must be the directory of a run" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "status"), [("actor", 0), ("learner", 0), ("sim", 1), ("serve", 1)])
def test_a_check_answers_by_its_exit_status(
    name: str, status: int, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", str(run), f"--check={name}"]) == status
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: {'NOT WELL' if status else 'well'}: ")
    assert cli.main(["status", str(run), f"--check={name}", "--json"]) == status
    assert json.loads(capsys.readouterr().out)["well"] == (status == 0)


def test_a_check_of_a_run_that_has_not_begun_fails_and_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["status", "--check=actor"]) == 1
    assert cli.main(["status", "runs/door", "--check=actor"]) == 1


def test_the_links_are_those_that_the_run_was_given(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("rlpd_robot.wire.control.ask", lambda address, *_: asked.append(address) or TELLS)
    (run / "config.yaml").write_text("link:\n  control: tcp://127.0.0.1:7777\nrun:\n  name: door\n")
    monkeypatch.chdir(run.parent.parent)
    assert cli.main(["status"]) == 0
    assert cli.main(["status", "runs/door", "--json"]) == 0
    assert asked == ["tcp://127.0.0.1:7777"] * 2
    (run / "config.yaml").write_text("link: [1, 2")
    assert cli.main(["status"]) == 2
    assert "its links cannot be read" in capsys.readouterr().err


def test_time_is_told_from_the_row(run: Path) -> None:
    os.utime(run / METRICS, (time.time() - 50, time.time() - 50))
    assert "told 50 s ago" in "\n".join(lines_of(status_of(run, "", silent)))
