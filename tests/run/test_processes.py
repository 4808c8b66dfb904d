import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from rlpd_robot.errors import ChildError
from rlpd_robot.run import processes
from rlpd_robot.run.log_file import bound
from rlpd_robot.run.processes import Child, end_all
from rlpd_robot.run.stopping import SUPERVISOR
from tests.wire.waiting import wait_until

TALKER = """
import os, signal, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, (lambda *_: stop.set()) if "polite" in sys.argv else signal.SIG_IGN)
print(os.environ["RLPD_ROBOT_SUPERVISOR"], os.getsid(0) == os.getpid(), flush=True)
stop.wait(60)
print("goodbye", flush=True)
"""


@pytest.fixture
def child_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Starts children that run a given program instead of this one."""
    children: list[Child] = []
    popen = processes.subprocess.Popen

    def start(name: str, program: str, *words: str) -> Child:
        def run(command, **settings):
            assert command[:3] == [sys.executable, "-m", "rlpd_robot"]
            return popen([sys.executable, "-c", program, *command[3:]], **settings)

        monkeypatch.setattr(processes.subprocess, "Popen", run)
        children.append(Child(name, words, tmp_path))
        return children[-1]

    yield start
    for child in children:
        child.end(0.1)


def log(tmp_path: Path, name: str) -> str:
    return (tmp_path / f"{name}.log").read_text()


def test_a_child_runs_in_a_session_of_its_own_and_knows_its_supervisor(child_of, tmp_path: Path) -> None:
    child = child_of("sim", TALKER, "polite")
    assert wait_until(lambda: log(tmp_path, "sim").endswith("\n"))  # text and line end come in two writes
    assert log(tmp_path, "sim") == f"{os.getpid()} True\n"
    assert (child.running, child.state, child.status) == (True, "running", None)
    child.check()


def test_a_polite_child_ends_when_asked(child_of, tmp_path: Path) -> None:
    child = child_of("sim", TALKER, "polite")
    wait_until(lambda: log(tmp_path, "sim"))
    child.end(20)
    assert (child.running, child.state, child.status, child.last_words()) == (False, "ended (0)", 0, "goodbye")
    child.end(20)


def test_a_deaf_child_is_ended_all_the_same(child_of, tmp_path: Path) -> None:
    child = child_of("sim", TALKER, "deaf")
    wait_until(lambda: log(tmp_path, "sim"))
    child.end(0.1)
    assert child.state == "killed by SIGKILL"


def test_last_words_outlive_a_log_that_was_set_aside(child_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = child_of("sim", TALKER, "deaf")
    wait_until(lambda: log(tmp_path, "sim").endswith("\n"))
    child.bound_log()
    assert log(tmp_path, "sim")  # it is short
    monkeypatch.setattr(processes, "bound", lambda path, descriptor: bound(path, descriptor, most=1))
    child.bound_log()
    child.kill()
    assert log(tmp_path, "sim") == ""
    assert child.last_words() == f"{os.getpid()} True"


def test_all_share_one_time_and_end_in_order(child_of, tmp_path: Path) -> None:
    deaf, polite = child_of("actor", TALKER, "deaf"), child_of("learner", TALKER, "polite")
    wait_until(lambda: log(tmp_path, "actor") and log(tmp_path, "learner"))
    end_all([deaf, polite], 4.0)  # the deaf one is given half of it
    assert (deaf.status, polite.status) == (-signal.SIGKILL, 0)


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("print('a'); raise SystemExit('it is broken')", "Process 'actor' ended (1). Last words: it is broken"),
        ("", "Process 'actor' ended (0). Last words: (none)"),
        (
            "import os, signal; print('deep in thought', flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
            "Process 'actor' killed by SIGSEGV. Last words: deep in thought",
        ),
        (
            "print('rlpd-robot actor: the disk refuses\\nException in thread 2\\nOSError'); raise SystemExit(1)",
            "Process 'actor' ended (1). Last words: rlpd-robot actor: the disk refuses",
        ),
        (  # another thread's traceback has begun its line
            "print('    rlpd-robot learner: the disk refuses\\nself.write(data)\\nOSError'); raise SystemExit(1)",
            "Process 'actor' ended (1). Last words: rlpd-robot learner: the disk refuses",
        ),
        (
            "import sys; sys.stdout.buffer.write(b'\\xff' + 100_000 * b'x')",
            f"Process 'actor' ended (0). Last words: {600 * 'x'}",
        ),
    ],
)
def test_a_death_is_reported_by_name_with_last_words(child_of, program: str, sentence: str) -> None:
    child = child_of("actor", program)
    wait_until(lambda: not child.running)
    with pytest.raises(ChildError, match=f"^{re.escape(sentence)}$"):
        child.check()


def test_a_child_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    """A robot must not be driven by processes that nobody watches any more."""
    program = """
import os, subprocess, sys
from rlpd_robot.run.stopping import SUPERVISOR
child = "from rlpd_robot.run.stopping import *; print('up', flush=True); print(stop_on_signals().wait(60))"
subprocess.Popen([sys.executable, "-c", child], env={**os.environ, SUPERVISOR: str(os.getpid())}).pid
sys.stdin.read()
"""
    with (tmp_path / "log").open("wb") as out:
        supervisor = processes.subprocess.Popen(
            [sys.executable, "-c", program], stdin=processes.subprocess.PIPE, stdout=out
        )
    assert supervisor.stdin is not None
    wait_until(lambda: (tmp_path / "log").read_text())
    supervisor.kill()
    supervisor.wait(10)
    supervisor.stdin.close()
    wait_until(lambda: (tmp_path / "log").read_text() == "up\nTrue\n")


def test_the_first_signal_asks_and_the_second_ends_at_once(tmp_path: Path) -> None:
    program = """
import json, os, signal, sys
from rlpd_robot.run.stopping import stop_on_signals
stop = stop_on_signals()
os.kill(os.getpid(), int(sys.argv[1]))
print(json.dumps(stop.wait(10)), flush=True)
os.kill(os.getpid(), signal.SIGINT)
print("still here", flush=True)
"""
    for number in (signal.SIGINT, signal.SIGTERM):
        done = processes.subprocess.run(
            [sys.executable, "-c", program, str(int(number))],
            capture_output=True,
            text=True,
            timeout=30,
            env={k: v for k, v in os.environ.items() if k != SUPERVISOR},
        )
        assert (json.loads(done.stdout), done.returncode, done.stderr) == (True, 130, "")
