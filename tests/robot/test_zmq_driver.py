import os
import socket
import time

import numpy as np
import pytest
import zmq

from rlpd_robot.errors import (
    ConfigError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerVersionError,
    ProtocolError,
    SpecMismatchError,
)
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.server import CONTROLLER_SILENCE_S
from rlpd_robot.robot.testing import check_driver
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.spec import Field
from rlpd_robot.types import Command
from rlpd_robot.wire import messages as m
from tests.robot.robots import TellingRobot, served_by_a_process, serving


def command(value: float) -> SafeCommand:
    return SafeCommand(Command(np.full(2, value)))


@pytest.fixture
def driver_of():
    """Makes drivers and closes them."""
    drivers = []

    def make(address: str) -> ZmqDriver:
        drivers.append(ZmqDriver(address))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


@pytest.fixture
def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


@pytest.mark.parametrize("lockstep", [True, False])
def test_it_keeps_the_promises_of_a_driver(lockstep):
    with serving(TellingRobot(0.02), lockstep) as server:
        check_driver(lambda: ZmqDriver(server.address))


def test_lockstep_over_processes(driver_of):
    with served_by_a_process(0.01, lockstep=True) as (_, address):
        driver = driver_of(address)
        driver.connect(10)
        driver.reset(3, 10)
        for i in range(200):
            driver.send(command(i / 200))
            state = driver.read(10)
            assert int(state.values["written"]) == i + 1
            assert state.values["target"][0] == i / 200
        assert driver.stats() == {"sent": 200, "dropped": 0, "dropped_stale": 0, "states": 201, "resent": 0}


def test_it_may_be_started_before_the_robot(driver_of, free_address):
    driver = driver_of(free_address)
    with pytest.raises(PeerTimeoutError) as caught:
        driver.connect(0.3)
    assert str(caught.value) == (
        f"No answer from a robot at {free_address} within 0.3 s. Start the robot's server, or `rlpd-robot sim`."
    )
    with serving(TellingRobot(), lockstep=True, address=free_address):
        assert driver.connect(10).name == "telling"
        driver.reset(None, 10)


def test_another_machine_needs_a_word(driver_of):
    with pytest.raises(ConfigError) as caught:
        driver_of("tcp://10.0.0.7:5560")
    assert str(caught.value) == (
        "Setting 'link.robot' must be a loopback address, unless link.keys names a directory of keys "
        "(`rlpd-robot keys`) or link.insecure=true: nothing on this link is encrypted. "
        "Received 'tcp://10.0.0.7:5560'."
    )


def test_a_busy_robot_refuses_and_a_left_one_does_not(driver_of):
    with serving(TellingRobot(), lockstep=False) as server:
        one, two = driver_of(server.address), driver_of(server.address)
        one.connect(10)
        one.reset(None, 10)
        started = time.monotonic()
        with pytest.raises(PeerRefusedError, match="refused: another controller was heard"):
            two.connect(0.5)
        assert time.monotonic() - started < 5
        one.close()
        two.connect(10)
        two.reset(None, 10)


def test_what_was_commanded_without_a_robot_never_reaches_it(driver_of, free_address):
    driver = driver_of(free_address)
    with serving(TellingRobot(), lockstep=True, address=free_address):
        driver.connect(10)
        state = driver.reset(0, 10)
    driver.send(command(0.9))
    with pytest.raises(PeerTimeoutError):
        driver.read(0.2)
    while not driver.stats()["dropped"]:  # the first ones may leave before the end of the connection is noticed
        driver.send(command(0.9))
    with serving(TellingRobot(), lockstep=True, address=free_address) as server:
        state = driver.reset(0, 10)
        assert int(state.values["written"]) == 0
        assert server.stats()["executed"] == 0
        driver.send(command(0.1))
        assert driver.read(10).values["target"].tolist() == [0.1, 0.1]


def test_another_robot_at_the_same_address_is_refused(driver_of, free_address):
    driver = driver_of(free_address)
    with serving(TellingRobot(0.02), lockstep=True, address=free_address):
        driver.connect(10)
        driver.reset(0, 10)
    with serving(TellingRobot(0.01), lockstep=True, address=free_address):
        driver.send(command(0.0))
        with pytest.raises((PeerRefusedError, PeerTimeoutError)):
            driver.read(5)
        with pytest.raises(SpecMismatchError, match=r"robot\.period_s: 0\.02 here, 0\.01 there"):
            driver.connect(10)


