import math
import subprocess
import sys
from pathlib import Path

import pytest

from rlpd_robot import liveness
from rlpd_robot.liveness import FILE, MAIN, beating, pulse, read


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file of this very process, as if it were watched."""
    monkeypatch.setenv(FILE, str(tmp_path / "alive"))
    yield tmp_path / "alive"
    monkeypatch.delenv(FILE)
    pulse("nobody watches any more")


def test_a_beat_tells_who_does_what_since_when_and_for_how_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness.time, "monotonic", lambda: 100.0)
    pulse().beat("compiling", 300.0)
    pulse("uplink").beat("sending")
    monkeypatch.setattr(liveness.time, "monotonic", lambda: 102.5)
    pulse("uplink").beat("sending")
    main, uplink = read(file)
    assert (main.name, main.silent_s, main.patience_s, main.doing, main.died) == (MAIN, 2.5, 300.0, "compiling", False)
    assert (uplink.name, uplink.silent_s, uplink.patience_s, uplink.doing) == ("uplink", 0.0, 0.0, "sending")


def test_a_thread_that_ends_as_it_should_is_not_missed(file: Path) -> None:
    with beating("uplink") as mine:
        mine.beat("sending")
        assert [sign.name for sign in read(file)] == ["uplink"]
    assert read(file) == []
    with beating("uplink"):  # the same one comes again
        assert [sign.name for sign in read(file)] == ["uplink"]


def test_a_thread_that_dies_says_of_what(file: Path) -> None:
    with pytest.raises(ZeroDivisionError), beating("uplink"):
        raise ZeroDivisionError("ouch " * 50)
    [sign] = read(file)
    assert sign.died
    assert sign.doing.startswith("ZeroDivisionError: ouch ouch")
    assert math.isfinite(sign.patience_s)


def test_nobody_watching_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE, raising=False)
    pulse().beat("acting", 1.0)
    with beating("uplink"):
        pass
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path / "alive") == []


def test_more_threads_than_slots_are_not_watched(file: Path) -> None:
    for i in range(40):
        pulse(f"thread {i}").beat()
    assert len(read(file)) == 32
    assert file.stat().st_size < 8192


def test_another_process_reads_what_a_hanging_one_left(tmp_path: Path) -> None:
    program = """
import sys
from rlpd_robot.liveness import pulse
pulse().beat("thinking", 7.0)
print("there", flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={FILE: str(tmp_path / "alive"), "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        [sign] = read(tmp_path / "alive")
        assert (sign.name, sign.doing, sign.patience_s) == (MAIN, "thinking", 7.0)
    finally:
        child.communicate()


class Memory:
    """What a supervisor could see at any moment: kept after each single write."""

    def __init__(self) -> None:
        self.bytes, self.seen = bytearray(liveness._SLOT.size), []

    def __setitem__(self, at: slice, data: bytes) -> None:
        self.bytes[at] = data
        self.seen.append(liveness._SLOT.unpack(self.bytes))


def test_whoever_looks_in_the_middle_of_a_beat_sees_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, clock = Memory(), iter([100.0, 500.0, 501.0, 502.0])
    monkeypatch.setattr(liveness.time, "monotonic", lambda: next(clock))
    mine = liveness.Pulse(memory, 0, MAIN)  # type: ignore[arg-type]
    for doing, patience_s in (("compiling", 600.0), ("receiving", 60.0), ("receiving", 60.0), ("updating", 1.0)):
        mine.beat(doing, patience_s)
    shown = [moment for moment in memory.seen if moment[0] > 0]
    assert memory.seen[1:] == shown  # the first fills the slot, and marks it last
    assert [moment[0] for moment in shown] == sorted(moment[0] for moment in shown)
    assert all(moment[0] >= 500 for moment in shown if moment[1] < 600)  # the compiler's beat is too old for the others
    assert shown[-1][:2] == (502.0, 1.0)
    mine.free()
    assert memory.seen[-1][0] == 0
