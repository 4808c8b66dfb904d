"""What is known of a running run, folded from its JSON lines; and how its figures are put into words."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlpd_robot.run.metrics import EPISODES, EVENTS, METRICS, Tail
from rlpd_robot.timing import Clock

_RATE_WINDOW_S = 120.0
_EVENTS_KEPT = 20


class LiveState:
    """The newest value of every metric, every episode's return, and the last events. `look` reads what is new.

    Args:
        run_dir: the run's directory; it may still be empty, or missing.
        clock: for elapsed time.
        most: bytes read of each file in one look; None: all there is.
    """

    def __init__(self, run_dir: Path, clock: Clock, most: int | None = None) -> None:
        self._clock = clock
        self._metrics = Tail(run_dir / METRICS, most)
        self._episodes = Tail(run_dir / EPISODES, most)
        self._events = Tail(run_dir / EVENTS, most)
        self._start = self._last_row = clock.now()
        self._progress: deque[tuple[float, float]] = deque()
        self.row: dict[str, Any] = {}
        self.returns: list[float] = []
        self.successes = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self.seen = 0
        self.errors = 0

    def look(self) -> list[dict[str, Any]]:
        """Read what was appended since the last look; returns the new events, oldest first."""
        rows, episodes, events = self._metrics.new(), self._episodes.new(), self._events.new()
        self.seen += len(rows) + len(episodes) + len(events)
        for row in rows:
            self._take(row)
        for episode in episodes:
            self._take_episode(episode)
        for event in events:
            self.events.append(event)
            self.errors += event.get("severity") == "error"
        return events

    def get(self, key: str, default: float = math.nan) -> float:
        """The newest value of a metric."""
        return number(self.row, key, default)

    @property
    def phase(self) -> str:
        """What the learner says that it is doing; "starting" before its first row."""
        return str(self.row.get("phase") or "starting")

    @property
    def elapsed_s(self) -> float:
        """Time since the view began to look [s]."""
        return self._clock.now() - self._start

    @property
    def silent_s(self) -> float:
        """Time since the learner last reported [s]."""
        return self._clock.now() - self._last_row

    @property
    def share_done(self) -> float:
        """Of the wanted transitions, in [0, 1]."""
        target = self.get("env_steps_target")
        return min(1.0, self.get("env_steps", 0.0) / target) if target > 0 else 0.0

    @property
    def eta_s(self) -> float:
        """Time until the wanted transitions are in [s], at the pace of the last two minutes; NaN when unknown."""
        if len(self._progress) < 2 or self.phase != "learning":
            return math.nan
        (wall_0, steps_0), (wall_1, steps_1) = self._progress[0], self._progress[-1]
        left = self.get("env_steps_target") - steps_1
        if steps_1 <= steps_0 or wall_1 <= wall_0:
            return math.nan
        return max(0.0, left * (wall_1 - wall_0) / (steps_1 - steps_0))

    def _take_episode(self, episode: dict[str, Any]) -> None:
        self.returns.append(number(episode, "normalized_return", 0.0))
        self.successes += bool(episode.get("success"))

    def _take(self, row: dict[str, Any]) -> None:
        self.row.update(row)
        self._last_row = self._clock.now()
        wall, steps = number(row, "wall_s"), number(row, "env_steps")
        if row.get("phase") != "learning" or math.isnan(wall) or math.isnan(steps):
            return
        if self._progress and wall < self._progress[-1][0]:
            self._progress.clear()  # a resumed run begins its clock anew
        self._progress.append((wall, steps))
        while wall - self._progress[0][0] > _RATE_WINDOW_S:
            self._progress.popleft()


def number(values: dict[str, Any], key: str, default: float = math.nan) -> float:
    """A value as a float; `default` where it is absent, null or no number."""
    value = values.get(key)
    return float(value) if isinstance(value, int | float) else default


def refusals(values: dict[str, Any]) -> list[str]:
    """Policies that the actor refused, by reason, for reading; nothing when there were none."""
    prefix = "actor/policies_refused_"
    found = {key.removeprefix(prefix): number(values, key, 0.0) for key in values if key.startswith(prefix)}
    reasons = ", ".join(f"{count(value)} {reason}" for reason, value in found.items() if value)
    return [f"refused {reasons}"] if reasons else []


def bins(values: Sequence[float], cells: int) -> list[float]:
    """The means of `cells` equal stretches of `values`; the values themselves when there are fewer."""
    if len(values) <= cells:
        return list(values)
    edges = [i * len(values) // cells for i in range(cells + 1)]
    return [math.fsum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]


def spark(values: Sequence[float], top: float, ramp: str) -> str:
    """One character of `ramp`, lowest first, for each value between 0 and `top`."""
    last = len(ramp) - 1
    return "".join(ramp[max(0, min(last, round(value / top * last)))] for value in values)


def duration(seconds: float) -> str:
    """A time for reading: "8 s", "3:07", "1:02:09"; "?" when it is not known."""
    if not math.isfinite(seconds):
        return "?"
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


def count(value: float) -> str:
    """A whole number with thousands apart: "12 400"; "?" when it is not known."""
    return f"{value:,.0f}".replace(",", " ") if math.isfinite(value) else "?"


def figure(value: float, digits: int = 1) -> str:
    """A number with so many decimals; "?" when it is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "?"


def known(value: float, form: Callable[[float], str]) -> str:
    """`form` of a known value; nothing at all for one that is not."""
    return form(value) if math.isfinite(value) else ""


def one_line(text: object) -> str:
    """A peer's text without anything that a terminal would obey: no control characters, no line breaks."""
    return "".join(c if c.isprintable() else " " for c in str(text))