def test_after_a_pause_it_returns_the_present_and_not_the_past(driver_of):
    with serving(TellingRobot(0.05), lockstep=False) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        before = driver.reset(None, 10)
        resumed_s = time.monotonic() + 1.3 * CONTROLLER_SILENCE_S  # the stream has dried up, and what came of it is old
        while time.monotonic() < resumed_s:
            os.sched_yield()
        state = driver.read(10)
        assert state.stamp_s > resumed_s  # one machine, one monotonic clock
        assert state.sequence > before.sequence


def test_a_command_for_an_old_state_is_dropped_here_already(driver_of):
    with serving(TellingRobot(0.01), lockstep=False) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.reset(None, 10)
        resumed_s = time.monotonic() + 0.1
        while time.monotonic() < resumed_s:
            os.sched_yield()
        driver.send(command(0.9))
        assert driver.stats()["dropped_stale"] == 1
        assert server.stats()["executed"] == 0


def test_a_refused_command_is_told_at_the_next_read(driver_of):
    with serving(TellingRobot(), lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.reset(0, 10)
        driver.send(command(float("nan")))
        with pytest.raises(PeerRefusedError) as caught:
            driver.read(10)
        assert str(caught.value) == (
            f"The robot at {server.address} refused: command element 0 is nan, outside [-1, 1]"
        )
        driver.reset(0, 10)
        driver.send(command(0.5))
        assert int(driver.read(10).values["written"]) == 1


def answering(reply):
    """A server that answers everything with these bytes."""
    context = zmq.Context()
    sock = context.socket(zmq.ROUTER)
    port = sock.bind_to_random_port("tcp://127.0.0.1")

    def answer():
        while sock.poll(0):
            identity, _ = sock.recv_multipart()
            sock.send_multipart([identity, reply])

    return context, f"tcp://127.0.0.1:{port}", answer


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 400 Bad Request", ProtocolError),
        (m.to_bytes(m.Welcome("b", TellingRobot().spec, True)).replace(b"\xa1v\x01", b"\xa1v\x09"), PeerVersionError),
    ],
)
def test_a_stranger_at_the_address_is_named(driver_of, reply, error):
    context, address, answer = answering(reply)
    driver = driver_of(address)
    try:
        with pytest.raises(PeerTimeoutError):
            driver.connect(0.5)
        answer()
        with pytest.raises(error, match=f"robot at {address}"):
            driver.connect(10)
    finally:
        context.destroy(linger=0)


def test_a_state_that_is_not_as_described_is_an_error(driver_of):
    robot = TellingRobot()
    with serving(robot, lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.reset(0, 10)
        robot.target = np.zeros(3)
        robot.write = lambda values: None
        driver.send(command(0.0))
        with pytest.raises(ProtocolError, match="a state of .*as its description says"):
            driver.read(10)


def test_closing_twice_and_using_it_afterwards_does_no_harm(driver_of):
    with serving(TellingRobot(), lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.close()
        driver.close()
        driver.stop()


def test_read_without_a_command_is_answered_at_once_in_lockstep(driver_of):
    with serving(TellingRobot(), lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.reset(0, 10)
        with pytest.raises(PeerTimeoutError, match="In lock-step, send a command before each read"):
            driver.read(60)


def test_field_order_does_not_matter(driver_of):
    robot = TellingRobot()
    robot.spec = type(robot.spec)(
        "telling", 0.02, tuple(reversed(robot.spec.state)), (Field("target", (2,), "float64", "m", (-1, -1), (1, 1)),)
    )
    with serving(robot, lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        assert driver.reset(0, 10).sequence > 0


def test_a_state_names_the_command_that_was_followed(driver_of):
    with serving(TellingRobot(), lockstep=True) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        assert driver.reset(0, 10).executed == -1
        for _ in range(3):
            number = driver.send(command(0.5))
            assert driver.read(10).executed == number


def test_a_simulator_that_died_is_noticed_soon(driver_of):
    with served_by_a_process(0.02, lockstep=True) as (process, address):
        driver = driver_of(address)
        driver.connect(10)
        driver.reset(0, 10)
        process.kill()
        process.join(10)
        driver.send(command(0.5))
        started = time.monotonic()
        with pytest.raises(PeerTimeoutError, match="The connection has ended: see whether its server still runs"):
            driver.read(600)
        assert time.monotonic() - started < 60


def test_declared_limits_beyond_the_robots_own_are_refused(driver_of):
    robot = TellingRobot()
    robot.max_speed = np.array([1.0, 1.0])
    with serving(robot, lockstep=False) as server:
        driver = driver_of(server.address)
        driver.connect(10)
        driver.declare(np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, np.inf]]))
        with pytest.raises(PeerRefusedError, match=r"speed limit of 'target\[1\]' is inf, the robot's own is 1"):
            driver.reset(0, 10)
        driver.declare(np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0]]))
        driver.reset(0, 10)
