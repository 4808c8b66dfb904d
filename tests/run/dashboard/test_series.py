"""Curves stay in order and within bounds, whatever a run does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rlpd_robot.run.dashboard.series import Series


@settings(max_examples=40)
@given(st.lists(st.integers(0, 200), max_size=300), st.integers(1, 20))
def test_x_ascends_the_newest_is_kept_and_there_are_not_too_many(xs: list[int], capacity: int) -> None:
    series = Series(capacity)
    for i, x in enumerate(xs):
        series.add(x, {"i": i})
    columns = series.columns("i", "absent")
    assert columns["x"] == sorted(set(columns["x"]))
    assert len(columns["x"]) == len(columns["i"]) == len(columns["absent"]) <= 2 * capacity
    assert columns["x"][-1:] == xs[-1:]
    assert columns["i"][-1:] == list(range(len(xs)))[-1:]
    assert set(columns["absent"]) <= {None}


def test_a_long_run_is_thinned_evenly() -> None:
    series = Series(capacity=10)
    for x in range(1000):
        series.add(x, {"y": x})
    xs = series.columns("y")["x"]
    gaps = {b - a for a, b in zip(xs, xs[1:-1], strict=False)}
    assert 10 <= len(xs) <= 21
    assert (xs[0], xs[-1]) == (0, 999)
    assert len(gaps) == 1


def test_what_is_lived_a_second_time_replaces_the_first() -> None:
    series = Series()
    for x in (10, 20, 30, 40):
        series.add(x, {"y": 1})
    series.add(20, {"y": 2})
    assert series.columns("y") == {"x": [10, 20], "y": [1, 2]}
