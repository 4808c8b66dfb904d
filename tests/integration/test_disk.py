"""A disk that takes no more, for real: a limit on the size of files is put on running processes."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpd_robot.data.demo_store import DemoStore
from tests.integration.running import Verb, children_of, events, link_words, live_rows, read_json, row

pytestmark = pytest.mark.integration

Start = Callable[..., tuple[Verb, Path]]


@pytest.fixture
def train(tmp_path: Path, demos: Path) -> Iterator[Start]:
    """Starts or goes on with one run of the point's experiment; the process and the run's directory."""
    started: list[Verb] = []
    words = ["train", "experiment=point", f"run.demos={demos}", f"run.root={tmp_path}", "resume=auto"]

    def start(*more: str) -> tuple[Verb, Path]:
        started.append(Verb([*words, *link_words(), *more], tmp_path / "train.log"))
        return started[-1], tmp_path / "point"

    yield start
    for verb in started:
        for pid in children_of(verb.process.pid).values():
            os.kill(pid, signal.SIGKILL)
        verb.kill()


def limit_files(pid: int, size: int = resource.RLIM_INFINITY) -> None:
    """No file of this process and of its later children may grow beyond `size` [bytes]."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_learner_whose_disk_is_full_ends_the_run_which_goes_on_later(train: Start) -> None:
    verb, run = train("run.env_steps=400", "supervise.restarts=0")
    verb.until(lambda: row(run).get("env_steps", 0) > 50)
    limit_files(children_of(verb.process.pid)["learner"], (run / "metrics.jsonl").stat().st_size)
    assert verb.ends() == 1, verb.text
    assert "rlpd-robot train: Process 'learner' ended (1)" in verb.text
    assert "Last words: rlpd-robot learner: the disk refuses: " in verb.text
    assert f"Everything executed until then is kept in {run}; `resume=auto` goes on with it." in verb.text
    kept = live_rows(run)

    again, _ = train("run.env_steps=400")
    assert again.ends() == 0, again.text
    rows = live_rows(run)
    assert rows[: len(kept)] == kept
    for boot, end in DemoStore.open(run / "live.zarr").next_sequences().items():
        assert [n for b, n in rows if b == boot] == list(range(end))
    delivery = read_json(run / "summary.json")["delivery"]
    assert (delivery["lost"], delivery["duplicated"]) == (0, 0)
    assert delivery["committed"] >= 400


def test_an_actor_whose_disk_is_full_loses_nothing_and_goes_on_when_there_is_room(train: Start) -> None:
    verb, run = train("run.env_steps=400", "sim.lockstep=false")
    verb.until(lambda: row(run).get("env_steps", 0) > 20)
    actor = children_of(verb.process.pid)["actor"]
    limit_files(actor, 64)  # its log too
    verb.until(lambda: any("the disk refuses" in text for text in events(run)))
    limit_files(actor)
    assert verb.ends() == 0, verb.text
    assert not any("starts again" in text for text in events(run))  # it lived through it
    delivery = read_json(run / "summary.json")["delivery"]
    assert (delivery["lost"], delivery["duplicated"]) == (0, 0)
    assert delivery["committed"] == delivery["sent"] >= 400
