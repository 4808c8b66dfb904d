"""Checks on the stream of states: do they come, on time, fresh, with numbers in them, by a clock that runs right."""

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.diagnosis import Verdict
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.run.doctor.patient import Patient, fail, ok, skipped, warn
from rlpd_robot.types import RobotState

LOCKSTEP = "in lock-step the robot waits for each command, so that nothing comes by itself"
WALL_CLOCK = "Start its stand-in with sim.lockstep=false to see it by the wall clock."
_FEW = 10  # states from which on a percentile is worth telling
_RATE_OK, _RATE_WARN = 0.05, 0.25  # part of the control rate that may be missing
_DRIFT = 2e-3  # [s/s]: more than any quartz, and than what the jitter of a few seconds pretends


def check_readings(patient: Patient) -> Verdict:
    """Whether every measured number is one, and whether anything moves in them at all."""
    states = patient.states
    if patient.driver.lockstep:
        return skipped("readings", LOCKSTEP, WALL_CLOCK)
    if not states:
        return fail("readings", patient.read_error or "no state came", "See whether the robot's sensors are powered.")
    for name in states[0].values:
        series = np.stack([state.values[name] for state in states])
        if series.dtype.kind == "f" and not np.isfinite(series).all():
            index = np.argwhere(~np.isfinite(series))[0].tolist()
            what = f"'{name}' held {series[tuple(index)]} at element {index[1:]}"
            return fail("readings", what, "See to that sensor: an actor stops the robot at the first such number.")
    found = f"{len(states)} states of {', '.join(states[0].values)}; all numbers are finite"
    if len(states) >= _FEW and _frozen(states):
        remedy = "Right for a robot at rest in a simulator. On a real one see whether its driver is alive."
        return warn("readings", f"{found}, and not one bit of any reading ever changed", remedy)
    return ok("readings", found)


def check_rate(patient: Patient) -> Verdict:
    """States in each second, the spread of their arrivals, and those that were lost."""
    if patient.driver.lockstep:
        return skipped("rate", LOCKSTEP)
    if len(patient.states) < _FEW:
        what = f"{len(patient.states)} states in {patient.settings.seconds:g} s {patient.read_error}".strip()
        return fail("rate", what, "See whether the robot publishes its state.")
    arrived = np.array([state.received_s for state in patient.states])
    want = 1.0 / patient.spec.period_s
    rate = (len(arrived) - 1) / (arrived[-1] - arrived[0])
    gaps_ms = 1e3 * np.diff(arrived)
    p50, p99 = np.percentile(gaps_ms, (50, 99))
    lost = patient.states[-1].sequence - patient.states[0].sequence - (len(arrived) - 1)
    found = (
        f"{rate:.1f} states/s, {want:g} are needed; between two of them p50 {p50:.1f}, p99 {p99:.1f}, "
        f"at most {gaps_ms.max():.1f} ms; {max(lost, 0)} not seen"
    )
    if rate < want * (1 - _RATE_WARN):
        remedy = f"Raise the robot's rate, or set its control period to {1 / rate:.3g} s."
        return fail("rate", found, remedy)
    if rate < want * (1 - _RATE_OK) or p99 > 2 * patient.period_ms:
        return warn("rate", found, "Look for a busy machine, wireless links, and subscribers that take too long.")
    return ok("rate", found)


def check_age(patient: Patient) -> Verdict:
    """How much older than the freshest of them states are on arrival."""
    if patient.driver.lockstep:
        return skipped("age", LOCKSTEP)
    if len(patient.states) < _FEW:
        return skipped("age", "too few states came")
    delay_ms = 1e3 * _beyond_the_quickest(patient.states)
    p50, p99 = np.percentile(delay_ms, (50, 99))
    found = f"on the way p50 {p50:.1f}, p99 {p99:.1f}, at most {delay_ms.max():.1f} ms longer than the quickest state"
    if p99 > FRESH_PERIODS * patient.period_ms:
        return fail("age", found, f"Commands that answer a state older than {FRESH_PERIODS} periods are refused.")
    if p99 > patient.period_ms:
        return warn("age", found, "States queue up somewhere: see queue lengths, load, and wireless links.")
    return ok("age", found)


def check_clock(patient: Patient) -> Verdict:
    """Whether the robot's stamps advance as our clock does. Where they begin means nothing for a monotonic clock."""
    if patient.driver.lockstep:
        return skipped("clock", LOCKSTEP)
    if len(patient.states) < _FEW:
        return skipped("clock", "too few states came")
    stamps = np.array([state.stamp_s for state in patient.states])
    arrived = np.array([state.received_s for state in patient.states])
    if (np.diff(stamps) <= 0).any():
        return fail("clock", "stamps of consecutive states do not increase", "Stamp states when they are measured.")
    drift = float(np.polyfit(arrived - arrived[0], stamps - stamps[0], 1)[0]) - 1.0
    found = f"stamps advance {1 + drift:.4f} s per second of this machine's monotonic clock"
    if abs(drift) > _DRIFT:
        return warn("clock", found, "The robot's clock is being set, or stamps do not tell when a state was measured.")
    return ok("clock", found)


def _beyond_the_quickest(states: list[RobotState]) -> NDArray[np.float64]:
    """(N,) [s] of each state: delay beyond that of the quickest, which needs no common clock."""
    offset = np.array([state.received_s - state.stamp_s for state in states], np.float64)
    return np.asarray(offset - offset.min(), np.float64)


def _frozen(states: list[RobotState]) -> bool:
    first = states[0].values
    return all(np.array_equal(state.values[name], first[name]) for state in states for name in first)
