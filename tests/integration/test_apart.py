"""Stand-in, actor and learner started one by one, in any order; killed and started again."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rlpd_robot.run.stopping import SUPERVISOR
from tests.integration.running import Verb, events, free_ports, link_words, live_rows, read_json, row, run_verb

pytestmark = pytest.mark.integration

Start = Callable[..., Verb]


@pytest.fixture
def start(tmp_path: Path, demos: Path) -> Iterator[Start]:
    """Starts one verb of the point's experiment; all share their addresses and the run's directory."""
    shared = ["experiment=point", f"run.demos={demos}", f"run.root={tmp_path}", *link_words(), "sim.lockstep=false"]
    started: list[Verb] = []

    def run(verb: str, *words: str) -> Verb:
        supervised = {SUPERVISOR: str(os.getpid())}  # so that a hiccup of this machine does not wait for a person
        started.append(Verb([verb, *shared, *words], tmp_path / f"{verb}{len(started)}.log", **supervised))
        return started[-1]

    yield run
    for verb in started:
        verb.kill()


def test_a_learner_is_killed_and_started_again_while_the_robot_moves_on(
    start: Start, tmp_path: Path, demos: Path
) -> None:
    run, endless = tmp_path / "point", "run.env_steps=1000000"
    actor = start("actor", "link.timeout_s=60")  # first of all; at its end it waits so long for what it still has
    sim = start("sim")
    actor.until((run / "actor" / "journal").exists)

    first = start("learner", endless)
    first.until(lambda: row(run).get("env_steps", 0) > 100)
    first.kill()
    committed = len(live_rows(run))
    assert committed > 0

    journalled = size(run / "actor" / "journal")
    actor.until(lambda: size(run / "actor" / "journal") > journalled + 10_000)  # it goes on, for some ten segments

    second = start("learner", endless)
    second.until(lambda: row(run).get("env_steps", 0) > committed + 100)
    assert any(text.startswith("goes on from the ") for text in events(run))
    turned_away(tmp_path, demos, second)

    actor.interrupt()
    assert actor.ends() == 0, actor.text
    second.interrupt()
    assert second.ends() == 0, second.text
    sim.interrupt()
    assert sim.ends() == 0, sim.text

    executed = read_json(run / "actor.json")
    rows = live_rows(run)
    assert rows == [(rows[0][0], n) for n in range(int(executed["steps"]))]  # each one once, and in order
    assert executed["uncommitted"] == 0
    assert executed["deadline_misses"] >= 0
    assert executed["policies_received"] > 2
    assert executed["policies_refused"] == executed["policies_refused_older"]  # until it heard how far the actor is
    assert list((run / "actor" / "journal").glob("*.journal")) == []
    account = read_json(run / "learner.json")
    assert account["env_steps"] == len(rows)
    assert 0 < account["critic_updates"] <= 2 * len(rows)
    assert account["compiles"] == 1
    for verb in (actor, second, sim):
        assert "Traceback" not in verb.text


def turned_away(tmp_path: Path, demos: Path, learner: Verb) -> None:
    """An actor of another robot comes to a learner that is at work."""
    words = [word for word in learner.words if word.startswith(("link.data", "link.policy"))]
    words.append(f"link.control=tcp://127.0.0.1:{free_ports(1)[0]}")
    status, text = run_verb(
        ["actor", "experiment=point", f"run.root={tmp_path}", "run.name=other", *words]
        + [
            "~robot.driver.address",
            "~robot.driver.security",
            "robot.driver._target_=rlpd_robot.robot.fake.FakeDriver",
            "+robot.driver.period_s=0.05",
        ],
        tmp_path / "other.log",
    )
    address = next(word for word in words if word.startswith("link.data=")).removeprefix("link.data=")
    assert status == 2
    assert text.endswith(
        f"rlpd-robot actor: The learner at {address} refused: the actor's robot and task differ from those of "
        f"the demonstrations in {demos}: robot.period_s: 0.01 here, 0.05 there. Give both the same robot and task.\n"
    )
    assert not (tmp_path / "other").exists()


def size(directory: Path) -> int:
    """Bytes in a directory's files."""
    return sum(path.stat().st_size for path in directory.iterdir())
