"""Checks on what the robot is, and on what would stop it."""

import time

import numpy as np

from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.robot.diagnosis import Diagnosable, JointLimit, TellsEStop, Verdict
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.run.doctor.patient import Patient, fail, ok, skipped, warn
from rlpd_robot.spec import Field

_SLACK = 1e-6  # [rad, m]: rounding of limits on their way through text
_SHOWN = 6  # names in one line
_LOOK_S, _TOLD_S = 0.02, 1.0  # between two looks at the e-stop, and in which its press must be told


def check_joints(patient: Patient) -> Verdict:
    """Whether command and state elements have names, and the same ones, so that nobody depends on their order."""
    commanded = [label for field in patient.spec.command for label in field.labels]
    if len(commanded) < patient.spec.command_size:
        what = (
            f"{patient.spec.command_size - len(commanded)} of {patient.spec.command_size} command elements have no name"
        )
        return warn("joints", what, "Give the robot's description labels: order alone is easily mistaken.")
    twice = sorted({name for field in patient.spec.command for name in field.labels if field.labels.count(name) > 1})
    if twice:
        return fail("joints", f"these names stand twice in one command field: {_some(twice)}", "Name each joint once.")
    measured = {label for field in patient.spec.state for label in field.labels}
    unseen = [name for name in commanded if name not in measured]
    if unseen:
        return warn("joints", f"commanded but not measured: {_some(unseen)}", "Measure each joint that is commanded.")
    return ok("joints", f"{len(commanded)} joints, each commanded and measured: {_some(commanded)}")


def check_limits(patient: Patient) -> Verdict:
    """Our safety limits against the robot's own, and against where it stands now."""
    try:
        limits = SafetyLimits.from_settings(patient.safety, patient.spec)
    except RlpdRobotError as error:
        return fail("limits", str(error), "Choose safety=… for this robot.")
    patient.limits = limits
    beyond = _beyond_reported(patient, limits)
    if beyond:
        return fail("limits", _some(beyond), "Keep the configured range inside the robot's own limits.")
    outside = _standing_outside(patient, limits)
    if outside:
        what = f"the robot stands outside its limits: {_some(outside)}"
        return warn("limits", what, "Move it back by hand or by its own program, or correct the limits.")
    elements = f"{patient.spec.command_size} command elements"
    if patient.reported:
        return ok(
            "limits", f"{elements} stay inside the limits of {len(patient.reported)} joints that the robot publishes"
        )
    return ok("limits", f"{elements} stay inside the range of the robot's description; it publishes no other limits")


def check_safety(patient: Patient) -> Verdict:
    """What the safety filter would hold a policy to."""
    if patient.limits is None:
        return skipped("safety", "the limits do not fit this robot")
    try:
        SafetyLimits.of_robot(patient.safety, patient.spec, patient.simulated)
    except RlpdRobotError as error:
        return fail("safety", f"no actor would start with these limits: {error}", "Complete them: docs/safety.md.")
    unbounded = int(np.isinf(patient.limits.max_speed).sum())
    if unbounded:
        what = (
            f"limits '{patient.safety.name}': {unbounded} of {patient.spec.command_size} elements may jump at any speed"
        )
        return warn("safety", what, "Set safety.max_speed, unless this is a simulation.")
    if not patient.limits.measured:
        what = f"limits '{patient.safety.name}': the first command of an episode may jump anywhere in the range"
        return warn("safety", what, "Set safety.measured, so that it starts from where the robot stands.")
    return ok(
        "safety", f"limits '{patient.safety.name}' bound every element's range and speed, from the first command on"
    )


def check_round_trip(patient: Patient) -> Verdict:
    """Echoes one after another."""
    driver = patient.driver
    if not isinstance(driver, Diagnosable):
        return skipped("round trip", "this driver has no echo")
    times_ms = []
    try:
        for _ in range(patient.settings.echoes):
            times_ms.append(1e3 * driver.echo(patient.settings.timeout_s))
    except RlpdRobotError as error:
        return fail("round trip", f"after {len(times_ms)} echoes: {error}", "See whether the link comes and goes.")
    p50, p99 = np.percentile(times_ms, (50, 99))
    found = f"{len(times_ms)} echoes took p50 {p50:.2f}, p99 {p99:.2f}, at most {max(times_ms):.2f} ms"
    if p99 > FRESH_PERIODS * patient.period_ms and not driver.lockstep:
        remedy = f"Commands would be late: {FRESH_PERIODS} periods are {FRESH_PERIODS * patient.period_ms:.0f} ms."
        return fail("round trip", found, remedy)
    if p99 > patient.period_ms and not driver.lockstep:
        return warn("round trip", found, "Look for load and wireless links between the two machines.")
    return ok("round trip", found)


def check_stop(patient: Patient) -> Verdict:
    """For drivers that say nothing of how a stop travels."""
    remedy = "Press stop once by hand while the robot moves slowly, and see."
    return skipped("stop", "this driver does not tell whether a stop arrives", remedy)


