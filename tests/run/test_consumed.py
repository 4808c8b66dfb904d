import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.run.consumed import ConsumedBook, joined
from tests.run.rows import names, rows


@pytest.mark.parametrize("count", [-3, 0, 2, 5, 9])
def test_rows_are_cut_where_asked(count: int) -> None:
    head, tail = rows("a", 10, 5).cut(count)
    parts = [part for part in (head, tail) if part is not None]
    assert names(parts) == [("a", n) for n in range(10, 15)]
    assert (0 if head is None else len(head)) == min(max(count, 0), 5)


def test_rows_are_joined_in_order() -> None:
    batch = joined([rows("a", 3, 2), rows("b", 0, 1)])
    assert batch.reward.tolist() == [3, 4, 1000]
    assert batch.observation.shape == (3, 1)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=20),
)
def test_a_book_lists_every_row_in_its_order_and_survives_arrays(turns: list[tuple[str, int]]) -> None:
    book, nexts, expected = ConsumedBook(), dict.fromkeys("abc", 0), []
    for boot, n in turns:
        book.add(rows(boot, nexts[boot], n))
        expected += [(boot, nexts[boot] + i) for i in range(n)]
        nexts[boot] += n
    for same in (book, ConsumedBook(book.boots, book.runs)):
        assert [(boot, first + i) for boot, first, count in same for i in range(count)] == expected
        assert same.rows == len(expected)
        assert same.next_sequences == {boot: n for boot, n in nexts.items() if n}


def test_one_actor_is_one_run() -> None:
    book = ConsumedBook()
    for i in range(100):
        book.add(rows("a", i, 1))
    np.testing.assert_array_equal(book.runs, [[0, 0, 100]])
