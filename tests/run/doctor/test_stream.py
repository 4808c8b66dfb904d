import numpy as np
import pytest

from rlpd_robot.robot.diagnosis import Outcome
from rlpd_robot.run.doctor.stream import check_age, check_clock, check_rate, check_readings
from tests.run.doctor.patients import Arm, patient, states

GRID = np.arange(501) * 0.01  # 5 s at 100 Hz


def test_a_robot_on_time() -> None:
    well = patient(states=states(GRID))
    assert check_rate(well).outcome is Outcome.OK
    told = "100.0 states/s, 100 are needed; between two of them p50 10.0, p99 10.0, at most 10.0 ms; 0 not seen"
    assert check_rate(well).found == told
    assert check_age(well).outcome is Outcome.OK
    assert check_clock(well).outcome is Outcome.OK
    assert check_readings(well).outcome is Outcome.OK
    assert check_readings(well).found == "501 states of position; all numbers are finite"


@pytest.mark.parametrize("check", [check_readings, check_rate, check_age, check_clock])
def test_in_lockstep_nothing_comes_by_itself(check) -> None:
    driver = Arm()
    driver.lockstep = True
    assert check(patient(driver)).outcome is Outcome.SKIPPED


def test_a_robot_that_is_silent() -> None:
    silent = patient(read_error="No answer from the robot.")
    assert check_readings(silent).outcome is Outcome.FAIL
    assert check_readings(silent).found == "No answer from the robot."
    assert check_rate(silent).outcome is Outcome.FAIL
    assert check_age(silent).outcome is check_clock(silent).outcome is Outcome.SKIPPED


def test_a_number_that_is_none() -> None:
    position = np.linspace(0, 1, 1002).reshape(501, 2)
    position[300, 1] = np.nan
    verdict = check_readings(patient(states=states(GRID, position=position)))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.found == "'position' held nan at element [1]"


def test_a_frozen_robot() -> None:
    verdict = check_readings(patient(states=states(GRID, position=np.ones((501, 2)))))
    assert verdict.outcome is Outcome.WARN
    assert "not one bit" in verdict.found


@pytest.mark.parametrize(("every", "outcome"), [(1, Outcome.OK), (2, Outcome.FAIL)])
def test_a_slow_robot(every: int, outcome: Outcome) -> None:
    assert check_rate(patient(states=states(GRID[::every]))).outcome is outcome


def test_a_robot_that_loses_one_state_in_ten() -> None:
    kept = [state for i, state in enumerate(states(GRID)) if i % 10 != 5]
    verdict = check_rate(patient(states=kept))
    assert verdict.outcome is Outcome.WARN  # 90 of 100 states/s
    assert verdict.found.endswith("; 50 not seen")


def test_jitter_of_more_than_a_period() -> None:
    arrived = GRID.copy()
    arrived[10::20] += 0.012
    verdict = check_rate(patient(states=states(arrived)))
    assert verdict.outcome is Outcome.WARN
    assert "p99 22.0, at most 22.0 ms" in verdict.found


@pytest.mark.parametrize(("late_s", "outcome"), [(0.005, Outcome.OK), (0.02, Outcome.WARN), (0.03, Outcome.FAIL)])
def test_states_that_wait_on_the_way(late_s: float, outcome: Outcome) -> None:
    stamps = GRID + 1e6  # another machine's clock: where it begins means nothing
    stamps[::50] -= late_s
    assert check_age(patient(states=states(GRID, stamps))).outcome is outcome


def test_a_clock_that_runs_fast() -> None:
    verdict = check_clock(patient(states=states(GRID, 1.01 * GRID + 7)))
    assert verdict.outcome is Outcome.WARN
    assert verdict.found.startswith("stamps advance 1.0100 s per second")


def test_stamps_that_stand() -> None:
    stamps = GRID.copy()
    stamps[100] = stamps[99]
    assert check_clock(patient(states=states(GRID, stamps))).outcome is Outcome.FAIL
