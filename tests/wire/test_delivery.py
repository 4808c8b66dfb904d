"""Exactly once, with real processes that are killed."""

import contextlib
import multiprocessing
import os
from pathlib import Path

import pytest

from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.sockets import ANY_PORT
from rlpd_robot.wire.uplink import ActorUplink
from tests.wire.examples import problem, segment
from tests.wire.waiting import wait_until

pytestmark = pytest.mark.integration
AHEAD = 200  # transitions
spawn = multiprocessing.get_context("spawn")


def lines(disk: Path) -> list[tuple[str, int, str]]:
    """(boot, sequence, reward or cause) of every transition and every end, as the learner wrote them."""
    if not disk.exists():
        return []
    whole = disk.read_text().rpartition("\n")[0]
    return [(b, int(s), word) for b, s, word in (line.split(" ", 2) for line in whole.splitlines())]


def committed(disk: Path, boot: str) -> list[int]:
    return [s for b, s, word in lines(disk) if b == boot and not word.startswith("end")]


def ends(disk: Path, boot: str) -> list[int]:
    return [s for b, s, word in lines(disk) if b == boot and word.startswith("end")]


def next_sequence(disk: Path, boot: str) -> int:
    return max((s + 1 for s in committed(disk, boot)), default=0)


def learner_main(sender, address: str, disk: Path) -> None:
    """Commits the transitions of whole episodes to a file, as the real one does, until it is killed."""
    intake = LearnerIntake(address, "run", lambda found: None, lambda boot: next_sequence(disk, boot))
    sender.send(intake.address)
    descriptor = os.open(disk, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    rows = {}
    while True:
        for piece in intake.poll(1.0):
            text = rows.setdefault(piece.boot, [])
            if isinstance(piece, EpisodeEnd):
                text.append(f"{piece.boot} {piece.sequence} end {piece.cause}\n")
                sequence, ended = piece.sequence, True
            else:
                text += [f"{piece.boot} {piece.first_sequence + i} {r:g}\n" for i, r in enumerate(piece.rewards)]
                sequence, ended = piece.next_sequence, piece.ending != ""
            if ended:
                os.write(descriptor, "".join(rows.pop(piece.boot)).encode())
                intake.acknowledge(piece.boot, sequence)
        for boot in intake.ended():  # its last episode will not go on
            os.write(descriptor, "".join(rows.pop(boot, [])).encode())
            intake.acknowledge(boot, next_sequence(disk, boot))


def actor_main(sender, address: str, directory: Path, boot: str, episodes: int) -> None:
    """Acts episodes of three transitions, and tells each sequence and each end once it has been offered.

    Every other episode ends after its last transition. As long as the learner takes them the actor stays a little ahead
    of it, like a robot; it must not outrun the test.
    """
    journal = Journal(directory, 100)
    uplink = ActorUplink(address, boot, problem(), False, journal)
    first = 0
    for episode in range(episodes):
        if episodes > AHEAD:
            wait_until(lambda: uplink.committed + AHEAD > first)  # noqa: B023 - called at once
        for step in range(3):
            ending = "truncated" if step == 2 and episode % 2 else ""
            uplink.offer(segment(boot, first=first, episode=episode, first_step=step, ending=ending))
            sender.send(first)
            first += 1
        if episode % 2 == 0:
            uplink.end_episode(episode, "truncated", f"stopped at {first}")
            sender.send((first, "end"))
    sender.send("all")
    sender.send(uplink.flush(60))
    uplink.close()
    journal.close()


@contextlib.contextmanager
def process(target, *arguments):
    receiver, sender = spawn.Pipe(duplex=False)
    child = spawn.Process(target=target, args=(sender, *arguments))
    child.start()
    sender.close()  # so that a reader sees the end when the process is gone
    try:
        yield child, receiver
    finally:
        child.kill()
        child.join(10)
        receiver.close()


def told(receiver):
    assert receiver.poll(30), "the process said nothing"
    return receiver.recv()


def all_told(receiver):
    """(sequences, ends) that a process told before it died, or said that it had told all."""
    sequences, told_ends = [], []
    with contextlib.suppress(EOFError):
        while (word := told(receiver)) != "all":
            (told_ends if isinstance(word, tuple) else sequences).append(word)
    return sequences, [sequence for sequence, _ in told_ends]


def has_all(disk, boot, sequences, told_ends):
    """Everything told is there; one more may be, offered and not yet told. Nothing is there twice."""
    rows, found = committed(disk, boot), ends(disk, boot)
    assert rows in (sequences, [*sequences, len(sequences)]), boot
    assert found[: len(told_ends)] == told_ends, boot
    assert len(found) <= len(told_ends) + 1
    words = [(s, word) for b, s, word in lines(disk) if b == boot]
    assert all(word == f"end stopped at {s}" if "end" in word else float(word) == -s for s, word in words)


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
                for _ in range(100):
                    for step in range(3):
                        uplink.offer(segment(first=total, episode=total // 3, first_step=step))
                        total += 1
                    uplink.end_episode(total // 3 - 1, "truncated", f"stopped at {total}")
                if turn < 3:  # killed somewhere in the middle of the stream
                    wait_until(lambda before=before: next_sequence(disk, "boot-a") > before + 40)
                else:
                    assert uplink.flush(30)
        assert uplink.committed == total
    has_all(disk, "boot-a", list(range(total)), list(range(3, total + 1, 3)))


def test_what_a_killed_actor_has_offered_is_delivered_by_its_successors(tmp_path):
    disk, directory = tmp_path / "disk", tmp_path / "journal"
    offered = {}
    with process(learner_main, ANY_PORT, disk) as (_, receiver):
        address = told(receiver)
        for boot in ("one", "two"):
            with process(actor_main, address, directory, boot, 100_000) as (child, actor):
                wait_until(lambda boot=boot: next_sequence(disk, boot) > 30)
                child.kill()
                offered[boot] = all_told(actor)
        with process(actor_main, address, directory, "last", 50) as (child, actor):
            offered["last"] = all_told(actor)
            assert told(actor) is True
            child.join(20)
            assert child.exitcode == 0
    assert list(directory.glob("*.journal")) == []
    assert len(offered["one"][0]) > 30
    for boot, (sequences, told_ends) in offered.items():
        has_all(disk, boot, sequences, told_ends)


def test_both_killed_at_once(tmp_path):
    disk, directory = tmp_path / "disk", tmp_path / "journal"
    with process(learner_main, ANY_PORT, disk) as (learner, receiver):
        address = told(receiver)
        with process(actor_main, address, directory, "one", 100_000) as (child, actor):
            wait_until(lambda: next_sequence(disk, "one") > 30)
            child.kill()
            learner.kill()
            offered = {"one": all_told(actor)}
    with (
        process(actor_main, address, directory, "two", 10) as (_, actor),
        process(learner_main, address, disk),
    ):
        offered["two"] = all_told(actor)
        assert told(actor) is True
    for boot, (sequences, told_ends) in offered.items():
        has_all(disk, boot, sequences, told_ends)
