"""When the robot stopped for a fault, read from its book."""

import math

import numpy as np
import pytest

from rlpd_robot.robot.book import CommandBook, Outcome, new_records, read_book, record_dtype
from rlpd_robot.run.dry_run.inflict import stop_of

E, R, S, H, N, IDLE = (getattr(Outcome, name) for name in ("EXECUTED", "RESET", "STOP", "HELD", "NOT_RESET", "IDLE"))


def book(*lines):
    """(time, outcome) each."""
    records = np.zeros(len(lines), record_dtype(2))
    records["stamp_s"], records["outcome"] = zip(*lines, strict=True)
    return records


@pytest.mark.parametrize(
    ("lines", "stopped_s", "moved"),
    [
        ([(1.0, E), (2.1, E), (2.2, S), (2.3, S)], 2.2, 0),
        ([(1.0, E), (1.9, H), (2.0, S), (2.1, N)], 2.0, 0),  # before the fault: not its stop
        ([(2.1, H), (2.1, S), (2.2, R), (2.3, E), (2.4, S)], 2.4, 0),  # an episode ended as any other in between
        ([(2.1, E), (2.2, S), (3.5, E), (3.6, R)], 2.2, 2),  # after the actor had told: nothing may be carried out
        ([(2.1, E), (2.2, E)], math.nan, 0),
        ([(2.1, E), (2.2, IDLE), (3.5, IDLE)], 2.2, 0),  # told to hold, again after the actor had told: it stands
        ([(2.1, E), (2.2, IDLE), (3.5, E)], 2.2, 1),
        ([(1.0, E)], math.nan, 0),
    ],
)
def test_the_stop_of_a_fault(lines, stopped_s, moved):
    found = stop_of(book(*lines), began_s=2.0, told_s=3.0)
    assert found == pytest.approx((stopped_s, moved), nan_ok=True)


def test_a_book_can_be_watched_while_it_is_written(tmp_path):
    path = tmp_path / "book"
    assert len(new_records(path, 0)) == 0
    written = CommandBook(path, "server", 2)
    assert len(new_records(path, 0)) == 0
    for i in range(3):
        written.add(Outcome.EXECUTED, "me", i, values=np.full(2, float(i)))
    assert new_records(path, 1)["number"].tolist() == [1, 2]
    with open(path, "ab") as file:
        file.write(b"half a record")
    np.testing.assert_array_equal(new_records(path, 0), read_book(path))
    assert len(new_records(path, 3)) == 0
    written.close()
