import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlpd_robot import cli
from rlpd_robot.errors import (
    ChildError,
    ConfigError,
    FaultError,
    PeerRefusedError,
    PeerTimeoutError,
    RlpdRobotError,
    StoreError,
)
from rlpd_robot.run.settings import Settings
from rlpd_robot.verbs import studies

HEAVY = ("jax", "numpy", "zarr", "hydra", "omegaconf", "zmq", "rich", "mujoco", "matplotlib")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], [], ["no-such-verb"], ["--version"], ["demos", "-h"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import json, sys; from rlpd_robot.cli import main; status = main(sys.argv[1:]); "
        "print(json.dumps([status, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == (2 if words in ([], ["no-such-verb"]) else 0)
    assert not set(HEAVY) & set(modules)


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {verb} ", text, re.MULTILINE) for verb in cli.VERBS)


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "rlpd_robot", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{version('rlpd-robot')}\n")


def test_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == (
        f"rlpd-robot: there is no verb 'trian'. Verbs are {', '.join(sorted(cli.VERBS))}.\n"
    )


@pytest.mark.parametrize("word", ["-m", "--multirun"])
def test_a_robot_runs_one_setting_at_a_time(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["actor", word]) == 2
    assert "--multirun is refused" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["no-such-bench"], ["--json"]])
def test_bench_tells_how_it_is_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *words]) == 2
    assert capsys.readouterr().err.startswith("usage: rlpd-robot bench ")


@pytest.mark.parametrize("passed", [True, False])
def test_a_bench_reports_to_people_and_to_machines(
    passed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def run_bench(settings: Settings, words: list[str], build: object) -> dict[str, object]:
        asked.append((settings.run.seed, words))
        return {"passed": passed, "answer": 42}

    bench = SimpleNamespace(run_bench=run_bench, table=lambda report: f"the answer is {report['answer']}")
    monkeypatch.setitem(sys.modules, "rlpd_robot.run.bench.nothing", bench)
    monkeypatch.setitem(studies.BENCHES, "nothing", ["run.seed=3"])

    assert cli.main(["bench", "nothing"]) == (0 if passed else 1)
    assert capsys.readouterr() == ("the answer is 42\n", "")

    assert cli.main(["bench", "nothing", "--json", "run.seed=4"]) == (0 if passed else 1)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"passed": passed, "answer": 42}
    assert err == "the answer is 42\n"
    assert asked == [(3, ["run.seed=3"]), (4, ["run.seed=3", "run.seed=4"])]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("run.seed", -1, "at least 0"), 2),
        (StoreError("demos.zarr", "there is nothing at this path", "Name another."), 2),
        (PeerRefusedError("The learner", "another robot"), 2),
        (PeerTimeoutError("a robot", "tcp://127.0.0.1:1", 3.0, "Start it."), 1),
        (FaultError("no state", "See to the robot."), 1),
        (ChildError("sim", "ended (1).", "ouch"), 1),
    ],
)
def test_the_status_tells_wrong_words_from_failure(
    error: RlpdRobotError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: list[str]) -> int:
        raise error

    monkeypatch.setitem(cli.VERBS, "train", fail)
    assert cli.main(["train"]) == status
    assert capsys.readouterr().err == f"rlpd-robot train: {error}\n"


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "train", interrupted)
    assert cli.main(["train"]) == 130


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setitem(cli.VERBS, "train", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["train"])


@pytest.mark.parametrize(
    "verb", ["train", "actor", "learner", "sim", "eval", "record", "arm", "pin 3", "unpin", "demos collect"]
)
def test_every_verb_refuses_a_wrong_key(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*verb.split(), "run.sed=1"]) == 2
    assert capsys.readouterr().err.startswith(
        f"rlpd-robot {verb.split()[0]}: Setting 'run.sed' must be one of the keys"
    )


def test_a_real_robot_has_no_stand_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "robot.stand_in=null"]) == 2
    assert capsys.readouterr().err == (
        "rlpd-robot sim: Setting 'robot.stand_in' must be a recipe; robot 'adroit_door' has none. Received None.\n"
    )


@pytest.fixture
def without_jax(tmp_path: Path) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """Runs a verb where importing JAX fails."""
    blocked = tmp_path / "blocked" / "jax"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('JAX is blocked')")

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(blocked.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.run(
            [sys.executable, "-m", "rlpd_robot", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": path},
        )

    return run


def test_the_robots_side_needs_no_jax(without_jax: Callable[[list[str]], subprocess.CompletedProcess[str]]) -> None:
    done = without_jax(["actor", "actor.connect_s=0.1", "link.robot=ipc:///nowhere/robot.sock"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "rlpd-robot actor: No answer from a robot at ipc:///nowhere/robot.sock within 0.1 s. "
        "Start the robot's server, or `rlpd-robot sim`.\n"
    )


def test_keys_are_made_and_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys", str(tmp_path / "keys")]) == 0
    out = capsys.readouterr().out
    assert all(f"{role}.key_secret" in out for role in ("robot", "actor", "learner", "operator", "client"))
    assert len(list((tmp_path / "keys").iterdir())) == 10
    assert cli.main(["keys", str(tmp_path / "keys")]) == 2
    assert capsys.readouterr().err.startswith("rlpd-robot keys: Key file '")


@pytest.mark.parametrize("words", [[], ["--cfg"], ["a", "b"], ["link.keys=a"]])
def test_keys_tells_how_it_is_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["keys", *words]) == 2
    assert capsys.readouterr().err == "usage: rlpd-robot keys DIR\n"
