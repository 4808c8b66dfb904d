"""A learner that is gone for long: the actor's memory stays flat, no offer waits, and everything comes in the end."""

import contextlib
import os
from pathlib import Path

import pytest

from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.sockets import ANY_PORT
from rlpd_robot.wire.uplink import ActorUplink
from tests.wire.examples import problem, segment
from tests.wire.waiting import wait_until

COUNT = 16_000  # transitions, 7 MB in the journal


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.integration
def test_memory_stays_flat_and_everything_is_delivered_when_a_learner_appears(tmp_path, monkeypatch):
    monkeypatch.setattr("rlpd_robot.wire.outbox.READ_AHEAD_BYTES", 100_000)
    monkeypatch.setattr("rlpd_robot.wire.journal._FILE_BYTES", 500_000)
    with contextlib.closing(LearnerIntake(ANY_PORT, "run", lambda found: None, lambda boot: 0)) as nobody:
        address = nobody.address
    directory = tmp_path / "journal"
    with (
        contextlib.closing(Journal(directory, 100)) as journal,
        contextlib.closing(ActorUplink(address, "boot-a", problem(), False, journal)) as uplink,
    ):
        before = resident_mb()
        for i in range(COUNT):
            ending = "truncated" if i % 50 == 49 else ""
            uplink.offer(segment(first=i, episode=i // 50, first_step=i % 50, ending=ending))
        wait_until(lambda: uplink.stats()["outbox"] == 0)
        assert uplink._own._ahead_bytes < 110_000
        size_mb = journal.size / 1e6
        assert size_mb > 6
        assert resident_mb() - before < size_mb / 2
    # It dies, and its successor delivers.
    with (
        contextlib.closing(Journal(directory, 100)) as journal,
        contextlib.closing(ActorUplink(address, "boot-b", problem(), False, journal)) as uplink,
        contextlib.closing(LearnerIntake(address, "run", lambda found: None, lambda boot: 0)) as learner,
    ):
        got = []

        def work():
            for piece in learner.poll(0.01):
                got.append(piece.first_sequence)
                learner.acknowledge(piece.boot, piece.next_sequence)
            return len(got) >= COUNT

        wait_until(work, 60)
        assert got == list(range(COUNT))
        assert uplink.flush(20)
        wait_until(lambda: journal.stats()["journal_files"] == 1)
    assert list(directory.glob("*.journal")) == []
