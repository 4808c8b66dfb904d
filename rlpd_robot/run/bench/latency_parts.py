"""The processes that `bench latency` measures: an echo, a robot behind its server, a control loop that drives it."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.errors import ChildError, FaultError
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.server import RobotServer
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.bench.networks import random_network
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.timing import Histogram, SystemClock
from rlpd_robot.types import Transition
from rlpd_robot.wire.policy_protocol import MAX_REQUEST_BYTES
from rlpd_robot.wire.sockets import listen, make_socket

_END_S = 15.0
_JOINTS = 12
_LOOK_MS = 200


class Part:
    """One of this module's functions in a process of its own; it ends by a line of JSON, its report."""

    def __init__(self, name: str, *arguments: object) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, name, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def report(self, timeout_s: float) -> dict[str, Any]:
        """Wait for its end.

        Raises:
            ChildError: it failed, or did not end in time.
        """
        try:
            text, _ = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ChildError(self._name, f"did not end within {timeout_s:g} s", "") from error
        if self._process.returncode != 0:
            raise ChildError(self._name, f"ended ({self._process.returncode})", text)
        value: dict[str, Any] = json.loads(text.splitlines()[-1])
        return value

    def end(self) -> dict[str, Any]:
        """Ask it to end; its report."""
        self._process.send_signal(signal.SIGTERM)
        return self.report(_END_S)

    def kill(self) -> None:
        """At once, whatever it does."""
        self._process.kill()
        self._process.wait(_END_S)
        if self._process.stdout is not None:
            self._process.stdout.close()


def echo(address: str) -> dict[str, float]:
    """Raw ZeroMQ: what comes goes back."""
    stop = stop_on_signals()
    with (
        zmq.Context() as context,
        make_socket(context, zmq.ROUTER, MAX_REQUEST_BYTES, {zmq.RCVTIMEO: _LOOK_MS}) as sock,
    ):
        listen(sock, "link.serve", address)
        while not stop.is_set():
            try:
                sock.send_multipart(sock.recv_multipart())
            except zmq.Again:
                continue
    return {}


class _Robot:
    """Follows its target at once. Measures how old the state is that a command answers when it arrives."""

    def __init__(self, hertz: float) -> None:
        self.spec = fake_spec(1.0 / hertz, _JOINTS)
        self.age = Histogram()
        self._position = np.zeros(_JOINTS)
        self._velocity = np.zeros(_JOINTS)
        self._rng = np.random.default_rng(0)
        self._read_s = time.monotonic()

    def read(self) -> dict[str, NDArray[Any]]:
        self._read_s = time.monotonic()
        noise = self._rng.normal(0.0, 1e-4, _JOINTS)  # as of a real encoder: identical readings mean a frozen one
        return {"position": self._position + noise, "velocity": self._velocity.copy()}

    def write(self, values: NDArray[np.float64]) -> None:
        self.age.add(time.monotonic() - self._read_s)
        self._position = values.copy()

    def advance(self) -> None:
        pass

    def reset(self, seed: int | None) -> None:
        self._position = np.zeros(_JOINTS)

    def stop(self) -> None:
        pass


def robot(address: str, hertz: str) -> dict[str, float]:
    """A robot behind its server, in real time."""
    one = _Robot(float(hertz))
    server = RobotServer(one, address, lockstep=False)
    try:
        server.run(stop_on_signals())
        return {**one.age.summary("command_age_ms", 1e3), **server.stats()}
    finally:
        server.close()


class _Stages:
    """Subscriber: the time that each stage of a tick takes, from the stamps of its transition."""

    names = ("policy", "filter", "send")

    def __init__(self) -> None:
        self.times = {name: Histogram() for name in self.names}

    def on_transition(self, transition: Transition) -> None:
        stamps = transition.stamps_s
        for name, start, end in zip(self.names, stamps, stamps[1:], strict=False):
            self.times[name].add(end - start)

    def on_episode(self, summary: EpisodeSummary) -> None:
        pass


def loop(address: str, seconds: str) -> dict[str, float]:
    """The control loop against that robot, with a network of the size that is trained."""
    stop, driver = stop_on_signals(), ZmqDriver(address)
    try:
        spec = driver.connect(30.0)
        task = FakeTask(horizon=max(1, round(float(seconds) / spec.period_s)), size=_JOINTS)
        problem = problem_of(task, spec)
        network = random_network(problem.observation_size, problem.action_size, problem.fingerprint)
        policy, stages = NumpyActor(network, np.random.default_rng(0)), _Stages()
        limits = SafetyLimits.from_settings(SafetySettings("range"), spec)
        control = ControlLoop(
            driver, task, problem, limits, lambda: policy, "bench", SystemClock(), (stages,), stop_requested=stop
        )
        control.warm_up()
        fault = ""
        try:
            control.run_episode(0, 0, explore=True)
        except FaultError as error:  # too slow for its own watchdog: the report says so
            fault = str(error)
        summaries = (times.summary(f"{name}_ms", 1e3) for name, times in stages.times.items())
        figures = {key: value for summary in summaries for key, value in summary.items()}
        return {**control.stats(), **figures, "steps": float(control.next_sequence), "fault": fault}  # type: ignore[dict-item]
    finally:
        driver.close()


if __name__ == "__main__":
    print(json.dumps({"echo": echo, "robot": robot, "loop": loop}[sys.argv[1]](*sys.argv[2:])), flush=True)  # type: ignore[operator]
