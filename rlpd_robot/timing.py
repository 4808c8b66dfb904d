"""Clocks, absolute deadlines and latency histograms, all on the monotonic clock [s]."""

import math
import time
from bisect import bisect_left
from itertools import accumulate
from typing import Protocol

from rlpd_robot.errors import ConfigError, DataError


class Clock(Protocol):
    """Where time comes from, so that a test can be exact about it."""

    def now(self) -> float:
        """Monotonic time [s]; only differences mean something."""

    def sleep_until(self, deadline: float) -> None:
        """Return at `deadline` [s] or a little later; at once when it has passed."""


class SystemClock:
    """The operating system's monotonic clock."""

    def now(self) -> float:
        """Monotonic time [s]."""
        return time.monotonic()

    def sleep_until(self, deadline: float) -> None:
        """Sleep up to `deadline` [s]."""
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(left)


class ManualClock:
    """Time that passes only when somebody says so: `sleep_until` arrives at once, exactly on time."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now = start_s

    def now(self) -> float:
        """The time set last [s]."""
        return self._now

    def sleep_until(self, deadline: float) -> None:
        """Set the time to `deadline` [s], unless that lies in the past."""
        self._now = max(self._now, deadline)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, as slow work would.

        Raises:
            DataError: a negative or non-finite time.
        """
        if not 0 <= seconds < math.inf:
            raise DataError("ManualClock", f"it was asked to advance by {seconds!r} s", "a finite time of at least 0")
        self._now += seconds


class Ticker:
    """Absolute deadlines, one every `period_s`, so that a late tick does not push back the ones after it.

    Deadlines are `start + k · period_s`. Only when a tick comes more than one period late is the grid laid anew from
    that moment: catching up in a burst would send a robot several commands at once.

    Attributes:
        missed: whole periods that went by without a tick since this ticker was made.

    Raises:
        ConfigError: a period that is not a positive time.
    """

    def __init__(self, period_s: float, clock: Clock) -> None:
        if not 0 < period_s < math.inf:
            raise ConfigError("period_s", period_s, "a positive time in seconds")
        self.missed = 0
        self._period_s = period_s
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Lay the grid from now on: the next deadline is one period away. Counts nothing as missed."""
        self._origin = self._clock.now()
        self._index = 1

    def wait(self) -> float:
        """Sleep until the next deadline and return how late the wake-up was [s], at least 0."""
        deadline = self._origin + self._index * self._period_s  # a product: sums of periods would drift
        self._clock.sleep_until(deadline)
        now = self._clock.now()
        lateness = max(0.0, now - deadline)
        if lateness > self._period_s:
            self.missed += int(lateness / self._period_s)
            self._origin, self._index = now, 1
        else:
            self._index += 1
        return lateness


_LOWEST_S, _DECADES, _PER_DECADE = 1e-5, 7, 100  # 10 µs … 100 s, each bucket 2.3 % wide


class Histogram:
    """Durations in logarithmic buckets from 10 µs to 100 s: constant memory, and nothing allocated to add one.

    Attributes:
        count: durations added.
        max: the longest of them [s], exact.
    """

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        self._sum = 0.0
        self._buckets = [0] * (_DECADES * _PER_DECADE + 2)  # one below, one above the range

    def add(self, seconds: float) -> None:
        """Count one duration; a negative one counts as 0.

        Raises:
            DataError: NaN or infinity.
        """
        if not math.isfinite(seconds):
            raise DataError("Histogram", f"a duration is {seconds!r} s", "a finite time")
        index = 0
        if seconds > _LOWEST_S:
            index = min(1 + int(math.log10(seconds / _LOWEST_S) * _PER_DECADE), len(self._buckets) - 1)
        self._buckets[index] += 1
        self.count += 1
        self._sum += max(seconds, 0.0)
        self.max = max(self.max, seconds)

    @property
    def mean(self) -> float:
        """Mean duration [s], exact; 0 when there is none."""
        return self._sum / self.count if self.count else 0.0

    def counts(self) -> list[tuple[float, int]]:
        """(upper end [s], how many) of each bucket that is not empty, the shortest first."""
        ends = [_LOWEST_S * 10 ** (i / _PER_DECADE) for i in range(len(self._buckets) - 1)]
        return [(end, n) for end, n in zip([*ends, max(ends[-1], self.max)], self._buckets, strict=True) if n]

    def percentile(self, q: float) -> float:
        """The duration [s] that `q` percent do not exceed, at most 2.3 % too long; 0 when there is none.

        Raises:
            DataError: `q` outside [0, 100].
        """
        if not 0 <= q <= 100:
            raise DataError("Histogram", f"percentile {q!r} was asked for", "a number from 0 to 100")
        return self._at(q, list(accumulate(self._buckets)))

    def _at(self, q: float, seen: list[int]) -> float:
        """From the durations in each bucket and those before it."""
        rank = math.ceil(q * self.count / 100 - 1e-9)  # 99.9 % of 1000 is 999, rounding or not
        index = bisect_left(seen, rank)
        return self.max if index >= len(seen) - 1 else min(_LOWEST_S * 10 ** (index / _PER_DECADE), self.max)

    def summary(self, prefix: str, scale: float = 1.0) -> dict[str, float]:
        """`{prefix}_p50`, `_p99`, `_p999` and `_max`, in seconds times `scale` (1e3 for milliseconds)."""
        seen = list(accumulate(self._buckets))  # once for all: a control loop asks between two ticks
        values = {"p50": self._at(50, seen), "p99": self._at(99, seen), "p999": self._at(99.9, seen), "max": self.max}
        return {f"{prefix}_{name}": value * scale for name, value in values.items()}
