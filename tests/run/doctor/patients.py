"""Robots to examine: states made up, drivers that misbehave, and people who answer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.run.doctor.patient import Patient
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import RobotState

NAMES = ("elbow", "wrist")
CAREFUL = SafetySettings("careful", max_speed=1.0, measured={"target": "position"})


def robot_spec(
    unit: str = "rad", names: tuple[str, ...] = NAMES, period_s: float = 0.01, low: float = -1.0
) -> RobotSpec:
    size = len(names) or 2
    return RobotSpec(
        "patient",
        period_s,
        (Field("position", (size,), "float64", unit, labels=names),),
        (Field("target", (size,), "float64", unit, (low,) * size, (1.0,) * size, names),),
    )


def states(arrived: NDArray, stamps: NDArray | None = None, **values: NDArray) -> list[RobotState]:
    """States that arrived at these times [s]; positions drift a little unless given."""
    stamps = arrived if stamps is None else stamps
    columns = values or {"position": np.linspace(0, 1e-3, 2 * len(arrived)).reshape(-1, 2)}
    return [
        RobotState({name: column[i] for name, column in columns.items()}, i, float(stamps[i]), float(arrived[i]))
        for i in range(len(arrived))
    ]


def answering(*answers: bool | None):
    """A person who gives these answers, the last one for ever."""
    left = list(answers)

    def ask(question: str, meanwhile: Callable[[], None] | None = None) -> bool | None:
        ask.questions.append(question)
        if meanwhile is not None:
            meanwhile()
        return left.pop(0) if len(left) > 1 else left[0]

    ask.questions = []
    return ask


class Arm:
    """A driver whose joints go where they are told at once, `gain` times as far, and that notes what it was told.

    Args:
        gain: (J, J) how far each joint goes for each command element.
        echoes_s: what each echo takes; it fails when there are none left.
        watchdog: whether it stops by itself when there was no command for 3 reads.
    """

    lockstep = False

    def __init__(self, gain=None, echoes_s=(), watchdog: bool = True, tells: bool = True, spec=None) -> None:
        self.spec, self.echoes_s = spec or robot_spec(), list(echoes_s)
        self.sent, self.resets, self.stops = [], 0, 0
        self.fails_at = None
        self._gain = np.eye(self.spec.command_size) if gain is None else np.array(gain, float)
        self._watchdog, self._tells = watchdog, tells
        self._position = np.zeros(len(self._gain))
        self._silent = self._sequence = 0
        self._executed = -1

    def connect(self, timeout_s):
        return self.spec

    def reset(self, seed, timeout_s):
        self.resets += 1
        self._silent = 0
        return self.read(timeout_s)

    def read(self, timeout_s):
        if self.fails_at is not None and len(self.sent) >= self.fails_at:
            raise PeerTimeoutError("the robot", "here", timeout_s, "It was told to fail.")
        self._silent += 1
        self._sequence += 1
        executed = self._executed if self._tells else None
        now = self._sequence * self.spec.period_s
        return RobotState({"position": self._position.copy()}, self._sequence, now, now, executed)

    def send(self, command):
        self.sent.append(command.values)
        if not (self._watchdog and self._silent > 3):
            self._silent, self._executed = 0, len(self.sent)
            self._position = self._gain @ command.values
        return len(self.sent)

    def stop(self):
        self.stops += 1

    def close(self):
        pass

    def stats(self):
        return {}


class TellingArm(Arm):
    """One that is `Diagnosable`."""

    said: tuple[Verdict, ...] = ()
    way: tuple[Verdict, ...] = (Verdict("reachable", Outcome.OK, "here"),)
    limits: dict[str, JointLimit] = {}

    def diagnose_link(self, timeout_s):
        return self.way

    def diagnose_robot(self, timeout_s):
        return self.said

    def echo(self, timeout_s):
        if not self.echoes_s:
            raise PeerTimeoutError("the robot", "here", timeout_s, "It has no echo left.")
        return self.echoes_s.pop(0)

    def reported_limits(self, timeout_s):
        return self.limits


def patient(driver=None, safety: SafetySettings = CAREFUL, ask=None, **more) -> Patient:
    driver = driver or Arm()
    settings = more.pop("settings", DoctorSettings(echoes=4))
    made = Patient(driver, driver.spec, safety, settings, ask or answering(None), **more)
    made.limits = SafetyLimits.from_settings(safety, driver.spec)
    return made