def check_e_stop(patient: Patient) -> Verdict:
    """Whether a press of the emergency stop is told here: a person presses it. Nothing moves."""
    driver = patient.driver
    told = driver.e_stop_pressed() if isinstance(driver, TellsEStop) else None
    if told is None:
        return skipped("e-stop", "nothing tells when the emergency stop is pressed; it works all the same, without us")
    if told:
        remedy = "Release it; or see whether its topic, and what it says while pressed, are as set."
        return fail("e-stop", "it is pressed, or its word for it is silent", remedy)
    if (
        patient.ask("Press the emergency stop and keep it pressed. Is it pressed?", lambda: time.sleep(_LOOK_S))
        is not True
    ):
        return warn("e-stop", "not tried: nobody pressed it", "Press it once while the doctor watches, at a terminal.")
    if not _comes_to(driver, True):
        remedy = "See whether its topic, and what it says while pressed, are as set: an episode would go on."
        return fail("e-stop", f"a person pressed it, and after {_TOLD_S:g} s nothing tells so here", remedy)
    patient.ask("Release it again. Is it released?", lambda: time.sleep(_LOOK_S))
    if not _comes_to(driver, False):
        return warn("e-stop", "its press was told here, its release was not", "No episode begins while it is pressed.")
    return ok("e-stop", "a person pressed and released it, and both were told here")


def _comes_to(driver: object, pressed: bool) -> bool:
    deadline_s = time.monotonic() + _TOLD_S
    while time.monotonic() < deadline_s:
        if isinstance(driver, TellsEStop) and driver.e_stop_pressed() is pressed:
            return True
        time.sleep(_LOOK_S)
    return False


def check_watchdog(patient: Patient) -> Verdict:
    """Whether the robot stops by itself when commands cease. Without moving it nobody sees that: a person says."""
    question = "Has somebody seen this robot stop by itself when commands cease, as when the network is cut?"
    remedy = "Try it once with --move, or cut the network while it moves slowly with a hand at the emergency stop."
    match patient.ask(question):
        case True:
            return ok("watchdog", "a person confirms that the robot stops by itself when commands cease")
        case False:
            return fail("watchdog", "nobody has seen the robot stop by itself when commands cease", remedy)
        case _:
            return warn("watchdog", "not confirmed: nobody was there to say whether it stops by itself", remedy)


def _beyond_reported(patient: Patient, limits: SafetyLimits) -> list[str]:
    """What we would allow and the robot's published limits do not."""
    found, start = [], 0
    for field in patient.spec.command:
        for i, label in enumerate(field.labels):
            theirs = patient.reported.get(label)
            if theirs is not None:
                j = start + i
                found += _one_beyond(field, label, (limits.low[j], limits.high[j], limits.max_speed[j]), theirs)
        start += field.size
    return found


def _one_beyond(field: Field, label: str, ours: tuple[float, float, float], theirs: JointLimit) -> list[str]:
    low, high, speed = ours
    pairs: list[tuple[str, float, float | None, bool]]
    if field.unit in ("rad", "m"):
        pairs = [
            ("lower end", low, theirs.lower, theirs.lower is not None and low < theirs.lower - _SLACK),
            ("upper end", high, theirs.upper, theirs.upper is not None and high > theirs.upper + _SLACK),
            ("speed", speed, theirs.velocity, np.isfinite(speed) and _above(speed, theirs.velocity)),
        ]
    elif field.unit in ("rad/s", "m/s"):
        fastest = max(abs(low), abs(high))
        pairs = [("speed", fastest, theirs.velocity, _above(fastest, theirs.velocity))]
    else:
        strongest = max(abs(low), abs(high))
        pairs = [("effort", strongest, theirs.effort, _above(strongest, theirs.effort))]
    return [f"{what} of {label} is {mine:.4g}, the robot's {limit:.4g}" for what, mine, limit, bad in pairs if bad]


def _above(ours: float, theirs: float | None) -> bool:
    return theirs is not None and ours > theirs + _SLACK


def _standing_outside(patient: Patient, limits: SafetyLimits) -> list[str]:
    if not limits.measured or not patient.states:
        return []
    state = patient.states[-1]
    values = np.concatenate([np.ravel(state.values[name]) for name in limits.measured])
    names = element_names(patient.spec.command)
    slack = 1e-3 * (limits.high - limits.low)
    outside = np.flatnonzero((values < limits.low - slack) | (values > limits.high + slack))
    return [f"{names[i]} at {values[i]:.4g}, outside [{limits.low[i]:.4g}, {limits.high[i]:.4g}]" for i in outside]


def element_names(fields: tuple[Field, ...]) -> list[str]:
    """One name for each command element: its label, or field and index."""
    names: list[str] = []
    for field in fields:
        names += field.labels or [f"{field.name}[{i}]" if field.size > 1 else field.name for i in range(field.size)]
    return names


def _some(items: list[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
