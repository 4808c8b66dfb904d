"""Exactly once, with real processes that are killed."""

import contextlib
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.sockets import ANY_PORT
from rlpd_robot.wire.uplink import ActorUplink
from tests.wire.examples import problem, segment
from tests.wire.waiting import wait_until

pytestmark = pytest.mark.integration
AHEAD = 200  # transitions
spawn = multiprocessing.get_context("spawn")


def committed_rows(disk: Path) -> list[tuple[str, int, float]]:
    if not disk.exists():
        return []
    return [(b, int(s), float(r)) for b, s, r in (line.split() for line in disk.read_text().splitlines())]


def next_sequence(disk: Path, boot: str) -> int:
    return max((s + 1 for b, s, _ in committed_rows(disk) if b == boot), default=0)


def learner_main(sender, address: str, disk: Path) -> None:
    """Commits each segment to a file, then acknowledges it, until it is killed."""
    intake = LearnerIntake(address, "run", lambda found: None, lambda boot: next_sequence(disk, boot))
    sender.send(intake.address)
    descriptor = os.open(disk, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        for s in intake.poll(1.0):
            rows = "".join(f"{s.boot} {s.first_sequence + i} {r:g}\n" for i, r in enumerate(s.rewards))
            os.write(descriptor, rows.encode())
            intake.acknowledge(s.boot, s.next_sequence)


def actor_main(sender, address: str, directory: Path, boot: str, count: int) -> None:
    """Offers `count` segments of one to three transitions, then waits until all is committed.

    As long as the learner takes them it stays a little ahead of it, like a robot; it must not outrun the test.
    """
    journal = Journal(directory, 100)
    uplink = ActorUplink(address, boot, problem(), False, journal)
    first = 0
    for i in range(count):
        if count > AHEAD:
            wait_until(lambda: uplink.committed + AHEAD > first)  # noqa: B023 - called at once
        uplink.offer(segment(boot, first=first, n=1 + i % 3, episode=i, ending="truncated"))
        first += 1 + i % 3
    sender.send(first)
    sender.send(uplink.flush(60))
    uplink.close()
    journal.close()


@contextlib.contextmanager
def process(target, *arguments):
    receiver, sender = spawn.Pipe(duplex=False)
    child = spawn.Process(target=target, args=(sender, *arguments))
    child.start()
    try:
        yield child, receiver
    finally:
        child.kill()
        child.join(10)
        receiver.close()
        sender.close()


def told(receiver):
    assert receiver.poll(30), "the process said nothing"
    return receiver.recv()


def test_a_learner_killed_again_and_again_misses_and_repeats_nothing(tmp_path):
    disk, total, address = tmp_path / "disk", 0, ANY_PORT
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(contextlib.closing(Journal(tmp_path / "journal", 100)))
        uplink = None
        for turn in range(4):
            with process(learner_main, address, disk) as (_, receiver):
                address = told(receiver)
                if uplink is None:
                    uplink = ActorUplink(address, "boot-a", problem(), False, journal)
                    stack.enter_context(contextlib.closing(uplink))
                before = next_sequence(disk, "boot-a")
                for i in range(300):
                    uplink.offer(segment(first=total, n=1 + i % 3))
                    total += 1 + i % 3
                if turn < 3:  # killed somewhere in the middle of the stream
                    wait_until(lambda before=before: next_sequence(disk, "boot-a") > before + 40)
                else:
                    assert uplink.flush(30)
        assert uplink.committed == total
    rows = committed_rows(disk)
    assert [s for _, s, _ in rows] == list(range(total))
    assert all(reward == -s for _, s, reward in rows)


def test_a_killed_actor_s_journal_is_delivered_by_its_successors(tmp_path):
    disk, directory = tmp_path / "disk", tmp_path / "journal"
    ends = {}
    with process(learner_main, ANY_PORT, disk) as (_, receiver):
        address = told(receiver)
        for boot in ("one", "two"):
            with process(actor_main, address, directory, boot, 100_000) as (child, _):
                wait_until(lambda boot=boot: next_sequence(disk, boot) > 30)
                child.kill()
                child.join(10)
            with contextlib.closing(Journal(directory, 100, problem().fingerprint)) as left:
                ends |= {b: end for b, _, end in left.pending()}
        with process(actor_main, address, directory, "last", 50) as (child, receiver):
            ends["last"] = told(receiver)
            assert told(receiver) is True
            child.join(20)
            assert child.exitcode == 0
    assert list(directory.glob("*.journal")) == []
    rows = committed_rows(disk)
    assert set(ends) == {"one", "two", "last"}
    for boot, end in ends.items():
        mine = np.array([s for b, s, _ in rows if b == boot])
        assert mine.tolist() == list(range(end)), boot


def test_both_killed_at_once(tmp_path):
    disk, directory = tmp_path / "disk", tmp_path / "journal"
    with process(learner_main, ANY_PORT, disk) as (_, receiver):
        address = told(receiver)
        with process(actor_main, address, directory, "one", 100_000):
            wait_until(lambda: next_sequence(disk, "one") > 30)
    with contextlib.closing(Journal(directory, 100, problem().fingerprint)) as left:
        ((_, _, end),) = left.pending()
    with (
        process(actor_main, address, directory, "two", 10) as (_, actor),
        process(learner_main, address, disk),
    ):
        ends = {"one": end, "two": told(actor)}
        assert told(actor) is True
    rows = committed_rows(disk)
    for boot, last in ends.items():
        assert [s for b, s, _ in rows if b == boot] == list(range(last))
