from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.run.consumed import ConsumedBook
from rlpd_robot.run.refill import Patience, Refill
from tests.run.rows import names, rows

TURNS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5)), max_size=12)


def book_of(turns: list[tuple[str, int]]) -> tuple[ConsumedBook, list[tuple[str, int]]]:
    book, nexts, order = ConsumedBook(), {"a": 0, "b": 0}, []
    for boot, n in turns:
        book.add(rows(boot, nexts[boot], n))
        order += [(boot, nexts[boot] + i) for i in range(n)]
        nexts[boot] += n
    return book, order


@given(turns=TURNS, chunks=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 7)), max_size=30))
def test_however_rows_come_they_are_taken_in_the_books_order(
    turns: list[tuple[str, int]], chunks: list[tuple[str, int]]
) -> None:
    book, order = book_of(turns)
    refill, taken, beyond = Refill(book), [], []
    nexts = {"a": 0, "b": 0}
    for boot, n in [*chunks, ("a", 100), ("b", 100)]:
        new = refill.offer(rows(boot, nexts[boot], n))
        nexts[boot] += n
        taken += refill.take()
        beyond += [] if new is None else [new]
        assert names(taken) == order[: len(names(taken))]
        assert refill.missing == len(order) - len(names(taken))
    assert names(taken) == order
    rest = names(beyond)
    assert {boot: [n for b, n in rest if b == boot] for boot in "ab"} == {
        boot: list(range(book.next_sequences.get(boot, 0), nexts[boot])) for boot in "ab"
    }
    assert refill.lost == 0


def test_a_row_that_was_left_out_is_not_waited_for() -> None:
    book, _ = book_of([("a", 6)])
    refill = Refill(book)
    refill.offer(rows("a", 0, 2))
    refill.offer(rows("a", 4, 3))  # 2 and 3 are gone: a boot's rows come in order
    assert names(list(refill.take())) == [("a", 0), ("a", 1), ("a", 4), ("a", 5)]
    assert (refill.missing, refill.lost) == (0, 2)


def test_given_up_rows_are_counted_and_still_let_in_when_they_come() -> None:
    book, _ = book_of([("a", 3), ("b", 2), ("a", 2)])
    refill = Refill(book)
    refill.offer(rows("a", 0, 5))
    assert names(list(refill.take())) == [("a", 0), ("a", 1), ("a", 2)]
    assert refill.missing == 4
    refill.give_up()
    assert names(list(refill.take())) == [("a", 3), ("a", 4)]
    assert (refill.missing, refill.lost) == (0, 2)
    new = refill.offer(rows("b", 0, 3))
    assert new is not None
    assert names([new]) == [("b", 2)]
    assert names(list(refill.take())) == [("b", 0), ("b", 1)]


def test_patience_is_long_without_an_actor_and_short_with_one_that_brings_nothing() -> None:
    patience = Patience(answering_s=10, absent_s=600, now=0.0)
    assert not patience.is_over(5, False, 599)
    assert not patience.is_over(5, True, 600)  # one has come
    assert not patience.is_over(5, True, 608)
    assert not patience.is_over(4, True, 611)  # it brings some
    assert not patience.is_over(4, True, 620)
    assert patience.is_over(4, True, 621.5)


def test_patience_ends_without_any_actor() -> None:
    patience = Patience(answering_s=10, absent_s=600, now=0.0)
    assert not patience.is_over(5, False, 1)
    assert patience.is_over(5, False, 602)
