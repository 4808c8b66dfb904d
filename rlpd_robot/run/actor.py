"""The actor process: a robot, a task, the newest policy; what happens is journalled and sent. Never imports JAX."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from rlpd_robot.errors import DataError, FaultError, PeerRefusedError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.policy.base import Policy, RandomPolicy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.directory import make_directory, remove_unused_journal
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import Histogram, SystemClock
from rlpd_robot.types import PolicySnapshot, Segment, Transition
from rlpd_robot.wire.control import ControlServer
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import Grant
from rlpd_robot.wire.policy_channel import PolicySubscriber
from rlpd_robot.wire.uplink import ActorUplink

STATUS = "actor.json"
"""In the run's directory: the actor's counters when it ended."""

_HOLD_S = 0.1  # in FAULT, between two looks at the robot
_TURN_S = 0.2  # how often a wait looks whether it should end


def run_actor(settings: Settings, driver: Driver, task: Task, stop: threading.Event) -> int:
    """Act until told to stop; whatever was executed is journalled, and sent to whichever learner is there."""
    try:
        spec = driver.connect(settings.actor.connect_s)
        problem = problem_of(task, spec)
        limits = SafetyLimits.from_settings(settings.safety, spec)
        directory = make_directory(settings.run, "actor")
        actor = Actor(settings, driver, task, problem, limits, directory, stop)
        try:
            actor.run()
        finally:
            actor.close()
    finally:
        driver.close()
    return 0


class PolicySource:
    """The newest policy that passed its checks; counts those that did not.

    Args:
        subscriber: where snapshots come from.
        problem: what they must fit.
        seed: of the exploration noise.
    """

    def __init__(self, subscriber: PolicySubscriber, problem: ProblemSpec, seed: int) -> None:
        self.policy: Policy | None = None
        self.received = self.refused = 0
        self.age = Histogram()
        self._subscriber, self._problem = subscriber, problem
        self._rng = np.random.default_rng([seed, 0xAC])
        self._since = time.monotonic()

    def seconds_old(self) -> float:
        """How long ago the policy came [s]."""
        return time.monotonic() - self._since

    def take(self, snapshot: PolicySnapshot | None) -> None:
        """Act with this snapshot from the next tick on, unless something is wrong with it."""
        if snapshot is None:
            return
        try:
            if snapshot.arrays:
                check_snapshot(snapshot, self._problem)
                self.policy = NumpyActor(snapshot, self._rng)
            elif snapshot.fingerprint != self._problem.fingerprint:
                raise DataError("Policy", "it asks for random actions of another robot or task", "one of this problem")
            else:  # the learner asks for uniform random actions
                self.policy = RandomPolicy(self._problem.action_size, self._rng)
                self.policy.version = snapshot.version
        except RlpdRobotError:
            self.refused += 1  # the last good one goes on acting
            return
        self.received += 1
        self._since = time.monotonic()

    def newest(self) -> Policy:
        """For each tick: never waits."""
        self.take(self._subscriber.poll())
        return self.current()

    def current(self) -> Policy:
        """As `newest`, without looking for a newer one: in lock-step the learner says when."""
        assert self.policy is not None
        self.age.add(time.monotonic() - self._since)
        return self.policy

    def wait(self, version: int, timeout_s: float) -> None:
        """Lock-step: take exactly this version, if it comes in time."""
        if self.policy is None or self.policy.version < version:
            self.take(self._subscriber.wait(version, timeout_s))


class Actor:
    """Wiring of one actor."""

    def __init__(
        self,
        settings: Settings,
        driver: Driver,
        task: Task,
        problem: ProblemSpec,
        limits: SafetyLimits,
        directory: Path,
        stop: threading.Event,
    ) -> None:
        self._settings, self._driver, self._problem = settings, driver, problem
        self._directory, self._stop = directory, stop
        link, boot = settings.link, uuid.uuid4().hex
        self._journal = Journal(directory / "journal", settings.actor.journal_mb)
        self._uplink = ActorUplink(
            link.data, boot, problem, driver.lockstep, self._journal, 0, settings.security, link.max_message_bytes
        )
        self._subscriber = PolicySubscriber(link.policy, not driver.lockstep, settings.security, link.max_message_bytes)
        self._source = PolicySource(self._subscriber, problem, settings.run.seed)
        self._grant: Grant | None = None
        self._episodes = 0
        self._next_heartbeat_s = 0.0
        self._loop = ControlLoop(
            driver,
            task,
            problem,
            limits,
            self._source.current if driver.lockstep else self._source.newest,
            boot,
            SystemClock(),
            subscribers=(self,),
            before_step=self._leave_or_end if driver.lockstep else None,
            stop_requested=stop,
            watchdog=settings.watchdog,
            policy_age=self._source.seconds_old,
        )
        self._learner_error: RlpdRobotError | None = None
        self._control = ControlServer(link.control, self._obey, settings.security)

    def run(self) -> None:
        """Episode after episode until `stop`; after a fault, none before a person has armed again.

        Raises:
            PeerTimeoutError, PeerRefusedError: the learner, not the robot, was not there or would not have us.
        """
        link, robot = self._settings.link, self._problem.robot.name
        print(f"connected to robot '{robot}'; waiting for a policy from the learner at {link.policy}", flush=True)
        self._wait_for_policy()
        if not self._stop.is_set():
            self._loop.warm_up()
        while not self._stop.is_set():
            if self._loop.fault is None:
                self._run_episode()
            else:
                self._loop.hold()
                self._beat()
                self._stop.wait(_HOLD_S)
        if self._learner_error is not None:
            raise self._learner_error

    def close(self) -> None:
        """Hand over the rest, as far as a learner is there to take it, and say how it went."""
        try:
            self._control.close()
            self._uplink.end_episode(self._episodes, "truncated", "actor ended")  # one that a bug has cut short
            self._uplink.set_heartbeat(self.stats())
            if self._uplink.connected:
                self._uplink.flush(self._settings.link.timeout_s)
            if self._loop.next_sequence:
                (self._directory.parent / STATUS).write_text(json.dumps(self.stats(), indent=1))
        finally:
            self._subscriber.close()
            self._uplink.close()
            self._journal.close()
            if not self._loop.next_sequence:  # turned away, for instance
                remove_unused_journal(self._journal.directory, self._settings.run.directory)

    def on_transition(self, transition: Transition) -> None:
        """Journal it, at once."""
        self._uplink.offer(Segment.from_transitions([transition]))
        self._beat()

    def on_episode(self, summary: EpisodeSummary) -> None:
        """Journal how the episode ended, where its last transition could not know it."""
        self._uplink.end_episode(summary.episode, summary.ending, summary.cause)

    def arm(self) -> str:
        """Clear a latched fault, on a person's word; what there was to clear. From any thread.

        Raises:
            ArmRefusedError: the cause is still there.
        """
        return self._loop.arm()

    def stats(self) -> dict[str, float]:
        """Everything countable, by name."""
        return {
            "steps": float(self._loop.next_sequence),
            "episodes": float(self._episodes),
            "lockstep": float(self._driver.lockstep),
            "nominal_period_ms": 1e3 * self._problem.robot.period_s,
            "policies_received": float(self._source.received),
            "policies_refused": float(self._source.refused),
            "policy_version": float(self._source.policy.version if self._source.policy else -1),
            **self._source.age.summary("policy_age_s"),
            **self._loop.stats(),
            **self._uplink.stats(),
        }

    def _obey(self, word: str, arguments: Mapping[str, str]) -> str:
        """A word that came over the control link, in that link's thread."""
        match word:
            case "arm":
                return self.arm()
            case "status":
                return self._status()
        raise DataError("Word to the actor", f"there is no {word[:40]!r}", "arm or status")

    def _status(self) -> str:
        policy, fault = self._source.policy, self._loop.fault
        acting = f"policy {policy.version} acts" if policy is not None else "no policy yet"
        waiting = int(self._uplink.stats()["uncommitted"])
        return (
            f"{'FAULT: ' + fault if fault else 'no fault'}; episode {self._episodes}, "
            f"{self._loop.next_sequence} transitions, {waiting} not acknowledged; {acting}"
        )

    def _run_episode(self) -> None:
        every = self._settings.actor.greedy_every
        explore = not (every and self._episodes % every == every - 1)
        seed = _reset_seed(self._settings.run.seed, self._episodes)
        try:
            print(_line(self._loop.run_episode(self._episodes, seed, explore)), flush=True)
        except FaultError as error:
            print(f"{error}", flush=True)
            self._uplink.tell(str(error), "error")
            self._beat(now=True)
        self._episodes += 1

    def _beat(self, now: bool = False) -> None:
        """Give the heartbeat new figures, twice a second."""
        if now or time.monotonic() > self._next_heartbeat_s:
            self._next_heartbeat_s = time.monotonic() + 0.5
            self._uplink.set_heartbeat(self.stats())
            self._control.check()

    def _wait_for_policy(self) -> None:
        self._wait(
            lambda: self._source.policy is not None, lambda: self._source.take(self._subscriber.wait(0, _TURN_S))
        )

    def _leave_or_end(self, sequence: int) -> None:
        """A learner that does not come, or refuses, is no fault of the robot: the episode and this process end."""
        try:
            self._wait_for_leave(sequence)
        except RlpdRobotError as error:
            self._learner_error = error
            self._stop.set()

    def _wait_for_leave(self, sequence: int) -> None:
        """Lock-step: act only as far as the learner allows, with the policy that it names."""
        if self._grant is None or sequence >= self._grant.until_sequence:

            def ask() -> None:
                self._grant = self._uplink.wait_grant(sequence + 1, _TURN_S) or self._grant

            self._wait(lambda: self._grant is not None and sequence < self._grant.until_sequence, ask)
        grant = self._grant
        if grant is not None and not self._stop.is_set():
            self._wait(
                lambda: self._has(grant.policy_version), lambda: self._source.wait(grant.policy_version, _TURN_S)
            )

    def _has(self, version: int) -> bool:
        return self._source.policy is not None and self._source.policy.version >= version

    def _wait(self, done: Callable[[], bool], turn: Callable[[], None]) -> None:
        """Take turns until done, told to stop, refused, or out of patience."""
        deadline = time.monotonic() + self._settings.actor.policy_s
        while not done() and not self._stop.is_set():
            turn()
            if self._uplink.refusal:
                raise PeerRefusedError(f"The learner at {self._settings.link.data}", self._uplink.refusal)
            if time.monotonic() > deadline:
                raise PeerTimeoutError(
                    "the learner",
                    self._settings.link.policy,
                    self._settings.actor.policy_s,
                    "Start `rlpd-robot learner` with the same link settings.",
                )


def _reset_seed(seed: int, episode: int) -> int:
    """A seed for each simulated reset, the same in each run of the same seed."""
    return int(np.random.default_rng([seed, episode]).integers(1 << 31))


def _line(summary: EpisodeSummary) -> str:
    """An episode for the terminal or the log."""
    word = "solved" if summary.success else "not solved"
    return (
        f"episode {summary.episode}: {word}, normalised return {100 * summary.solved_fraction:.1f}, "
        f"{summary.steps} steps, policy {summary.policy_version}, ended by {summary.cause}"
    )
