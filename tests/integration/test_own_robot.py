"""The example of a robot on a serial line, as a user runs it: its own process, a line of its own, then the actor."""

import contextlib
import importlib.util
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import tty
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.robot.driver import SafeCommand
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.testing import check_driver, check_task
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.types import Command, PolicySnapshot, RobotState
from rlpd_robot.wire.control import ask
from tests.integration.running import REPOSITORY, Verb, link_words, read_json
from tests.wire.waiting import wait_until

EXAMPLE = REPOSITORY / "docs" / "examples" / "own_robot"
GOAL = np.array([0.3, -0.2, 0.5])


class Firmware:
    """The other end of the line: three joints that go half of the way to their targets each time they are asked."""

    def __init__(self, line: int) -> None:
        self.joints, self.target = np.array([0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.1])
        self.heard: list[bytes] = []  # what was not a question
        self.steps: list[float] = []  # of the targets [rad]
        self.silent = False
        self._line, self._rest, self._closing = line, b"", False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join(10)

    def _run(self) -> None:
        while not self._closing:
            if select.select([self._line], [], [], 0.05)[0]:
                *lines, self._rest = (self._rest + os.read(self._line, 4096)).split(b"\n")
                for line in lines:
                    self._obey(line)

    def _obey(self, line: bytes) -> None:
        if line == b"?":
            self.joints = self.joints + 0.5 * (self.target - self.joints)
            if not self.silent:
                os.write(self._line, b"%.6f %.6f %.6f\n" % tuple(self.joints))
            return
        self.heard.append(line)
        if line == b"h":
            self.target = self.joints
        else:
            word, *numbers = line.split()
            assert word == b"t"
            before, self.target = self.target, np.array(numbers, float)
            self.steps.append(float(np.abs(self.target - before).max()))


@contextmanager
def serial_robot(address: str, log: Path):
    """(the firmware, the example's process)."""
    near, far = pty.openpty()
    tty.setraw(near)
    firmware = Firmware(near)
    with log.open("wb") as out:
        words = [sys.executable, str(EXAMPLE / "serial_arm.py"), os.ttyname(far), address]
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, cwd=REPOSITORY)
    try:
        yield firmware, process
    finally:
        process.kill()
        process.wait(10)
        firmware.close()
        os.close(far)
        os.close(near)


def reach_module():
    found = importlib.util.spec_from_file_location("reach", EXAMPLE / "reach.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def goes_to_the_goal(problem) -> PolicySnapshot:
    """A network without hidden layers whose every action is the goal, of a range of ±1.5 rad."""
    arrays = {
        "mean/kernel": np.zeros((3, 3), np.float32),
        "mean/bias": np.arctanh(GOAL / 1.5).astype(np.float32),
        "log_std/kernel": np.zeros((3, 3), np.float32),
        "log_std/bias": np.full(3, -9.0, np.float32),
    }
    return PolicySnapshot(7, problem.fingerprint, 0, 0, arrays)


def arm_again(actor: Verb, links) -> None:
    """What a person does after a fault: a busy machine may well hold the actor up for 2.5 periods."""
    if "Robot stopped" in actor.text:
        with contextlib.suppress(RlpdRobotError):
            ask(links[3].removeprefix("link.control="), "arm", {}, 5.0)


@pytest.mark.integration
def test_a_serial_robot_keeps_the_promises_and_the_actor_moves_it(tmp_path):
    links = link_words()
    address = links[0].removeprefix("link.robot=")
    with ExitStack() as stack:
        firmware, server = stack.enter_context(serial_robot(address, tmp_path / "server.log"))
        check_driver(lambda: ZmqDriver(address), Command(np.full(3, 0.1)))
        with closing(ZmqDriver(address)) as driver:
            spec = driver.connect(10.0)
        task = reach_module().Reach("serial_reach", GOAL.tolist(), 100)
        check_task(task, spec, RobotState({"joint_position": GOAL + 0.1}, 0, 0.0, 0.0))
        run = tmp_path / "runs" / "arm"
        run.mkdir(parents=True)
        save_snapshot(run / "policy.npz", goes_to_the_goal(problem_of(task, spec)))
        firmware.heard.clear()
        firmware.steps.clear()

        groups = ["robot=serial_arm", "safety=serial_arm", "task=serial_reach"]
        words = ["actor", *groups, *links, f"run.root={run.parent}", "run.name=arm"]
        path = os.pathsep.join([str(EXAMPLE), os.environ.get("PYTHONPATH", "")])
        actor = Verb(words, tmp_path / "actor.log", RLPD_ROBOT_CONFIGS=str(EXAMPLE), PYTHONPATH=path)
        stack.callback(actor.kill)
        actor.until(lambda: np.abs(firmware.joints - GOAL).max() < 0.02 or arm_again(actor, links), 60.0)
        actor.interrupt()
        assert actor.ends(20.0) == 0, actor.text
        assert read_json(run / "actor.json")["steps"] > 0
        wait_until(lambda: firmware.heard[-1] == b"h")
        assert max(firmware.steps) <= 1.0 * 0.05 + 2e-5  # safety.max_speed over one period, rounded on the line

        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0, (tmp_path / "server.log").read_text()


@pytest.mark.integration
def test_a_line_that_falls_silent_ends_the_server_after_a_stop(tmp_path):
    address = link_words()[0].removeprefix("link.robot=")
    with serial_robot(address, tmp_path / "server.log") as (firmware, server):
        with closing(ZmqDriver(address)) as driver:
            driver.connect(10.0)
            assert firmware.heard == []
            firmware.silent = True
            assert server.wait(10) == 1
        assert "cannot reshape array of size 0" in (tmp_path / "server.log").read_text()
        wait_until(lambda: firmware.heard == [b"h"])


def read_on(driver: ZmqDriver) -> None:
    """Until it refuses."""
    for _ in range(50):
        driver.read(5.0)


@pytest.mark.integration
def test_a_robot_that_knows_nothing_of_this_package_keeps_the_promises_too(tmp_path: Path) -> None:
    (address,) = free_addresses(1)
    with (tmp_path / "log").open("wb") as out:
        words = [sys.executable, str(EXAMPLE.parent / "bare_robot.py"), address]
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
    try:
        check_driver(lambda: ZmqDriver(address), Command(np.array([0.1, 0.1])))
        with closing(ZmqDriver(address)) as driver:
            spec = driver.connect(10.0)
            assert (spec.name, spec.command_size) == ("bare", 2)
            driver.reset(None, 10.0)
            silent = driver.read(5.0)
            while (state := driver.read(5.0)).sequence < silent.sequence + 5:  # nobody commands it for five periods
                assert np.array_equal(state.values["joint_position"], silent.values["joint_position"])
            driver.send(SafeCommand(Command(np.array([0.5, 0.5]))))
            with pytest.raises(RlpdRobotError, match="it waits for a reset"):
                read_on(driver)
        assert process.poll() is None, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait(10)
