"""`rlpd-robot doctor`: the wiring of the checks, in the order in which a person would look."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rlpd_robot.errors import ConfigError, RlpdRobotError
from rlpd_robot.robot.diagnosis import Diagnosable, Outcome, Verdict
from rlpd_robot.robot.driver import Driver
from rlpd_robot.run.doctor.body import (
    check_e_stop,
    check_joints,
    check_limits,
    check_round_trip,
    check_safety,
    check_stop,
    check_watchdog,
)
from rlpd_robot.run.doctor.motion import Mover, examine_motion, unfit_to_move
from rlpd_robot.run.doctor.patient import Ask, Check, Patient, fail, ok, skipped
from rlpd_robot.run.doctor.person import Person
from rlpd_robot.run.doctor.stream import check_age, check_clock, check_rate, check_readings
from rlpd_robot.run.settings import Recipe, Settings
from rlpd_robot.spec import RobotSpec

CHECKS: tuple[tuple[str, Check], ...] = (
    ("readings", check_readings),
    ("rate", check_rate),
    ("age", check_age),
    ("clock", check_clock),
    ("joints", check_joints),
    ("limits", check_limits),
    ("safety", check_safety),
    ("round trip", check_round_trip),
    ("stop", check_stop),
    ("e-stop", check_e_stop),
)
"""What is looked at once the robot answers. A driver's own verdict of the same name takes a check's place."""

_UNTOLD = {
    "reachable": "this driver does not tell; the handshake will show",
    "topics": "no topics, types and publishers on this kind of link",
}
"""What only a driver can tell, and before `connect`."""

Show = Callable[[Verdict], None]


def run_doctor(
    settings: Settings, build: Callable[[Recipe], Any], move: bool, show: Show, stopped: Callable[[], bool]
) -> list[Verdict]:
    """Examine the robot of these settings.

    Args:
        build: makes what a recipe names.
        move: whether to move it as well.
        show: takes each verdict as soon as there is one.
        stopped: whether the process was asked to end.

    Returns:
        All verdicts.

    Raises:
        ConfigError: the driver's settings are wrong, or `move` without a person at a terminal.
    """
    person = Person(settings.doctor.answer_s, stopped)
    if move and not person.present:
        raise ConfigError("--move", "no terminal", "given where a person can answer yes to each motion")
    verdicts: list[Verdict] = []

    def note(verdict: Verdict) -> None:
        verdicts.append(verdict)
        show(verdict)

    driver: Driver = build(settings.robot.driver)
    try:
        examine(driver, settings, move, person.ask, note, stopped)
    finally:
        driver.close()
    return verdicts


def examine(
    driver: Driver, settings: Settings, move: bool, ask: Ask, note: Show, stopped: Callable[[], bool] = bool
) -> None:
    """One robot, from the way to it to its motions. Arguments as in `run_doctor`."""
    spec = _meet(driver, settings.doctor.timeout_s, note)
    if spec is None:
        return
    patient = Patient(driver, spec, settings.safety, settings.doctor, ask)
    patient.simulated = settings.robot.stand_in is not None or driver.lockstep
    _watch(patient, stopped)
    own = _own_verdicts(patient, driver)
    for name, check in CHECKS:
        if stopped():
            return
        note(own.pop(name) if name in own else check(patient))
    for verdict in own.values():
        note(verdict)
    if stopped():
        return
    if move and (watchdog := _move(patient, note, stopped)) is not None:
        note(watchdog)  # seen, rather than asked
        return
    if not move:
        remedy = "Add --move for one small, slow motion per joint, each after your yes."
        note(skipped("motion", "not asked for", remedy))
    note(check_watchdog(patient))


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing failed."""
    return bool(verdicts) and all(verdict.outcome is not Outcome.FAIL for verdict in verdicts)


def _meet(driver: Driver, timeout_s: float, note: Show) -> RobotSpec | None:
    """Everything up to the handshake; None: there is no robot to examine."""
    said = list(driver.diagnose_link(timeout_s)) if isinstance(driver, Diagnosable) else []
    told = {verdict.check for verdict in said}
    for verdict in (*said, *(skipped(name, why) for name, why in _UNTOLD.items() if name not in told)):
        note(verdict)
    if any(verdict.outcome is Outcome.FAIL for verdict in said):
        return None
    try:
        spec = driver.connect(timeout_s)
    except RlpdRobotError as error:
        note(fail("protocol", str(error), ""))
        return None
    manner = "in lock-step" if driver.lockstep else f"at {1 / spec.period_s:g} Hz"
    note(ok("protocol", f"it calls itself '{spec.name}', {manner}, {spec.command_size} command elements"))
    return spec


def _own_verdicts(patient: Patient, driver: Driver) -> dict[str, Verdict]:
    """What the driver itself can tell of the robot, by check."""
    if not isinstance(driver, Diagnosable):
        return {}
    timeout_s = patient.settings.timeout_s
    try:
        patient.reported = driver.reported_limits(timeout_s)
        return {verdict.check: verdict for verdict in driver.diagnose_robot(timeout_s)}
    except RlpdRobotError as error:
        return {"diagnosis": fail("diagnosis", str(error), "")}


def _move(patient: Patient, note: Show, stopped: Callable[[], bool]) -> Verdict | None:
    """Move it; what its watchdog did afterwards, or None when it came not to that."""
    why = unfit_to_move(patient)
    if why:
        note(skipped("motion", why))
        return None
    return examine_motion(patient, Mover(patient, stopped), note)


def _watch(patient: Patient, stopped: Callable[[], bool]) -> None:
    """Read states for a while, as they come."""
    driver, settings = patient.driver, patient.settings
    if driver.lockstep:
        return
    end = time.monotonic() + settings.seconds
    try:
        driver.read(settings.timeout_s)  # what waited before we looked is not of this measurement
        while (left_s := end - time.monotonic()) > 0 and not stopped():
            patient.states.append(driver.read(min(left_s, settings.timeout_s) + patient.spec.period_s))
    except RlpdRobotError as error:
        patient.read_error = str(error)
