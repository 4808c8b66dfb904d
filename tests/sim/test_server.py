"""The simulated hand in a process of its own, driven through its socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from rlpd_robot.errors import AddressError, ConfigError
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.testing import check_driver
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.types import Command
from sim.hand import AdroitHand
from sim.server import serve
from sim.sim_driver import SimDriver


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def _served(task: str, lockstep: bool) -> Iterator[str]:
    address, stop, failures = _free_address(), threading.Event(), []

    def run() -> None:
        try:
            serve(task, address, lockstep, stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield address
    finally:
        stop.set()
        thread.join(10.0)
    assert not thread.is_alive()
    assert not failures, failures


@pytest.mark.integration
@pytest.mark.parametrize("lockstep", [True, False])
def test_keeps_the_promises_of_a_driver(lockstep: bool) -> None:
    with _served("door", lockstep) as address:
        check_driver(lambda: ZmqDriver(address))


@pytest.mark.integration
def test_same_episode_through_the_socket_as_in_process() -> None:
    rng = np.random.default_rng(0)
    local = SimDriver("pen")
    with _served("pen", lockstep=True) as address:
        remote = ZmqDriver(address)
        try:
            spec = remote.connect(10.0)
            assert spec == local.connect(1.0)
            ours, theirs = local.reset(3, 1.0), remote.reset(3, 10.0)
            for _ in range(20):
                command = SafeCommand(Command(rng.uniform(spec.command_low, spec.command_high)))
                local.send(command), remote.send(command)
                ours, theirs = local.read(1.0), remote.read(10.0)
            for name, value in ours.values.items():
                np.testing.assert_array_equal(theirs.values[name], value, err_msg=name)
        finally:
            remote.close()


@pytest.mark.integration
def test_real_time_moves_on_without_commands() -> None:
    with _served("door", lockstep=False) as address:
        driver = ZmqDriver(address)
        try:
            driver.connect(10.0)
            first = driver.reset(0, 10.0)
            later = driver.read(10.0)
            assert later.sequence > first.sequence
            assert later.stamp_s > first.stamp_s
        finally:
            driver.close()


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressError, match=address):
            serve("door", address, True, threading.Event())


def test_unknown_task_before_the_port_is_taken() -> None:
    with pytest.raises(ConfigError, match="Received 'window'"):
        serve("window", _free_address(), True, threading.Event())


def test_hand_is_what_a_server_expects() -> None:
    from rlpd_robot.robot.server import Robot

    robot: Robot = AdroitHand("door")  # held by mypy
    robot.stop()
