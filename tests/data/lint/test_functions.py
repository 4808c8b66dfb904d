"""The functions that checks are made of, on arrays small enough to answer by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.data.lint import actions, frames, outliers, rewards, sensors, timing
from rlpd_robot.data.lint.runs import runs_of, within_long_runs

T, F = True, False


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_runs() -> None:
    assert runs_of(np.array([T, T, F, F, T])).tolist() == [[0, 2], [4, 5]]
    assert runs_of(np.array([F, F])).tolist() == []
    assert runs_of(np.array([], np.bool_)).tolist() == []
    assert within_long_runs(np.array([T, T, F, T]), 2).tolist() == [T, T, F, F]
    assert within_long_runs(np.array([[T, F], [T, T], [F, T]]), 2).tolist() == [[T, F], [T, T], [F, T]]


@given(st.lists(st.booleans()))
def test_runs_cover_exactly_what_is_true(mask: list[bool]) -> None:
    covered = np.zeros(len(mask), np.bool_)
    for start, stop in runs_of(np.array(mask, np.bool_)):
        assert not covered[start:stop].any()
        covered[start:stop] = True
    assert covered.tolist() == mask


def test_actions_at_and_beyond_their_range() -> None:
    a = column(0.5, 0.9991, -1.0, 1.2, np.nan)
    assert actions.saturated(a)[:, 0].tolist() == [F, T, T, T, F]
    assert actions.outside(a, np.zeros_like(a))[:, 0].tolist() == [F, F, F, T, F]
    assert actions.outside(np.zeros_like(a), a)[:, 0].tolist() == [F, F, F, T, F]


def test_what_the_filter_changed_and_what_it_did_not() -> None:
    executed, wanted = column(0.0, 0.5, 0.5, 0.0), column(0.0, 0.6, 0.6, 0.00005)
    safety = np.array([4, 4, 0, 4], np.uint16)
    assert actions.clipped(executed, wanted, safety)[:, 0].tolist() == [F, T, F, F]
    assert actions.replaced(executed, wanted, safety)[:, 0].tolist() == [F, F, T, F]


def test_idle_is_at_the_ends_and_long() -> None:
    a = np.concatenate([np.zeros(30), np.arange(1, 11), np.full(40, 11.0), np.arange(12, 22), np.full(10, 21.0)])[
        :, None
    ]
    o = np.concatenate([a[:1], a]).astype(np.float32)
    found = actions.idle(a.astype(np.float32), o)
    assert np.flatnonzero(found).tolist() == [*range(30)], (
        "the pause in between is not at an end, that at the end is short"
    )


def test_a_sensor_that_froze_and_one_that_did_not() -> None:
    moving = np.arange(40.0)
    frozen = moving.copy()
    frozen[10:25] = 10.0
    rested = np.concatenate([np.arange(10.0), np.full(15, 9.0), np.arange(10.0, 25.0)])
    found = sensors.stuck(np.stack([moving, frozen, rested], axis=1).astype(np.float32))
    assert found.sum(axis=0).tolist() == [0, 15, 0]
    assert np.flatnonzero(found[:, 1]).tolist() == [*range(10, 25)]


def test_repeats_are_of_whole_rows() -> None:
    o = np.array([[0, 1], [0, 1], [0, 2], [0, 2]], np.float32)
    assert sensors.repeated(o).tolist() == [T, F, T]


@pytest.mark.parametrize(
    ("angles", "where"),
    [
        ((3.0, 3.1, -3.1, -3.0), [2]),
        ((0.1, 6.2, 6.0), [1]),
        ((170, 179, -179), [2]),
        ((350, 359, 1), [2]),
        ((3.0, -3.0, 9.0), []),  # no angle: it goes beyond a turn
        ((-2.0, 2.0), []),  # a large step, not from end to end
    ],
)
def test_angles_that_turn_over(angles: tuple[float, ...], where: list[int]) -> None:
    assert np.flatnonzero(sensors.turned_over(column(*angles))[:, 0]).tolist() == where


def test_twins_are_equal_in_every_episode() -> None:
    twins = sensors.Twins(4)
    twins.add(np.array([[1, 1, 1, 2], [3, 3, 3, 3]], np.float32))
    assert twins.groups(range(4)) == [[0, 1, 2]]
    twins.add(np.array([[0.0, -0.0, 1, 2]], np.float32))
    assert twins.groups(range(4)) == [[0, 1]]
    assert twins.groups([1, 2, 3]) == []


def test_ranges_of_the_robot() -> None:
    low, high = np.array([-1.0, -np.inf]), np.array([1.0, np.inf])
    found = sensors.outside_spec(np.array([[1.01, 99], [1.03, -99], [-1.5, 0]], np.float32), low, high)
    assert found.tolist() == [[F, F], [T, F], [T, F]]


def stamps(*states: float) -> np.ndarray:
    return np.array(states)[:, None] + np.array([0, 0.001, 0.002, 0.003])


def test_time() -> None:
    period = 0.01
    steady = stamps(0, 0.01, 0.02, 0.03)
    assert not timing.out_of_order(steady).any()
    assert timing.out_of_order(stamps(0, 0.01, 0.01, 0.02)).tolist() == [F, F, T, F]
    swapped = steady.copy()
    swapped[2, 3] = swapped[2, 1]
    assert timing.out_of_order(swapped).tolist() == [F, F, T, F]
    uneven = stamps(0, 0.01, 0.026, 0.036, 0.046, 0.080)
    assert timing.jittery(uneven, period).tolist() == [F, F, T, F, F, T]
    assert timing.gaps(uneven, period).tolist() == [F, F, F, F, F, T]
    assert not timing.jittery(stamps(0, 0.001, 0.002, 0.02), period).any(), "in lock-step time means nothing"
    late = steady.copy()
    late[1, 3] += 0.004
    assert timing.slow_actions(late, period).tolist() == [F, T, F, F]
    for one in (stamps(5.0),):
        assert not any(look(one, period).any() for look in (timing.jittery, timing.gaps, timing.slow_actions))


def test_endings() -> None:
    never, at_last, early = np.zeros(5, np.bool_), np.array([F, F, F, F, T]), np.array([F, T, T, T, T])
    assert rewards.limit_as_terminal("terminated", "time limit", never, 5, 200)
    assert rewards.limit_as_terminal("terminated", "", never, 200, 200)
    assert not rewards.limit_as_terminal("terminated", "fell", never, 5, 200)
    assert not rewards.limit_as_terminal("truncated", "time limit", never, 5, 200)
    assert not rewards.limit_as_terminal("terminated", "time limit", at_last, 5, 200)
    assert rewards.cut_at_success("truncated", at_last, 5, 200)
    assert not rewards.cut_at_success("truncated", early, 5, 200)
    assert not rewards.cut_at_success("terminated", at_last, 5, 200)
    assert not rewards.cut_at_success("truncated", at_last, 5, 5)
    assert not rewards.cut_at_success("truncated", never, 5, 200)
    flicker = np.array([T, F] * 4)
    assert rewards.flickering(flicker).tolist() == flicker.tolist()
    assert not rewards.flickering(flicker[:6]).any()


def test_axes_on_the_other_side() -> None:
    starts = np.array([[1.0, 0.1], [1.01, -0.1], [0.99, 0.2], [1.0, -0.2], [-1.0, 0.1]])
    assert np.argwhere(frames.mirrored(starts)).tolist() == [[4, 0]]
    assert not frames.mirrored(starts[1:]).any(), "four episodes say nothing"
    assert not frames.mirrored(np.array([[1.0], [1.01], [0.99], [1.0], [-0.3]])).any(), "not as far out"


def test_sessions_that_begin_elsewhere() -> None:
    rng = np.random.default_rng(0)
    starts = rng.normal(0, 0.01, (12, 2))
    starts[6:, 1] += 0.2
    apart = frames.shifted(starts, np.repeat([0, 1], 6))
    assert apart[0] < 3 < 15 < apart[1]
    assert not frames.shifted(starts, np.repeat([0, 1], [10, 2])).any(), "two episodes are no session"


def test_far_out_is_measured_by_what_is_usual() -> None:
    values = np.array([10.0, 10, 11, 9, 10, 10, 12, 8, 100])
    far = outliers.far_out(values)
    assert far[8] == pytest.approx(90 / 1.4826)
    assert outliers.outliers(values).tolist() == [F] * 9, "one of nine is more than a tenth"
    assert outliers.outliers(np.append(values, 10.0)).tolist() == [F] * 8 + [T, F]
    assert not outliers.far_out(values[:7]).any()
    assert outliers.repeats([b"a", b"b", b"a", b"a"]) == [(2, 0), (3, 0)]
