import errno
import threading
from pathlib import Path

import pytest

from rlpd_robot import cli
from rlpd_robot.run import log_file
from rlpd_robot.run.log_file import bound, older
from rlpd_robot.run.logs import Follower, LogWords, show_logs
from rlpd_robot.run.metrics import append_event


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "actor.log").write_text("".join(f"episode {n}\n" for n in range(20)))
    (tmp_path / "logs" / "sim.log").write_text("stand-in of robot\n")
    append_event(tmp_path, "error", "sim", "killed by SIGKILL")
    return tmp_path


def shown(run: Path, *words: str) -> list[str]:
    asked = LogWords.of(words)
    assert asked is not None
    lines: list[str] = []
    assert show_logs(run, asked, lines.append) == 0
    return lines


def test_the_ends_of_all_logs(run: Path) -> None:
    lines = shown(run, "-n", "2")
    assert lines[:3] == ["actor  | episode 18", "actor  | episode 19", "sim    | stand-in of robot"]
    assert lines[3].startswith("events | ")
    assert lines[3].endswith(" error sim: killed by SIGKILL")


def test_one_of_them(run: Path) -> None:
    assert shown(run, "sim") == ["sim | stand-in of robot"]
    assert shown(run, "actor") == [f"actor | episode {n}" for n in range(10, 20)]


def test_what_a_terminal_would_obey_is_taken_out(run: Path) -> None:
    (run / "logs" / "sim.log").write_text("a\x1b[2Jb\n")
    assert shown(run, "sim") == ["sim | a [2Jb"]


def test_following_shows_what_comes(run: Path) -> None:
    lines: list[str] = []
    stop = threading.Event()

    def show(line: str) -> None:
        lines.append(line)
        if line.endswith("solved"):
            stop.set()
        elif len(lines) == 1:
            with open(run / "logs" / "sim.log", "a") as log:
                log.write("torn")
                log.flush()
                log.write(" and solved\n")

    asked = LogWords.of(["sim", "--follow"])
    assert asked is not None
    thread = threading.Thread(target=show_logs, args=(run, asked, show, stop))
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert lines == ["sim | stand-in of robot", "sim | torn and solved"]


def test_a_file_that_became_shorter_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower = Follower(path)
    assert follower.new() == []
    path.write_text("one\ntwo\nthr")
    assert follower.new() == ["one", "two"]
    path.write_text("new\n")
    assert follower.new() == ["new"]


def test_a_log_is_set_aside_and_whoever_follows_it_misses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "actor.log"
    follower = Follower(path)
    written: list[str] = []
    seen: list[str] = []
    with path.open("ab", buffering=0) as log:
        for n in range(400):
            line = f"episode {n} " + "x" * (n % 50)
            written.append(line)
            log.write(line.encode()[:7])
            if n % 7 == 0:
                seen += follower.new()
            bound(path, log.fileno(), most=2000)
            log.write(line.encode()[7:] + b"\n")
    seen += follower.new()
    assert seen == written
    assert path.stat().st_size <= 2100
    assert older(path).stat().st_size <= 2100


def test_a_disk_without_room_for_the_copy_bounds_the_log_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(log_file.shutil, "copyfileobj", full)
    path = tmp_path / "actor.log"
    with path.open("ab", buffering=0) as log:
        log.write(b"x" * 100)
        assert not bound(path, log.fileno(), most=100)
        assert bound(path, log.fileno(), most=99)
    assert path.stat().st_size == 0
    assert not older(path).exists()


@pytest.mark.parametrize(("lines", "expected"), [(0, []), (1, ["b"]), (2, ["a", "b"]), (9, ["a", "b"])])
def test_the_last_lines_of_a_file(lines: int, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\nb\ntorn")
    assert Follower(tmp_path / "log", lines).new() == expected


def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"{n:07}\n" for n in range(30_000)))  # more than one block
    assert Follower(tmp_path / "log", 10_000).new() == [f"{n:07}" for n in range(20_000, 30_000)]


@pytest.mark.parametrize("words", [["-n"], ["-n", "x"], ["--fellow"], ["run.seed=1"]])
def test_words_that_make_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["logs", *words]) == 2
    assert "rlpd-robot logs" in capsys.readouterr().err


def test_a_process_without_a_log_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["logs", str(run), "learner"]) == 2
    assert "must be one of actor, sim, events" in capsys.readouterr().err
    assert cli.main(["logs", str(run / "no-such" / "run")]) == 2
