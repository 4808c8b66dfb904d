"""Whether a command that moves can still be brought to rest inside its limits, and how: exact, in discrete time.

Commands are positions x at whole periods; speed, acceleration and jerk are their first, second and third differences.
Here time is counted in periods and the jerk limit of each element is 1, which leaves two numbers an element: its speed
limit and its acceleration limit, in those units. Where a setting names no limit, the largest value that can occur
within the range takes its place.

**The brake** is one fixed rule: bring speed and acceleration to zero together in the fewest periods. Its picture
is the curve G: speed = run_out(-acceleration), from which taking the acceleration back by 1 a period ends at rest.
Above G the acceleration falls as fast as jerk, acceleration limit and G allow; below it is the mirror image. Since
the rule looks at speed and acceleration only, what follows after one period of braking is the rest of the same
braking. So with

    safe state  =  braking from here passes no limit until it stands

a period of braking leads from every safe state to a safe state: there is always a command that keeps every limit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MOVES = 1e-6  # units of position: less is rounding, no motion


@dataclass(frozen=True, eq=False)
class Braking:
    """The limits of C command elements in their own units.

    Attributes:
        unit: (C,) of position: what an acceleration of the jerk limit times one period adds in one period.
        speed, acceleration: (C,) limits.
        no_jerk: (C,) 0 where there is a jerk limit, infinity where there is none.
    """

    unit: Floats
    speed: Floats
    acceleration: Floats
    no_jerk: Floats

    @staticmethod
    def of(max_speed: Floats, max_acceleration: Floats, max_jerk: Floats, width: Floats, dt: float) -> "Braking":
        """From limits per second, infinite where there is none.

        Args:
            max_speed, max_acceleration, max_jerk: (C,) of the command, [its unit/s], [/s²], [/s³].
            width: (C,) of its whole range.
            dt: period [s].
        """
        speed = np.minimum(max_speed * dt, width)
        acceleration = np.minimum(max_acceleration * dt**2, 2 * speed)
        unit = np.minimum(max_jerk * dt**3, 2 * acceleration)
        return Braking(unit, speed / unit, acceleration / unit, np.where(np.isfinite(max_jerk), 0.0, np.inf))

    @cached_property
    def coast(self) -> Floats:
        """(C,) what the speed still loses while the largest deceleration is taken back."""
        return run_out(self.acceleration)

    @property
    def farthest(self) -> Floats:
        """(C,) in the command's unit: no braking within the limits goes farther than this, either way."""
        _, end = _climb(self.speed, np.zeros_like(self.speed), self.acceleration, self.coast)
        return self.unit * (end + self.speed * np.ceil(self.acceleration + 1.0))

    def speed_bounds(self, v: Floats) -> tuple[Floats, Floats]:
        """(C,) least and largest next acceleration after which the speed limit can be kept for good."""
        least, most = _steepest(self.speed + v), _steepest(self.speed - v)
        return -least - self.no_jerk, most + self.no_jerk

    def brake(self, v: Floats, a: Floats) -> Floats:
        """(C,) the next acceleration of the braking from speed `v` and acceleration `a`."""
        side = _side(v, a)
        v, a = side * v, side * a
        onto_curve = -np.copysign(_steepest(np.abs(v)), v)
        return side * np.maximum(np.maximum(a - 1.0, -self.acceleration), onto_curve)

    def reach(self, v: Floats, a: Floats) -> tuple[Floats, Floats, Floats]:
        """Where braking goes from here.

        Returns:
            (C,) side: 1 where braking ends upwards, -1 where downwards; and counted towards that side, how far it
            goes back before (dip ≤ 0), and where it ends: from here too, so that it may be negative after a dip.
        """
        side = _side(v, a)
        return (side, *_climb(side * v, side * a, self.acceleration, self.coast))


def moves(dip: Floats, end: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether such a braking goes back at all, and whether it goes forward at all: more than rounding."""
    return dip < -_MOVES, end - dip > _MOVES


def run_out(a: Floats) -> Floats:
    """What the speed still gains while an acceleration `a` ≥ 0 is taken back by 1 a period."""
    n = np.floor(a)
    return n * (a - 0.5 * (n + 1.0))


def _steepest(gain: Floats) -> Floats:
    """The largest next acceleration that adds no more than `gain` ≥ 0 to the speed before it can be zero again."""
    gain = np.maximum(gain, 0.0)
    n = np.floor(0.5 + np.sqrt(0.25 + 2.0 * gain))
    return gain / n + 0.5 * (n - 1.0)


def _side(v: Floats, a: Floats) -> Floats:
    """1 on and above the curve G, -1 below it."""
    return np.where(v + np.copysign(run_out(np.abs(a)), a) >= 0.0, 1.0, -1.0)


def _climb(v: Floats, a: Floats, most: Floats, coast: Floats) -> tuple[Floats, Floats]:
    """Braking from above G: its lowest and its final displacement.

    The acceleration falls by 1 for k periods, stays at `-most` for m, meets G in one, and comes back along it.
    """
    zero = np.ceil(a)  # periods until the acceleration is not positive any more; negative: since then
    part = zero - a
    v_zero = v + zero * (a - 0.5 * (zero + 1.0))
    onto_curve = zero + np.floor(np.sqrt(np.maximum(v_zero + part * part, 0.0)) - part)
    k = np.maximum(np.minimum(onto_curve, np.floor(a + most)), 0.0)
    v_k = v + k * (a - 0.5 * (k + 1.0))
    m = np.maximum(np.floor((v_k - coast) / most), 0.0)
    b = _steepest(v_k - m * most)
    n = np.floor(b)
    back = 0.5 * n * (n + 1.0) * (b - n + (n - 1.0) / 3.0)
    end = _fallen(k, v, a) + m * (v_k - 0.5 * most * (m + 1.0)) + back
    if (v >= 0.0).all():
        return np.zeros_like(end), end
    down = a - 0.5
    turn = np.floor(down - np.sqrt(np.maximum(down * down + 2.0 * v, 0.0)))
    dip = _fallen(np.minimum(np.maximum(turn, 0.0), k), v, a)
    return np.where(v < 0.0, np.minimum(dip, 0.0), 0.0), end


def _fallen(k: Floats, v: Floats, a: Floats) -> Floats:
    """Displacement over k periods in which the acceleration falls by 1 a period."""
    return k * (v + 0.5 * (k + 1.0) * (a - (k + 2.0) / 3.0))
