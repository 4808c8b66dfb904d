"""Curves that grow with a run and never beyond a bound."""

from collections.abc import Mapping
from typing import Any

CAPACITY = 600
"""Points of a curve, at least, once there were as many; at most twice that."""


class Series:
    """Values by name against one ascending x. Of a long run every second, fourth … point is kept, and the newest.

    A run that was resumed begins again at its last checkpoint: what it lives through a second time replaces the first.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: list[tuple[float, Mapping[str, float | None]]] = []
        self._tip: tuple[float, Mapping[str, float | None]] | None = None
        self._count, self._stride = 0, 1

    def add(self, x: float, values: Mapping[str, float | None]) -> None:
        """One more point; those at or beyond `x` are forgotten."""
        while self._kept and self._kept[-1][0] >= x:
            self._kept.pop()
        self._tip = None
        if self._count % self._stride == 0:
            self._kept.append((x, values))
        else:
            self._tip = (x, values)
        self._count += 1
        if len(self._kept) >= 2 * self._capacity:
            self._kept = self._kept[::2]
            self._stride *= 2
            if self._kept[-1][0] != x:
                self._tip = (x, values)

    def columns(self, *names: str) -> dict[str, list[Any]]:
        """`x` and each of the names, of equal length; None where a point has no such value."""
        points = [*self._kept, *([self._tip] if self._tip is not None else [])]
        return {"x": [x for x, _ in points]} | {name: [values.get(name) for _, values in points] for name in names}
