"""The robot under examination, and what is known of it so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import RobotState


class Ask(Protocol):
    """How to put a question to a person."""

    def __call__(self, question: str, meanwhile: Callable[[], None] | None = None) -> bool | None:
        """True: yes. False: no, or silence. None: nobody is there. `meanwhile` is called again and again until then."""


@dataclass
class Patient:
    """One robot, connected to.

    Attributes:
        driver: the way to it; this thread's own.
        spec: what it says of itself.
        safety: limits as a person wrote them.
        settings: of the doctor.
        ask: how to put a question to a person.
        limits: as the filter uses them; None until the check "limits" has made them.
        reported: joint limits that the robot publishes apart from `spec`, by joint.
        states: as they came, one after another, for `settings.seconds`; none in lock-step.
        simulated: whether it stands in for a robot, or waits for commands, so that its limits may be incomplete.
        read_error: why no more of them came; "" when nothing went wrong.
    """

    driver: Driver
    spec: RobotSpec
    safety: SafetySettings
    settings: DoctorSettings
    ask: Ask
    limits: SafetyLimits | None = None
    reported: Mapping[str, JointLimit] = field(default_factory=dict)
    states: list[RobotState] = field(default_factory=list)
    simulated: bool = False
    read_error: str = ""

    @property
    def period_ms(self) -> float:
        """Control period [ms]."""
        return 1e3 * self.spec.period_s


Check = Callable[[Patient], Verdict]


def ok(check: str, found: str) -> Verdict:
    """Nothing to do."""
    return Verdict(check, Outcome.OK, found)


def warn(check: str, found: str, remedy: str) -> Verdict:
    """Fit to go on, and yet somebody should look."""
    return Verdict(check, Outcome.WARN, found, remedy)


def fail(check: str, found: str, remedy: str) -> Verdict:
    """Not fit to learn on."""
    return Verdict(check, Outcome.FAIL, found, remedy)


def skipped(check: str, why: str, remedy: str = "") -> Verdict:
    """Not looked at."""
    return Verdict(check, Outcome.SKIPPED, why, remedy)
