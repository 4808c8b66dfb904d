"""Absolute deadlines and the histogram, on a clock that moves only when told to."""

import math

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError, DataError
from rlpd_robot.timing import Histogram, ManualClock, SystemClock, Ticker


def test_a_late_tick_does_not_push_back_the_ones_after_it():
    clock = ManualClock(100.0)
    ticker = Ticker(0.5, clock)
    assert ticker.wait() == 0.0
    assert clock.now() == 100.5
    clock.advance(0.75)  # 0.25 s late for the tick at 101.0
    assert ticker.wait() == 0.25
    assert ticker.wait() == 0.0
    assert clock.now() == 101.5
    assert ticker.missed == 0


def test_deadlines_do_not_drift_over_many_ticks():
    clock = ManualClock()
    ticker = Ticker(0.1, clock)
    for _ in range(100_000):
        ticker.wait()
    assert clock.now() == 100_000 * 0.1
    assert ticker.missed == 0


@pytest.mark.parametrize(("late_s", "missed"), [(0.5, 0), (0.75, 1), (1.75, 3)])
def test_more_than_a_period_late_starts_a_new_grid_and_counts_whole_periods(late_s, missed):
    clock = ManualClock()
    ticker = Ticker(0.5, clock)
    clock.advance(0.5 + late_s)
    assert ticker.wait() == late_s
    assert ticker.missed == missed
    woke = clock.now()
    ticker.wait()
    assert clock.now() == (woke + 0.5 if missed else 1.0)  # no burst to catch up


def test_exactly_one_period_late_still_keeps_the_grid():
    clock = ManualClock()
    ticker = Ticker(0.5, clock)
    clock.advance(1.0)
    assert ticker.wait() == 0.5
    assert ticker.missed == 0
    assert ticker.wait() == 0.0
    assert clock.now() == 1.0


def test_start_forgives_the_time_between_episodes():
    clock = ManualClock()
    ticker = Ticker(0.5, clock)
    clock.advance(60.0)
    ticker.start()
    assert ticker.wait() == 0.0
    assert (clock.now(), ticker.missed) == (60.5, 0)


@pytest.mark.parametrize("period", [0.0, -1.0, math.nan, math.inf])
def test_ticker_refuses_a_period_that_is_no_time(period):
    with pytest.raises(ConfigError, match="Setting 'period_s' must be a positive time in seconds"):
        Ticker(period, ManualClock())


def test_manual_clock_never_goes_back():
    clock = ManualClock(5.0)
    clock.sleep_until(1.0)
    assert clock.now() == 5.0
    with pytest.raises(DataError, match="asked to advance by -1.0 s"):
        clock.advance(-1.0)


def test_system_clock_never_returns_early():
    clock = SystemClock()
    deadline = clock.now() + 0.002
    clock.sleep_until(deadline)
    assert clock.now() >= deadline
    clock.sleep_until(deadline - 1.0)  # in the past: returns


def test_histogram_percentiles_never_understate_and_overstate_by_one_bucket_at_most():
    durations = 10 ** np.random.default_rng(0).uniform(-4.9, 1.9, 5_000)
    histogram = Histogram()
    for duration in durations:
        histogram.add(float(duration))
    for q in (1, 50, 99, 99.9, 100):
        exact = np.percentile(durations, q, method="inverted_cdf")
        assert exact * 0.999999 <= histogram.percentile(q) <= exact * 1.024
    assert histogram.max == durations.max()
    assert histogram.mean == pytest.approx(durations.mean())
    assert histogram.count == 5_000


def test_histogram_keeps_its_size_whatever_comes():
    histogram = Histogram()
    size = len(histogram._buckets)
    for duration in (0.0, -1.0, 1e-9, 1e-5, 100.0, 1e9):
        histogram.add(duration)
    assert len(histogram._buckets) == size
    assert sum(histogram._buckets) == histogram.count == 6
    assert histogram.percentile(100) == histogram.max == 1e9
    assert histogram.percentile(50) <= 1.03e-5
    assert histogram.counts() == [(pytest.approx(1e-5), 4), (1e9, 2)]


def test_histogram_summary_is_scaled_and_named():
    histogram = Histogram()
    for _ in range(999):
        histogram.add(0.001)
    histogram.add(1.0)
    summary = histogram.summary("lateness_ms", 1e3)
    assert list(summary) == ["lateness_ms_p50", "lateness_ms_p99", "lateness_ms_p999", "lateness_ms_max"]
    assert summary["lateness_ms_p50"] == pytest.approx(1.0, rel=0.024)
    assert summary["lateness_ms_p999"] == pytest.approx(1.0, rel=0.024)
    assert summary["lateness_ms_max"] == 1000.0


def test_empty_histogram_is_all_zero():
    assert set(Histogram().summary("x").values()) == {0.0}
    assert Histogram().mean == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_histogram_refuses_what_is_no_duration(value):
    with pytest.raises(DataError, match="Expected a finite time"):
        Histogram().add(value)


def test_histogram_refuses_a_percentile_out_of_range():
    with pytest.raises(DataError, match="percentile 101 was asked for"):
        Histogram().percentile(101)
