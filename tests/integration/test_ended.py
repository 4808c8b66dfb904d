"""How a run of all processes on a point ends: by a person, by a full disk, by itself; and how it is gone on with.

A disk that takes no more is real: a limit on the size of files is put on running processes.
"""

import resource
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore
from tests.integration.conftest import Start
from tests.integration.running import children_of, events, live_rows, read_json, steps

pytestmark = pytest.mark.integration


def limit_files(pid: int, size: int = resource.RLIM_INFINITY) -> None:
    """No file of this process and of its later children may grow beyond `size` [bytes]."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_by_a_person_by_a_full_disk_and_by_itself(train: Start) -> None:
    endless = ("run.env_steps=1000000", "learner.checkpoint_every=40")
    verb, run = train(*endless)
    verb.until(lambda: steps(run) > 50)
    children = children_of(verb.process.pid)
    assert children.keys() == {"sim", "learner", "actor"}
    verb.interrupt()
    assert verb.ends() == 130
    assert f"Stopped by a person; everything executed until then is in {run / 'live.zarr'}." in verb.text
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    stopped = live_rows(run)
    assert stopped == [(stopped[0][0], n) for n in range(len(stopped))]
    assert len(stopped) == read_json(run / "actor.json")["steps"] > 50
    assert "Traceback" not in "".join(path.read_text() for path in (run / "logs").iterdir())

    verb, _ = train(*endless, "supervise.restarts=0")
    verb.until(lambda: steps(run) > len(stopped) + 50)
    limit_files(children_of(verb.process.pid)["learner"], (run / "metrics.jsonl").stat().st_size)
    assert verb.ends() == 1, verb.text
    assert "rlpd-robot train: Process 'learner' ended (1)" in verb.text
    assert "Last words: rlpd-robot learner: the disk refuses: " in verb.text
    assert f"Everything executed until then is kept in {run}; `resume=auto` goes on with it." in verb.text
    kept = live_rows(run)
    assert kept[: len(stopped)] == stopped

    enough = f"run.env_steps={len(kept) + 100}"
    verb, _ = train(enough)
    assert verb.ends() == 0, verb.text
    rows = live_rows(run)
    assert rows[: len(kept)] == kept
    for boot, end in DemoStore.open(run / "live.zarr").next_sequences().items():
        assert [n for b, n in rows if b == boot] == list(range(end))
    learned, summary = read_json(run / "learner.json"), read_json(run / "summary.json")
    assert learned["env_steps"] == len(rows) >= len(kept) + 100
    assert (summary["delivery"]["lost"], summary["delivery"]["duplicated"]) == (0, 0)

    verb, _ = train(enough)
    assert verb.ends() == 0, verb.text
    assert read_json(run / "learner.json") == learned  # nobody learned
    assert read_json(run / "summary.json")["eval"] == summary["eval"]


def test_by_the_wall_clock_a_full_disk_of_the_actor_costs_nothing_once_there_is_room(train: Start) -> None:
    """400 periods of 10 ms; the learner may fall behind, the actor may not wait for it."""
    verb, run = train("run.env_steps=400", "sim.lockstep=false")
    verb.until(lambda: steps(run) > 20)
    actor = children_of(verb.process.pid)["actor"]
    limit_files(actor, 64)  # its log too
    verb.until(lambda: any("the disk refuses" in text for text in events(run)))
    limit_files(actor)
    assert verb.ends() == 0, verb.text
    assert not any("starts again" in text for text in events(run))  # it lived through it
    summary = read_json(run / "summary.json")
    assert summary["actor"]["lockstep"] is False
    assert summary["actor"]["period_ms"] == pytest.approx(10, rel=0.5)
    assert summary["actor"]["deadline_misses"] >= 0
    assert summary["delivery"]["lost"] == summary["delivery"]["duplicated"] == 0
    assert summary["delivery"]["committed"] == summary["delivery"]["sent"] >= 400
    assert summary["env_steps"] >= 400
    assert summary["utd_realised"] == pytest.approx(2, rel=0.02)
    assert summary["learner"]["compiles"] == 1
