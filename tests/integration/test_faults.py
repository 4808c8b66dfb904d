"""Each cause of the watchdog, provoked through real processes and judged by the robot's own record.

The stand-in records every write, stop and reset with the number of its own period. So these tests need no clock: a
busy machine makes periods longer, not more.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rlpd_robot.errors import PeerRefusedError, RlpdRobotError
from rlpd_robot.robot.fake import FakeTask
from rlpd_robot.robot.task import problem_of
from rlpd_robot.types import PolicySnapshot
from rlpd_robot.wire.control import ask
from rlpd_robot.wire.policy_channel import PolicyPublisher
from tests.integration.handled import handled_spec
from tests.integration.running import Verb, link_words

pytestmark = pytest.mark.integration

HORIZON = 100_000
WITHIN = 3
"""Periods begun between the last command and the stop: 2.5 periods, seen at the next tick."""

DEADLINE_S = 60.0


class Bench:
    """A stand-in and an actor, a policy that acts at random, and a person's word."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        links = link_words()
        self._addresses = dict(word.split("=") for word in links)
        shared = ["experiment=point", "robot=handled", f"robot.stand_in.folder={folder}", f"task.horizon={HORIZON}"]
        shared += ["run.demos=null", f"run.root={folder}", "sim.lockstep=false", *links]
        limits = ["watchdog.stale_s=2", "watchdog.overrun_s=2", "watchdog.frozen=5"]
        inputs = ["watchdog.e_stop=e_stop", "watchdog.dead_man=grip"]
        self._sim_words = ["sim", *shared]
        self.publisher = PolicyPublisher(self._addresses["link.policy"])
        fingerprint = problem_of(FakeTask(HORIZON), handled_spec()).fingerprint
        self.publisher.publish(PolicySnapshot(1, fingerprint, 0, 0, {}))
        self.sim = Verb(self._sim_words, folder / "sim.log")
        self.actor = Verb(["actor", *shared, *limits, *inputs, *words], folder / "actor.log")

    def start_sim_again(self) -> None:
        self.sim = Verb(self._sim_words, self.folder / "sim.log")

    def close(self) -> None:
        self.actor.kill()
        self.sim.kill()
        self.publisher.close()

    def record(self) -> list[dict[str, Any]]:
        path = self.folder / "record"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, what: str) -> int:
        return sum(line["what"] == what for line in self.record())

    def moves(self, more: int = 4) -> None:
        """Wait until the robot has followed some more commands."""
        before = self.count("write")
        self.actor.until(lambda: self.count("write") >= before + more, DEADLINE_S)

    def ask(self, word: str) -> str:
        return ask(self._addresses["link.control"], word, {}, 20.0)

    def fault(self, cause: str) -> str:
        """Wait for a fault of this cause, as the actor tells it."""

        def told() -> str:
            try:
                status = self.ask("status")
            except RlpdRobotError:
                return ""
            return status if "FAULT" in status else ""

        status: str = self.actor.until(told, DEADLINE_S)
        assert cause in status, status
        return status

    def stopped_in_time(self) -> None:
        """The robot's own record: soon after the last command a stop, and nothing else since."""
        self.actor.until(self._after_the_last_command, DEADLINE_S)  # the actor tells of it before the robot has heard
        after = self._after_the_last_command()
        assert {line["what"] for line in after} == {"stop"}
        assert after[0]["period"] - self.record()[self._last_command()]["period"] <= WITHIN

    def _last_command(self) -> int:
        return max(i for i, line in enumerate(self.record()) if line["what"] == "write")

    def _after_the_last_command(self) -> list[dict[str, Any]]:
        record, last = self.record(), self._last_command()
        return [line for line in record[last + 1 :] if line["pid"] == record[last]["pid"]]

    def stays_stopped(self) -> None:
        """While the actor looks at the robot a few times more, nothing moves it."""
        moved = self.count("write"), self.count("reset")
        beats = self.beats() + 5
        self.actor.until(lambda: self.beats() >= beats, DEADLINE_S)
        assert (self.count("write"), self.count("reset")) == moved

    def beats(self) -> int:
        """Words that the actor has answered since this was first asked: it lives, and time passes."""
        self._answered = getattr(self, "_answered", 0) + bool(self.ask("status"))
        return self._answered

    def refuses_to_arm(self, why: str) -> None:
        with pytest.raises(PeerRefusedError, match=why):
            self.ask("arm")

    def arms(self) -> None:
        """Ask until the actor has looked at the robot once more and found the cause gone; then it moves again."""

        def armed() -> str:
            try:
                return self.ask("arm")
            except PeerRefusedError:
                return ""

        written, reset = self.count("write"), self.count("reset")
        assert "Armed again" in self.actor.until(armed, DEADLINE_S)
        # A machine that is too busy for 5 Hz makes faults of its own: whoever stands here arms again.
        self.actor.until(lambda: self.count("write") >= written + 4 or (armed() and False), DEADLINE_S)
        assert self.count("reset") > reset


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def start(*words: str) -> Bench:
        benches.append(Bench(tmp_path, *words))
        return benches[-1]

    yield start
    for one in benches:
        one.close()


