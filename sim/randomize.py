"""Another robot in each episode: what is drawn at a reset, in ranges from YAML, from a seed.

The scene of a reset is drawn by another generator, so that the same seed places the same objects with or without this.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlpd_robot.errors import ConfigError
from sim.physics import Array, Change

KEY = "sim.randomize"

FACTORS = ("mass", "friction", "damping", "gain")
ADDED = ("joint_friction", "base", "tracker", "start", "command_delay_s", "observation_delay")
_NEVER_NEGATIVE = ("joint_friction", "command_delay_s", "observation_delay")
_STREAM = 0xD0


@dataclass(frozen=True)
class Sizes:
    """How many numbers a range is drawn for: bodies, geoms, freedoms and commanded joints of a model."""

    bodies: int
    geoms: int
    freedoms: int
    joints: int


class Randomizer:
    """Draws a `Change` for each reset.

    Args:
        settings: `sim.randomize`: `seed`; `widen`, the episodes over which ranges widen from nothing to what they say,
            0: at once; and by name a range `[low, high]`, none: not changed. `mass`, `friction`, `damping` and `gain`
            are factors, one drawn for each body, geom, freedom and motor; `joint_friction` [N m, N] is added to each
            freedom; `start` [rad, m] to each joint's start; `base` and `tracker` [m] to each coordinate of where the
            hand is mounted and of where objects are seen; `command_delay_s` [s] and `observation_delay` [control
            periods, whole] are one number each.
        sizes: of the model.

    Raises:
        ConfigError: a key or a range that means nothing.
    """

    def __init__(self, settings: Mapping[str, Any], sizes: Sizes) -> None:
        self._ranges = ranges_of(settings)
        self._seed, self._widen = (_count(key, settings.get(key, 0)) for key in ("seed", "widen"))
        self._sizes = sizes
        self._episodes = 0
        self._rng = np.random.default_rng([self._seed, _STREAM])

    @property
    def share(self) -> float:
        """Of the ranges, in the next episode."""
        return 1.0 if self._widen == 0 else min(1.0, self._episodes / self._widen)

    def draw(self, seed: int | None) -> Change:
        """For the next episode. The same seed gives the same; None goes on with the generator."""
        own = int(self._rng.integers(1 << 31)) if seed is None else seed
        share, found = self.share, {}
        self._episodes += 1
        for i, name in enumerate((*FACTORS, *ADDED)):
            if name in self._ranges:
                rng = np.random.default_rng([self._seed, own, i, _STREAM])  # a range more changes none of the others
                middle = 1.0 if name in FACTORS else 0.0
                low, high = (middle + share * (end - middle) for end in self._ranges[name])
                found[name] = self._one(rng, name, low, high)
        return Change(**found)

    def _one(self, rng: np.random.Generator, name: str, low: float, high: float) -> Any:
        if name == "command_delay_s":
            return rng.uniform(low, high)
        if name == "observation_delay":
            return int(rng.integers(round(low), round(high) + 1))
        sizes = self._sizes
        count = {
            "mass": sizes.bodies,
            "friction": sizes.geoms,
            "damping": sizes.freedoms,
            "joint_friction": sizes.freedoms,
            "gain": sizes.joints,
            "start": sizes.joints,
        }.get(name, 3)
        drawn: Array = rng.uniform(low, high, count)
        return drawn


def ranges_of(settings: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The ranges that are given, by name.

    Raises:
        ConfigError: a key or a range that means nothing.
    """
    names = (*FACTORS, *ADDED)
    found = {}
    for key, value in settings.items():
        if key in ("seed", "widen") or (key in names and value is None):
            continue
        if key not in names:
            raise ConfigError(f"{KEY}.{key}", value, f"one of the keys seed, widen, {', '.join(names)}")
        numbers = isinstance(value, list | tuple) and len(value) == 2 and all(_is_number(one) for one in value)
        if not numbers or value[0] > value[1]:
            raise ConfigError(f"{KEY}.{key}", value, "a range [low, high] of two finite numbers")
        low, high = (float(one) for one in value)
        if key in FACTORS and low <= 0:
            raise ConfigError(f"{KEY}.{key}", value, "factors above 0")
        if key in _NEVER_NEGATIVE and low < 0:
            raise ConfigError(f"{KEY}.{key}", value, "numbers of at least 0")
        if key == "observation_delay" and not (low.is_integer() and high.is_integer()):
            raise ConfigError(f"{KEY}.{key}", value, "whole control periods")
        found[key] = low, high
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{KEY}.{key}", value, "a whole number of at least 0")
    return value
