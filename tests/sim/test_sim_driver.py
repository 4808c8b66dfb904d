import numpy as np
import pytest

from rlpd_robot.errors import DataError, PeerTimeoutError
from rlpd_robot.robot.driver import Driver, SafeCommand
from rlpd_robot.robot.testing import check_driver, check_task
from rlpd_robot.types import Command
from sim.sim_driver import SimDriver
from sim.tasks.registry import make_task
from tests.sim.reference import NAMES


@pytest.fixture(scope="module")
def driver() -> SimDriver:
    return SimDriver("door")


def _command(driver: SimDriver) -> SafeCommand:
    return SafeCommand(Command(driver.hand.spec.command_high))


@pytest.mark.parametrize("task", NAMES)
def test_keeps_the_promises_of_a_driver_and_a_task(task: str) -> None:
    check_driver(lambda: SimDriver(task))
    driver = SimDriver(task)
    check_task(make_task(task), driver.connect(1.0), driver.reset(0, 1.0))


def test_is_a_driver(driver: SimDriver) -> None:
    as_driver: Driver = driver  # held by mypy
    assert as_driver.lockstep
    assert as_driver.connect(1.0) is driver.hand.spec


def test_each_read_is_one_period_after_one_command(driver: SimDriver) -> None:
    first = driver.reset(0, 1.0)
    driver.send(_command(driver))
    second = driver.read(1.0)
    assert second.sequence == first.sequence + 1
    assert second.stamp_s - first.stamp_s == pytest.approx(0.01)
    assert second.received_s >= first.received_s
    assert not np.array_equal(first.values["joint_position"], second.values["joint_position"])


def test_the_newest_command_counts(driver: SimDriver) -> None:
    driver.reset(0, 1.0)
    driver.send(SafeCommand(Command(driver.hand.spec.command_low)))
    driver.send(_command(driver))
    after_two = driver.read(1.0)
    driver.reset(0, 1.0)
    driver.send(_command(driver))
    after_one = driver.read(1.0)
    np.testing.assert_array_equal(after_two.values["joint_position"], after_one.values["joint_position"])


def test_read_without_a_command_says_why(driver: SimDriver) -> None:
    driver.reset(0, 1.0)
    with pytest.raises(PeerTimeoutError) as caught:
        driver.read(1.0)
    assert str(caught.value) == (
        "No answer from the simulator at this process within 0 s. "
        "In lock-step it moves once per command: send one before reading."
    )


def test_a_refused_command_does_not_move_it(driver: SimDriver) -> None:
    driver.reset(0, 1.0)
    with pytest.raises(DataError):
        driver.send(SafeCommand(Command(np.full(28, np.inf))))
    with pytest.raises(PeerTimeoutError):
        driver.read(1.0)


def test_same_seed_same_episode(driver: SimDriver) -> None:
    def episode() -> list[np.ndarray]:
        states = [driver.reset(5, 1.0)]
        for _ in range(20):
            driver.send(_command(driver))
            states.append(driver.read(1.0))
        return [s.values["handle_position"] for s in states]

    np.testing.assert_array_equal(episode(), episode())


def test_stop_and_close_are_harmless() -> None:
    driver = SimDriver("pen")
    driver.reset(0, 1.0)
    for _ in range(3):
        driver.stop()
    driver.close()
    driver.close()
    assert driver.stats() == {"periods": 0.0, "resets": 1.0, "stops": 3.0}
