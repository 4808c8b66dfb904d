"""Hand-made books of a learner beside hand-made stores."""

import pytest

from rlpd_robot.run.bench.learner_book import compare_learner
from rlpd_robot.types import Segment
from tests.run.bench.test_books import episode

STORE = [episode([1, 2, 3], 0, 0, "a"), episode([4, 5], 3, 1, "a"), episode([6], 0, 0, "b")]


def test_books_that_agree_in_whatever_pieces() -> None:
    found = compare_learner([("a", 0, 1), ("b", 0, 1), ("a", 1, 4)], STORE)
    assert (found.consumed, found.lost, found.duplicated, found.not_committed) == (6, [], [], [])


@pytest.mark.parametrize(
    ("book", "lost", "duplicated", "not_committed"),
    [
        ([("a", 0, 5)], ["sequence 0 of actor b: committed, never learned from"], [], []),
        ([("a", 0, 1), ("a", 3, 2), ("b", 0, 1)], ["sequences 1 to 2 of actor a"], [], []),
        ([("a", 0, 4), ("b", 0, 1), ("a", 2, 3)], [], ["sequences 2 to 3 of actor a: learned from twice"], []),
        ([("a", 0, 5), ("b", 0, 1), ("b", 0, 1)], [], ["sequence 0 of actor b: learned from twice"], []),
        ([("a", 0, 7), ("b", 0, 1)], [], [], ["sequences 5 to 6 of actor a: learned from, not committed"]),
        ([("a", 0, 5), ("b", 0, 1), ("c", 0, 2)], [], [], ["sequences 0 to 1 of actor c"]),
    ],
)
def test_books_that_differ(
    book: list[tuple[str, int, int]], lost: list[str], duplicated: list[str], not_committed: list[str]
) -> None:
    found = compare_learner(book, STORE)
    for want, have in ((lost, found.lost), (duplicated, found.duplicated), (not_committed, found.not_committed)):
        assert len(have) == len(want)
        assert all(text.startswith(start) for text, start in zip(have, want, strict=True))


def test_an_empty_store_and_an_empty_book() -> None:
    none: list[Segment] = []
    assert compare_learner([], none).consumed == 0
