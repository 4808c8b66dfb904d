"""The processes that `bench latency` measures: an echo, a robot behind its server, the actor that drives it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.data.demo_store import StoreWriter
from rlpd_robot.errors import ChildError
from rlpd_robot.policy.base import ScriptedPolicy
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.fake import FakeDriver, FakeTask, fake_spec
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.server import RobotServer
from rlpd_robot.robot.task import problem_of
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.actor import STATUS, run_actor
from rlpd_robot.run.collect import EpisodeCollector
from rlpd_robot.run.realtime import come_first
from rlpd_robot.run.settings import ActorSettings, RobotSettings, RunSettings, Settings
from rlpd_robot.run.stopping import SUPERVISOR, stop_on_signals
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import Histogram, SystemClock
from rlpd_robot.types import RobotState
from rlpd_robot.wire.policy_protocol import MAX_REQUEST_BYTES
from rlpd_robot.wire.settings import LinkSettings
from rlpd_robot.wire.sockets import listen, make_socket

_END_S = 15.0
_JOINTS = 12
_ROBOT_PRIORITY = 50
_HORIZON = 200  # control periods of an episode
_DEMOS = 5  # episodes
_LOOK_MS = 200


class Part:
    """One of a module's functions in a process of its own; its last line is its report in JSON.

    "said" in the report: the lines before it.
    """

    def __init__(self, name: str, *arguments: object, module: str = __name__) -> None:
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, name, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", SUPERVISOR: str(os.getpid())},
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
        *said, last = text.splitlines()
        value: dict[str, Any] = json.loads(last)
        return {**value, "said": said}

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
    """A robot behind its server, in real time; before everything else, since it stands for another computer."""
    come_first(None, _ROBOT_PRIORITY)
    one = _Robot(float(hertz))
    server = RobotServer(one, address, lockstep=False)
    try:
        server.run(stop_on_signals())
        return {**one.age.summary("command_age_ms", 1e3), **server.stats()}
    finally:
        server.close()


class _Timed(FakeTask):
    """Asks the process to end after so many observations."""

    def __init__(self, observations: int, stop: threading.Event) -> None:
        super().__init__(_HORIZON, _JOINTS)
        self._left, self._stop = observations, stop

    def observe(self, state: RobotState) -> NDArray[np.float32]:
        self._left -= 1
        if self._left <= 0:
            self._stop.set()
        return super().observe(state)


def actor(folder: str, periods: str, options: str) -> dict[str, Any]:
    """The actor, whole: journal, link to a learner, policies that come while it acts.

    Args:
        folder: of the run.
        periods: how many to act.
        options: JSON; "link": where the robot and a learner are, "actor": its settings.
    """
    given = json.loads(options)
    run, stop = Path(folder), stop_on_signals()
    settings = Settings(
        robot=RobotSettings(
            "bench", {}, stand_in={}
        ),  # nobody near it who could arm: after a fault it goes on by itself
        task={},
        agent=AgentConfig(),
        safety=SafetySettings("range", none_because="a robot that exists in this bench only"),
        link=LinkSettings(**given["link"]),
        run=RunSettings(name=run.name, root=str(run.parent)),
        actor=ActorSettings(**given["actor"]),
    )
    run_actor(settings, ZmqDriver(settings.link.robot), _Timed(int(periods), stop), stop)
    figures: dict[str, Any] = json.loads((run / STATUS).read_text())
    return figures


def bench_problem(hertz: float) -> ProblemSpec:
    """What robot and task of these parts look like."""
    return problem_of(FakeTask(_HORIZON, _JOINTS), fake_spec(1.0 / hertz, _JOINTS))


def write_demos(path: Path, hertz: float) -> None:
    """Episodes of the robot's, for a learner to start from."""
    driver, task = FakeDriver(period_s=1.0 / hertz, size=_JOINTS), FakeTask(_HORIZON, _JOINTS)
    collector = EpisodeCollector()
    spec = driver.connect(0.0)
    policy = ScriptedPolicy(lambda seen: -np.clip(seen[:_JOINTS], -1.0, 1.0))
    limits = SafetyLimits.from_settings(SafetySettings("range"), spec)
    loop = ControlLoop(
        driver, task, problem_of(task, spec), limits, lambda: policy, "demos", SystemClock(), subscribers=(collector,)
    )
    with StoreWriter(path, problem_of(task, spec)) as writer:
        for i in range(_DEMOS):
            loop.run_episode(i, i, explore=False)
            assert collector.last is not None
            writer.append(collector.last)


if __name__ == "__main__":
    print(json.dumps({"echo": echo, "robot": robot, "actor": actor}[sys.argv[1]](*sys.argv[2:])), flush=True)  # type: ignore[operator]
