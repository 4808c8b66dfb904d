"""The fit: least squares (scipy) over delay, gains, damping and dry friction; what the data determine, and how well.

Joints of different fingers hardly disturb each other: one simulation measures the columns of several at once, and 34
give the Jacobian of the 85 parameters of a hand on an arm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import DataError, MissingPackageError
from rlpd_robot.run.identify.model import Floats, Model, Parameters, Recording

HELD_OUT = 4
"""Every so manieth window is not fitted, but judged by."""

EXPLAINED = 0.03
"""RMS of what the fitted model misses, as part of a joint's motion, from which on something else was at work."""

_LOG_BOUND = np.log(4.0)
_FRICTION_UNIT = 0.02  # of a motor's effort
_FRICTION_MOST = 25.0
_STEPS = (1e-3, 1e-3, 1e-2, 1e-2)  # of log gain, log damping, friction and delay, for the Jacobian
_PRIOR = 1e-3  # draws what the data say nothing about to the model's value
_OUTLIER = 0.1  # part of a joint's motion from which a residual counts less: a contact, not a parameter
_CORRELATED = 10.0  # neighbouring residuals that tell the same
_STILL = 1e-3  # a joint that moved less, or was told to, was not excited [unit]
_SCAN = 0.5  # [control periods] between the delays that are tried first
_EVALUATIONS = 25


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of it. Everything by commanded joint (C,); NaN where the joint was not observed or did not move.

    Attributes:
        parameters: of the robot.
        gain_error, damping_error: standard errors, as parts of the values.
        friction_error: likewise, in its own unit.
        delay_error_s: likewise [s].
        before, after: RMS of what the model and the fitted one miss, in the windows that were fitted [unit].
        held_before, held_after: the same in those that were not.
        explained: whether the fitted model moves as the joint did, within `EXPLAINED` of its motion.
        periods: of control that were used.
    """

    parameters: Parameters
    gain_error: Floats
    damping_error: Floats
    friction_error: Floats
    delay_error_s: float
    before: Floats
    after: Floats
    held_before: Floats
    held_after: Floats
    explained: NDArray[np.bool_]
    periods: int


class _Problem:
    """Residuals of a vector x: log gains, log damping, friction in its own unit, of the joints that moved; delay."""

    def __init__(self, model: Model, recordings: Sequence[Recording], window: int) -> None:
        self.model, self.recordings, self.window = model, recordings, window
        places = np.concatenate([one.places[1:] for one in recordings])
        self.scale = np.where(np.isnan(places).any(axis=0), np.nan, np.std(places, axis=0))
        told = np.std(np.concatenate([one.commands for one in recordings]), axis=0)
        self.moved = np.flatnonzero((np.nan_to_num(self.scale) > _STILL) & (told > _STILL))
        self.scale = np.maximum(self.scale, told)  # one that friction holds back must not count for more than others
        if not len(self.moved):
            raise DataError("The recording", "no commanded joint is both observed and in motion", "one at least")
        rank = np.concatenate([np.arange(len(one.commands)) // window for one in recordings])
        self.fitted = rank % HELD_OUT != HELD_OUT - 1
        self.period_s = model.spec.period_s
        self.count = len(self.moved)
        self.disturbs = disturbed(model.related[np.ix_(self.moved, self.moved)])
        self.together = groups(self.disturbs)

    def parameters(self, x: Floats) -> Parameters:
        own, n = self.moved, self.count
        gain, damping = np.ones((2, len(self.model.joints)))
        friction = self.model.friction.copy()
        gain[own], damping[own] = np.exp(x[:n]), np.exp(x[n : 2 * n])
        friction[own] = x[2 * n : 3 * n] * self.unit
        return Parameters(gain, damping, friction, float(x[-1]) * self.period_s)

    @property
    def unit(self) -> Floats:
        """Of friction."""
        found: Floats = _FRICTION_UNIT * self.model.effort[self.moved]
        return found

    def start(self) -> Floats:
        friction = self.model.friction[self.moved] / self.unit
        return np.concatenate([np.zeros(2 * self.count), np.clip(friction, 1e-3, _FRICTION_MOST / 2), [0.5]])

    def bounds(self, max_delay: float) -> tuple[Floats, Floats]:
        n = self.count
        low = np.concatenate([np.full(2 * n, -_LOG_BOUND), np.zeros(n + 1)])
        high = np.concatenate([np.full(2 * n, _LOG_BOUND), np.full(n, _FRICTION_MOST), [max_delay]])
        return low, high

    def missed(self, x: Floats) -> Floats:
        """(T, moved) simulated minus recorded, in the joint's unit."""
        p = self.parameters(x)
        found = []
        for one in self.recordings:
            simulated = self.model.follow(
                p.gain, p.damping, p.friction, p.delay_s, one.commands, one.places, self.window
            )
            found.append((simulated - one.places)[1:])
        return np.nan_to_num(np.concatenate(found)[:, self.moved], nan=1e3, posinf=1e3, neginf=-1e3)

    def residuals(self, x: Floats) -> Floats:
        scaled = self.missed(x)[self.fitted] / self.scale[self.moved]
        return np.concatenate([scaled.ravel(), _PRIOR * (x - self._origin)])

    def jacobian(self, x: Floats) -> Floats:
        """(rows, P)."""
        n, rows = self.count, int(self.fitted.sum())
        found = np.zeros((rows, n, len(x)))
        base = self.residuals(x)[: rows * n].reshape(rows, n)

        def change(columns: NDArray[np.int64], step: float) -> Floats:
            moved = x.copy()
            moved[columns] += step
            difference: Floats = (self.residuals(moved)[: rows * n].reshape(rows, n) - base) / step
            return difference

        for kind, step in enumerate(_STEPS[:3]):
            for group in self.together:
                seen = change(kind * n + np.array(group), step)
                for joint in group:
                    found[:, self.disturbs[joint], kind * n + joint] = seen[:, self.disturbs[joint]]
        found[:, :, -1] = change(np.array([3 * n]), _STEPS[3])
        return np.concatenate([found.reshape(rows * n, -1), _PRIOR * np.eye(len(x))])

    @property
    def _origin(self) -> Floats:
        origin = self.start()
        origin[-1] = 0.0
        return origin


