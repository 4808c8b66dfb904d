"""Each reason for which a process is not well, from files as the processes write them."""

import json
import mmap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot import liveness
from rlpd_robot.liveness import MAIN, Pulse
from rlpd_robot.run.health import Health, health_of, stall, tail
from rlpd_robot.run.metrics import METRICS
from rlpd_robot.run.process_record import ProcessRecord, names_in, read_record, signs_path


class Process:
    """What a process that is watched leaves in its run's directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        (directory / "alive").mkdir(exist_ok=True)
        self.record = ProcessRecord.of(name, 4711, [name, "run.seed=1"])
        self.record.write(directory)
        path = signs_path(directory, name)
        path.write_bytes(bytes(liveness._SIZE))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def pulse(self, index: int, name: str) -> Pulse:
        return Pulse(self._map, index, name)

    def silent(self, index: int, name: str, seconds: float, doing: str = "", patience_s: float = 0.0) -> None:
        """Its last beat was so long ago."""
        values = (time.monotonic() - seconds, patience_s, name.encode(), doing.encode())
        liveness._SLOT.pack_into(self._map, index * liveness._SLOT.size, *values)

    def look(self) -> Health:
        return health_of(self.directory, self.name)


@pytest.fixture
def actor(tmp_path: Path) -> Process:
    return Process(tmp_path, "actor")


@pytest.fixture
def learner(tmp_path: Path) -> Process:
    return Process(tmp_path, "learner")


def row(wall_s: float, **values: Any) -> dict[str, Any]:
    """A learner that does and commits everything at once, 10 steps a second, an episode of 50 steps every 5 s."""
    steps = 10 * wall_s
    return {
        "wall_s": wall_s,
        "phase": "learning",
        "critic_updates": 5 * steps,
        "updates_owed": 0,
        "delivery/committed": 50 * (steps // 50),
        "actor/steps": steps,
        "actor/episodes": 1 + steps // 50,
    } | values


def test_a_process_whose_loop_turns_is_well(actor: Process) -> None:
    actor.pulse(0, MAIN).beat("acting")
    health = actor.look()
    assert (health.name, health.well, health.sentence) == ("actor", True, "acting")
    assert health.silent_s is not None


def test_one_that_was_never_started(tmp_path: Path) -> None:
    assert health_of(tmp_path, "sim") == Health("sim", False, f"it has not been started in {tmp_path}")


def test_one_that_has_not_begun(actor: Process) -> None:
    assert actor.look() == Health("actor", False, "no sign of life yet")


def test_a_loop_that_stands(actor: Process) -> None:
    actor.silent(0, MAIN, 70.0, "resetting", 65.0)
    health = actor.look()
    assert not health.well
    assert health.sentence.startswith("main loop has not moved for 70.")
    assert health.sentence.endswith(" s (while resetting)")


def test_a_loop_that_may_take_as_long(actor: Process) -> None:
    actor.silent(0, MAIN, 30.0, "resetting", 65.0)
    assert actor.look().well


def test_a_thread_that_stands_or_died(actor: Process) -> None:
    actor.pulse(0, MAIN).beat("acting")
    actor.silent(1, "uplink", 5.0)
    assert actor.look().sentence.startswith("thread 'uplink' has not moved for 5.")
    actor.pulse(1, "uplink").died(ValueError("a bad frame"))
    assert actor.look().sentence == "thread 'uplink' died: ValueError: a bad frame"
    assert not actor.look().well


def test_one_that_ended(actor: Process) -> None:
    actor.pulse(0, MAIN).beat("acting")
    actor.record.write_end(actor.directory, "killed by SIGKILL")
    assert actor.look() == Health("actor", False, "killed by SIGKILL")
    record = read_record(actor.directory, "actor")
    assert record is not None
    assert record.words == ("actor", "run.seed=1")
    assert names_in(actor.directory) == ["actor"]


def test_signs_from_before_a_reboot_are_no_signs_of_life(actor: Process) -> None:
    actor.pulse(0, MAIN).beat("acting")
    replace(actor.record, machine_start="another", host="bench-pc").write(actor.directory)
    assert not actor.look().well
    assert actor.look().sentence.startswith("it was started on bench-pc, by another machine or before")


def test_a_record_torn_by_a_kill_is_none(actor: Process) -> None:
    (actor.directory / "alive" / "actor.json").write_text('{"name": "actor"')
    assert read_record(actor.directory, "actor") is None
    (actor.directory / "alive" / "actor.json").write_text("[]")
    assert read_record(actor.directory, "actor") is None


def test_a_learner_at_work_is_judged_by_its_figures_too(learner: Process) -> None:
    stuck = [row(t, updates_owed=400, critic_updates=77) for t in range(0, 40)]
    (learner.directory / METRICS).write_text("".join(json.dumps(r) + "\n" for r in stuck))
    learner.pulse(0, MAIN).beat("updating")
    assert learner.look().sentence == "it owes 400 updates and has done none for 39 s"
    learner.pulse(0, MAIN).beat("compiling", 600.0)  # what the file holds is of the learner before it
    assert learner.look().well


@pytest.mark.parametrize("seconds", [0, 1, 31, 400])
def test_a_learner_that_keeps_up_has_no_stall(seconds: int) -> None:
    assert stall([row(t) for t in range(seconds)]) == ""


def test_a_learner_ahead_may_rest_for_ever() -> None:
    assert stall([row(t, critic_updates=100, updates_owed=0) for t in range(400)]) == ""


def test_updates_owed_and_not_done() -> None:
    rows = [row(t) for t in range(60)] + [row(60 + t, critic_updates=3000, updates_owed=5 * t + 5) for t in range(32)]
    assert stall(rows) == "it owes 160 updates and has done none for 31 s"
    assert stall(rows[:-1]) == ""  # not yet


def test_one_that_works_off_what_it_owes_has_no_stall() -> None:
    assert stall([row(t, critic_updates=20 * t, updates_owed=1000) for t in range(200)]) == ""


def test_episodes_that_end_and_are_not_committed() -> None:
    rows = [row(t) for t in range(60)] + [row(60 + t, **{"delivery/committed": 550}) for t in range(50)]
    text = stall(rows)
    assert text.startswith("it has committed no episode for ")
    assert float(text.removeprefix("it has committed no episode for ").partition(" ")[0]) == 109 - 65


def test_one_long_episode_is_no_stall() -> None:
    rows = [row(t, **{"delivery/committed": 0, "actor/episodes": 1}) for t in range(300)]
    assert stall(rows) == ""


def test_a_robot_in_fault_is_no_stall_of_the_learner() -> None:
    """Nothing moves, and each look begins another episode that has no transition."""
    still = {"delivery/committed": 550, "actor/steps": 550, "critic_updates": 2750}
    assert stall([row(t, **still, **{"actor/episodes": 10 + t}) for t in range(300)]) == ""


def test_the_counters_of_a_learner_before_it_count_for_nothing() -> None:
    before = [row(t, updates_owed=9, critic_updates=1) for t in range(100)]
    after = [row(100, phase="compiling"), row(101, updates_owed=9, critic_updates=1)]
    assert stall(before) != ""
    assert stall(before + after) == ""
    assert stall([*before, row(100, phase="finished")]) == ""


def test_the_tail_passes_over_what_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert tail(path) == []
    path.write_text('{"n": 1}\n{"n": 2}\n[3]\n{"n": 4}\n{"n"')
    assert tail(path) == [{"n": 1}, {"n": 2}, {"n": 4}]
    assert tail(path, size=16) == [{"n": 4}]
