"""By the wall clock: what happens once the learner has all that it was asked for, and is behind with its updates."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rlpd_robot.robot.fake import FakeDriver, FakeTask
from rlpd_robot.run.actor import run_actor
from rlpd_robot.run.bench.made_up import made_up
from rlpd_robot.run.learner_record import LearnerRecord
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.types import Segment
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.policy_channel import PolicyPublisher
from rlpd_robot.wire.uplink import ActorUplink
from tests.integration.running import events, make_demos
from tests.run.learning import learn, point_run, status
from tests.run.point import HORIZON, PROBLEM, policy
from tests.wire.waiting import wait_until

STEPS = 30
DEADLINE_S = 100.0


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(Trainer, "warm_up", lambda self, from_demos: 0.0)  # nothing is trained here
    demos = make_demos(tmp_path / "demos.zarr", episodes=2)
    wanted = point_run(tmp_path, demos, clone_updates=0)
    return replace(wanted, run=replace(wanted.run, env_steps=STEPS), actor=replace(wanted.actor, realtime_priority=0))


@contextlib.contextmanager
def acted(wanted: Settings, tmp_path: Path) -> Iterator[ActorUplink]:
    """The link of an actor by the wall clock that has acted so many steps, of an episode that goes on."""
    with (
        contextlib.closing(Journal(tmp_path / "journal", 10)) as journal,
        contextlib.closing(ActorUplink(wanted.link.data, "boot", PROBLEM, False, journal)) as uplink,
    ):
        uplink.offer(Segment.from_transitions(list(made_up(PROBLEM, "boot", STEPS))))
        yield uplink


@contextlib.contextmanager
def learning(wanted: Settings) -> Iterator[None]:
    """A learner that must finish by the end of the context."""
    thread = threading.Thread(target=learn, args=(wanted,), daemon=True)
    thread.start()
    yield
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_actors_are_told_and_the_learner_catches_up(
    wanted: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    monkeypatch.setattr(Trainer, "step", lambda self: self.budget.spend() if told.is_set() else None)
    with learning(wanted), acted(wanted, tmp_path) as uplink:
        grant = uplink.wait_grant(0, DEADLINE_S)
        told.set()
    assert grant is not None
    assert grant.until_sequence == STEPS
    said = status(wanted)
    assert (said["finished"], said["critic_updates"]) == (True, wanted.agent.utd * STEPS)


def test_a_run_whose_time_is_up_ends_without_the_updates_that_are_owed(
    wanted: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came = threading.Event()
    monkeypatch.setattr(Trainer, "step", lambda self: came.set())
    monkeypatch.setattr(LearnerRecord, "wall_s", property(lambda self: 61.0 if came.is_set() else 0.0))
    longer = replace(wanted, run=replace(wanted.run, env_steps=10_000, max_minutes=1.0))
    with acted(longer, tmp_path):
        learn(longer)
    said = status(longer)
    assert (said["finished"], said["critic_updates"]) == (True, 0)
    told = [text for text in events(longer.run.directory) if text.startswith("run.max_minutes=1 are over: ")]
    assert told == [
        f"run.max_minutes=1 are over: {STEPS} steps were acted and committed, and not trained on; "
        "a longer run.max_minutes goes on with them"
    ]


def test_an_actor_that_is_told_begins_no_episode(wanted: Settings) -> None:
    stop, driver = threading.Event(), FakeDriver(lockstep=False)
    simulated = replace(wanted, robot=replace(wanted.robot, stand_in={}))
    with (
        contextlib.closing(LearnerIntake(wanted.link.data, "point", lambda found: None, lambda boot: 0)) as learner,
        contextlib.closing(PolicyPublisher(wanted.link.policy)) as publisher,
    ):
        actor = threading.Thread(target=run_actor, args=(simulated, driver, FakeTask(HORIZON), stop), daemon=True)
        actor.start()
        try:
            wait_until(lambda: learner.poll(0.01) or learner.actors())
            (boot,) = learner.actors()
            learner.grant(boot, 0, 1)
            publisher.publish(policy(version=1))
            wait_until(lambda: learner.poll(0.01) or driver.stops >= 2)
            told = [event.text for _, event in learner.events()]
        finally:
            stop.set()
            actor.join(60)
    assert not actor.is_alive()
    assert driver.resets == []
    assert "the learner has all the steps it was asked for: the robot is held still" in told
