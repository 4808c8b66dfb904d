"""The only part of the doctor that moves a robot: one small, slow gesture per joint, each after a person's yes.

Every command passes the safety filter. While a person thinks, the robot is held where it stands.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerRefusedError, RlpdRobotError
from rlpd_robot.robot.diagnosis import Verdict
from rlpd_robot.robot.driver import Declaring
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.safety import History, SafetyLimits, filter_command
from rlpd_robot.run.doctor.body import element_names
from rlpd_robot.run.doctor.patient import Patient, fail, ok, skipped, warn
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.timing import Clock, SystemClock, Ticker
from rlpd_robot.types import Command, RobotState

_STOPS = 5
_RESET_S = 60.0
_SILENCE_S = 0.3  # at least, and well beyond FRESH_PERIODS
_FOLLOWED = 0.3  # part of the commanded displacement from which on a joint counts as having followed
_STRAYED = 0.5  # part of it that no other joint should reach
_POSITIONS, _RATES = ("rad", "m"), ("rad/s", "m/s")


class Stopped(Exception):  # noqa: N818
    """The process was asked to end."""


def unfit_to_move(patient: Patient) -> str:
    """Why this robot cannot be moved a little and safely; "" when it can."""
    limits, kinds = patient.limits, {field.unit for field in patient.spec.command}
    if limits is None:
        return "its limits do not fit"
    if not kinds <= {*_POSITIONS, *_RATES}:
        return f"a command in {', '.join(sorted(kinds - {*_POSITIONS, *_RATES}))} has no small and slow motion"
    if not limits.measured:
        return "safety.measured does not tell which state fields measure the commanded ones"
    if any(name not in (f.name for f in patient.spec.state) for name in limits.measured):
        return "safety.measured names a field that the robot does not measure"
    return ""


class Mover:
    """Moves one robot. After `end`, and after any error, it has been told to stop.

    Args:
        patient: fit to move.
        stopped: whether the process was asked to end.
        clock: of the control periods.
    """

    def __init__(self, patient: Patient, stopped: Callable[[], bool], clock: Clock | None = None) -> None:
        assert patient.limits is not None
        self._driver, self._spec, self._limits = patient.driver, patient.spec, patient.limits
        self._settings, self._stopped = patient.settings, stopped
        self._ticker = Ticker(self._spec.period_s, clock or SystemClock())
        self._is_rate = np.concatenate([np.full(f.size, f.unit in _RATES) for f in self._spec.command])
        self._history: History | None = None

    def begin(self) -> None:
        """Reset, and hold."""
        limits, driver = self._limits, self._driver
        if isinstance(driver, Declaring):
            driver.declare(np.stack([limits.low, limits.high, limits.max_speed]))
        self._state = driver.reset(None, _RESET_S)
        self._home = np.where(self._is_rate, 0.0, np.clip(measured(limits, self._state), limits.low, limits.high))
        self._ticker.start()
        self.hold()

    def hold(self) -> None:
        """One control period without a motion."""
        self._step(self._home)

    def gesture(self, element: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Go a little way and back: (T,) what was commanded of this element, (T, C) what was measured, from home."""
        reach, steps = self.reach(element), max(8, round(self._settings.move_s / self._spec.period_s))
        rest = measured(self._limits, self._state)
        commanded, moved = [], []
        for i in range(steps):
            phase = 2 * math.pi * (i + 1) / steps
            share = math.sin(phase) if self._is_rate[element] else (1 - math.cos(phase)) / 2
            values = self._home.copy()
            values[element] += share * reach
            self._step(values)
            commanded.append(share * reach)
            moved.append(measured(self._limits, self._state) - rest)
        for _ in range(steps // 10):  # let it come to rest
            self.hold()
        return np.array(commanded), np.array(moved)

    def reach(self, element: int) -> float:
        """How far, or how fast, the gesture goes: to the side that has more room, half of that room at most."""
        settings, low, high = self._settings, self._limits.low[element], self._limits.high[element]
        up, down = high - self._home[element], self._home[element] - low
        size = min(settings.move_share * (high - low), settings.move_max, max(up, down) / 2)
        return float(size if up >= down else -size)

    def go_silent(self) -> Verdict:
        """Send nothing for a while, then one more command, which the robot's own watchdog must have it refuse."""
        if self._driver.lockstep:
            return skipped("watchdog", "in lock-step the robot waits for commands as long as it takes")
        silence_s = max(_SILENCE_S, 2 * FRESH_PERIODS * self._spec.period_s)
        for _ in range(math.ceil(silence_s / self._spec.period_s)):
            self._ticker.wait()
            self._state = self._driver.read(self._settings.timeout_s)
        try:
            number = self._send(self._home)
            for _ in range(10):
                self._ticker.wait()
                self._state = self._driver.read(self._settings.timeout_s)
        except PeerRefusedError as error:
            return ok("watchdog", f"after {silence_s:.2f} s without a command it takes none any more ({error})")
        if self._state.executed is None:
            what = f"it does not tell whether it followed a command after {silence_s:.2f} s of silence"
            return warn("watchdog", what, "Cut the network while it moves slowly, with a hand at the emergency stop.")
        if number >= 0 and self._state.executed >= number and not self._is_rate.any():
            what = (
                f"after {silence_s:.2f} s of silence it takes commands again; until then it stands at its last target"
            )
            return warn("watchdog", what, "Have something on the robot's side that stops it when commands cease.")
        if number >= 0 and self._state.executed >= number:
            remedy = "Give the robot's side a watchdog that stops it, and waits for a reset."
            return fail("watchdog", f"after {silence_s:.2f} s of silence it still followed a command", remedy)
        return ok("watchdog", f"after {silence_s:.2f} s without a command it did not follow the next one")

    def end(self) -> None:
        """Stop the robot, over several periods in case it does not hear the first time."""
        for _ in range(_STOPS):
            self._driver.stop()
            self._ticker.wait()

    def _step(self, values: NDArray[np.float64]) -> None:
        if self._stopped():
            raise Stopped
        self._send(values)
        if not self._driver.lockstep:
            self._ticker.wait()
        self._state = self._driver.read(self._settings.timeout_s)

    def _send(self, values: NDArray[np.float64]) -> int:
        command, _, history = filter_command(self._limits, self._history, Command(values), self._state)
        number = self._driver.send(command)
        if number >= 0:
            self._history = history
        return number


def examine_motion(patient: Patient, mover: Mover, show: Callable[[Verdict], None]) -> Verdict | None:
    """Reset, one gesture per command element, then silence; each after a yes, and the robot stopped at the end.

    Returns:
        What the robot's watchdog did in the silence; None: it came not to that.
    """
    names = element_names(patient.spec.command)
    question = f"May robot '{patient.spec.name}' go to its start (reset)? Keep a hand at the emergency stop."
    if patient.ask(question) is not True:
        show(skipped("motion", "nobody said yes"))
        return None
    try:
        mover.begin()
        for i, name in enumerate(names):
            question = f"May {name} go {mover.reach(i):+.3f} {_unit(patient.spec, i)} and back, slowly?"
            if patient.ask(question, mover.hold) is not True:
                show(skipped(f"motion of {name}", "nobody said yes"))
                continue
            show(judge(i, names, *mover.gesture(i)))
        return mover.go_silent()
    except RlpdRobotError as error:
        show(fail("motion", str(error), "The robot was told to stop."))
    except Stopped:
        show(skipped("motion", "it was ended, and the robot told to stop"))
    finally:
        mover.end()
    return None


def judge(element: int, names: list[str], commanded: NDArray[np.float64], moved: NDArray[np.float64]) -> Verdict:
    """Did the right joint move, the right way, about as far as it was told?

    Args:
        element: that was moved.
        commanded: (T,) its displacement as commanded.
        moved: (T, C) displacement of all elements as measured.
    """
    check = f"motion of {names[element]}"
    reach = float(np.abs(commanded).max())
    shares = commanded @ moved / (commanded @ commanded)  # (C,) of the commanded motion that each element made
    share = float(shares[element])
    others = np.abs(shares)
    others[element] = 0.0
    stray = int(others.argmax())
    found = f"asked for {reach:.3f}, followed by {100 * share:.0f} %"
    if share < -_FOLLOWED:
        return fail(check, f"{found}: it moved the other way", "Its sign is wrong in the robot's description.")
    if share < _FOLLOWED and others[stray] > _FOLLOWED:
        what = f"{found}, while {names[stray]} moved by {100 * shares[stray]:.0f} % of it"
        return fail(check, what, "Names and order of the joints do not agree between command and state.")
    if share < _FOLLOWED:
        return warn(
            check, f"{found}: it hardly moved", "See whether it is powered, blocked, or held by another program."
        )
    if others[stray] > _STRAYED:
        what = f"{found}, and {names[stray]} moved along by {100 * shares[stray]:.0f} % of it"
        return warn(check, what, "Right where joints are coupled.")
    return ok(check, found)


def measured(limits: SafetyLimits, state: RobotState) -> NDArray[np.float64]:
    """(C,) what the state says of the commanded quantities."""
    return np.concatenate([np.ravel(state.values[name]) for name in limits.measured]).astype(np.float64)


def _unit(spec: RobotSpec, element: int) -> str:
    fields: tuple[Field, ...] = spec.command
    for field in fields:
        if element < field.size:
            return field.unit
        element -= field.size
    raise IndexError(element)
