"""Processes of the toolkit on free ports, waited for by condition and deadline, and the stores they start from."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.policy.base import ScriptedPolicy
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.collect import EpisodeCollector
from rlpd_robot.run.metrics import read_jsonl
from rlpd_robot.timing import SystemClock
from rlpd_robot.wire.settings import ADDRESSES

REPOSITORY = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / "configs"
DEADLINE_S = 140.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, and that nobody else will be given before they are used.

    They lie below those that the system gives to whoever asks for any, and are not given twice.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = next(_ports)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


def _own_ports() -> Iterator[int]:
    """Round a slice of the ports that no other worker of these tests uses."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
    first, count = 12_000 + 1_250 * worker, 1_250
    for i in itertools.count(random.SystemRandom().randrange(count)):
        yield first + i % count


_ports = _own_ports()


def link_words() -> list[str]:
    """Free addresses for the links."""
    return [
        f"link.{name}=tcp://127.0.0.1:{port}" for name, port in zip(ADDRESSES, free_ports(len(ADDRESSES)), strict=True)
    ]


def make_demos(
    path: Path, driver: Driver | None = None, task: Task | None = None, episodes: int = 4, steps: int | None = None
) -> Path:
    """A store of episodes by a policy that goes to the origin, on the fake point unless told otherwise."""
    driver, task = driver or FakeDriver(), task or FakeTask(horizon=40)
    spec = driver.connect(1.0)
    problem = problem_of(task, spec)
    size = problem.action_size
    policy = ScriptedPolicy(lambda seen: np.clip(-2 * seen[:size], -1, 1).astype(np.float32))
    limits = SafetyLimits.from_settings(SafetySettings("range"), spec)
    collector = EpisodeCollector()
    loop = ControlLoop(driver, task, problem, limits, lambda: policy, "demo", SystemClock(), subscribers=(collector,))
    with StoreWriter(path, problem) as writer:
        for i in range(episodes):
            loop.run_episode(i, i, explore=False)
            assert collector.last is not None
            writer.append(collector.last)
    return path


class Verb:
    """`rlpd-robot WORDS…` in a process and a session of its own; killed at the end of the test at the latest."""

    def __init__(self, words: Sequence[str], log: Path, **environment: str) -> None:
        self.words, self.log = list(words), log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rlpd_robot", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                start_new_session=True,
                env={**os.environ, "RLPD_ROBOT_CONFIGS": str(CONFIGS), **environment},
            )

    def until(self, condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
        """The condition's first true value, while this process runs."""
        deadline = time.monotonic() + deadline_s
        while not (value := condition()):
            assert self.process.poll() is None, f"it ended: {self.text}"
            assert time.monotonic() < deadline, f"it never came true: {self.text}"
            time.sleep(0.02)  # between two looks
        return value

    def ends(self, deadline_s: float = DEADLINE_S) -> int:
        """Its exit status."""
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end: {self.text}") from None

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """At once, with no chance to clean up."""
        self.process.kill()
        self.process.wait(10)

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")


def run_verb(words: Sequence[str], log: Path, **environment: str) -> tuple[int, str]:
    """(exit status, what it printed) of one verb."""
    verb = Verb(words, log, **environment)
    try:
        return verb.ends(), verb.text
    finally:
        verb.kill()


def children_of(pid: int) -> dict[str, int]:
    """Process id of each child of the supervisor, by verb."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                words = (path / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue  # it has ended
            if parent == pid and b"rlpd_robot" in words:
                found[words[words.index(b"rlpd_robot") + 1].decode()] = int(path.name)
    return found


def row(directory: Path) -> dict[str, Any]:
    """The newest row of metrics.jsonl; empty before the first."""
    rows = read_jsonl(directory / "metrics.jsonl")
    return rows[-1] if rows else {}


def steps(directory: Path) -> int:
    """Transitions that a run's learner has told of."""
    return int(row(directory).get("env_steps") or 0)


def events(directory: Path) -> list[str]:
    """The text of every event."""
    return [event["text"] for event in read_jsonl(directory / "events.jsonl")]


def read_json(path: Path) -> dict[str, Any]:
    """An object in a file."""
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def live_rows(directory: Path) -> list[tuple[str, int]]:
    """(boot, sequence) of every transition in a run's live store, in the order of their commits."""
    rows: list[tuple[str, int]] = []
    for episode in DemoStore.open(directory / "live.zarr").episodes():
        rows += [(episode.boot, n) for n in range(episode.first_sequence, episode.next_sequence)]
    return rows