def disturbed(related: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(C, C) whether a parameter of the one joint shows in the readings of the other.

    In those that hang on it, and in those that carry it, unless these carry more than one chain: a finger does not move
    the wrist.
    """
    carries_chains = np.array([(~related[np.ix_(row, row)]).any() for row in related])
    found: NDArray[np.bool_] = related & (~carries_chains[None, :] | carries_chains[:, None])
    return found


def groups(disturbs: NDArray[np.bool_]) -> list[list[int]]:
    """Joints of which no reading shows two, so that one simulation is enough for all of a group."""
    found: list[list[int]] = []
    for joint in range(len(disturbs)):
        for group in found:
            if not (disturbs[group].any(axis=0) & disturbs[joint]).any():
                group.append(joint)
                break
        else:
            found.append([joint])
    return found


def fit(
    model: Model,
    recordings: Sequence[Recording],
    window: int,
    max_delay: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Fitted:
    """Parameters with which the model moves as the robot was recorded to move.

    Args:
        model: to be fitted.
        recordings: of the robot.
        window: periods between two synchronisations.
        max_delay: longest delay considered [control periods].
        tell: takes a line for people now and then.

    Raises:
        DataError: nothing was observed that could be fitted.
        MissingPackageError: scipy is not installed.
    """
    try:
        from scipy.optimize import least_squares
    except ImportError as error:
        raise MissingPackageError("scipy", "the fit", "sim") from error
    problem = _Problem(model, recordings, window)
    start = problem.start()
    start[-1] = 0.0
    before = problem.missed(start)
    delays = np.arange(0.0, max_delay + 1e-9, _SCAN)
    costs = []
    for delay in delays:
        start[-1] = delay
        costs.append(_cost(problem.residuals(start)))
    start[-1] = float(np.clip(delays[int(np.argmin(costs))], 1e-3, max_delay - 1e-3))
    tell(f"delay of about {start[-1]:.1f} periods; fits {len(start)} parameters to {len(before)} periods")
    found = least_squares(
        problem.residuals,
        start,
        jac=problem.jacobian,
        bounds=problem.bounds(max_delay),
        loss="soft_l1",
        f_scale=_OUTLIER,
        max_nfev=_EVALUATIONS,
        ftol=1e-4,
        xtol=1e-4,
        x_scale=0.1,
    )
    return _fitted(problem, np.asarray(found.x, np.float64), before)


def _cost(residuals: Floats) -> float:
    """As the fit counts."""
    return float((np.sqrt(1 + (residuals / _OUTLIER) ** 2) - 1).sum())


def _fitted(problem: _Problem, x: Floats, before: Floats) -> Fitted:
    n, fitted = problem.count, problem.fitted
    after, jacobian = problem.missed(x), problem.jacobian(x)
    white = after[fitted] / problem.scale[problem.moved]
    explained = np.zeros(len(problem.model.joints), np.bool_)
    explained[problem.moved] = np.sqrt((white**2).mean(axis=0)) < EXPLAINED
    own = np.sqrt(_CORRELATED * (white**2).mean(axis=0))  # (n,) of each joint
    sigma = np.concatenate([own, own, own, [np.median(own)]])
    error = sigma * np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)))

    def by_joint(values: Floats) -> Floats:
        whole = np.full(len(problem.model.joints), np.nan)
        whole[problem.moved] = values
        return whole

    def rms(missed: Floats, rows: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
        return by_joint(np.sqrt((missed[rows] ** 2).mean(axis=0)) if rows.any() else np.full(n, np.nan))

    return Fitted(
        problem.parameters(x),
        by_joint(error[:n]),
        by_joint(error[n : 2 * n]),
        by_joint(error[2 * n : 3 * n] * problem.unit),
        float(error[-1]) * problem.period_s,
        rms(before, fitted),
        rms(after, fitted),
        rms(before, ~fitted),
        rms(after, ~fitted),
        explained,
        len(before),
    )