@pytest.fixture
def moving(bench: Callable[..., Bench]) -> Bench:
    one = bench()
    one.moves()
    return one


SWITCHES = [
    ("e_stop", "e-stop pressed"),
    ("released", "dead-man released"),
    ("nan", "bad data: Robot state"),
]


def test_a_persons_hand_and_broken_sensors(moving: Bench) -> None:
    for name, cause in SWITCHES:
        (moving.folder / name).touch()
        moving.fault(cause)
        moving.stopped_in_time()
        moving.refuses_to_arm(cause)
        moving.stays_stopped()
        (moving.folder / name).unlink()
        moving.stays_stopped()  # the cause is gone, and nobody has armed
        moving.arms()
    (moving.folder / "frozen").touch()
    moving.fault("frozen sensor")
    moving.stopped_in_time()
    moving.stays_stopped()
    (moving.folder / "frozen").unlink()
    moving.arms()
    moving.actor.process.send_signal(signal.SIGTERM)
    assert moving.actor.ends() == 0, moving.actor.text


def test_an_actor_that_was_frozen_moves_nothing_when_it_goes_on(moving: Bench) -> None:
    os.kill(moving.actor.process.pid, signal.SIGSTOP)
    stops = moving.count("stop")
    moving.sim.until(lambda: moving.count("stop") > stops, DEADLINE_S)  # by itself: nobody could tell it to
    moving.stopped_in_time()
    os.kill(moving.actor.process.pid, signal.SIGCONT)
    moving.fault("")  # it went on after its robot had stopped: refused, stale, or an overrun, whichever it saw first
    moving.stopped_in_time()
    moving.stays_stopped()
    moving.arms()


def test_a_stand_in_that_was_frozen_or_died_moves_nothing_before_a_person_arms(moving: Bench) -> None:
    os.kill(moving.sim.process.pid, signal.SIGSTOP)
    moving.fault("stale state: No answer from the robot")
    os.kill(moving.sim.process.pid, signal.SIGCONT)
    moving.stays_stopped()
    moving.stopped_in_time()
    moving.arms()

    moving.sim.kill()
    moving.fault("stale state: No answer from the robot")
    moving.refuses_to_arm("robot")
    moving.start_sim_again()
    moving.arms()
    record = moving.record()
    second = [line["what"] for line in record if line["pid"] == record[-1]["pid"]]
    assert second.index("reset") < second.index("write")  # it followed nothing before the reset that arming allowed


def test_a_filter_that_never_rests_is_a_cause(bench: Callable[..., Bench]) -> None:
    one = bench("safety.max_speed=0.01", "watchdog.interventions=12")
    one.fault("filter interventions: the safety filter changed 12 commands in a row")
    one.stopped_in_time()
    one.stays_stopped()
    one.actor.process.send_signal(signal.SIGTERM)  # a person may also leave it at that
    assert one.actor.ends() == 0, one.actor.text
