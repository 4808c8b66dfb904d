"""The actor process: a robot, a task, the newest policy; what happens is journalled and sent. Never imports JAX."""

import contextlib
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from rlpd_robot.errors import ArmRefusedError, DataError, FaultError, PeerRefusedError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.liveness import pulse
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.recorded import RecordedDriver
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.aside import Aside
from rlpd_robot.run.directory import make_directory, remove_unused_journal
from rlpd_robot.run.episode_count import EpisodeCount
from rlpd_robot.run.journal_watch import JournalWatch
from rlpd_robot.run.policy_archive import PolicyArchive
from rlpd_robot.run.policy_source import PolicySource
from rlpd_robot.run.realtime import check_core, come_first
from rlpd_robot.run.reset_seed import reset_seed
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.stopping import SUPERVISOR
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.timing import SystemClock
from rlpd_robot.types import Segment, Transition
from rlpd_robot.wire.control import ControlServer
from rlpd_robot.wire.journal import Journal
from rlpd_robot.wire.messages import Grant
from rlpd_robot.wire.policy_channel import PolicySubscriber
from rlpd_robot.wire.uplink import ActorUplink

STATUS = "actor.json"
"""In the run's directory: the actor's counters when it ended."""

LATENESS = "lateness.json"
"""Beside it: [upper end in seconds, how many] of how late its ticks began, see `timing.Histogram.counts`."""

_STARTED_AGAIN = "started again without a person's look"
_RESET_S = 65.0  # of a real robot, its own limit in the control loop included
_SLACK_S = 5.0
_HOLD_S = 0.1  # in FAULT, between two looks at the robot
_SWITCH_S = 2e-4  # another thread of this process gives the interpreter back to the loop this fast
_TURN_S = 0.2  # how often a wait looks whether it should end


def run_actor(settings: Settings, driver: Driver, task: Task, stop: threading.Event) -> int:
    """Act until told to stop; whatever was executed is journalled, and sent to whichever learner is there."""
    check_core(settings.actor.cpu)
    if settings.actor.record is not None:
        driver = RecordedDriver(driver, Path(settings.actor.record))
    try:
        pulse().beat("connecting", settings.actor.connect_s + _SLACK_S)
        spec = driver.connect(settings.actor.connect_s)
        if not driver.lockstep:
            sys.setswitchinterval(_SWITCH_S)
            for sentence in come_first(settings.actor.cpu, settings.actor.realtime_priority):
                print(sentence, flush=True)  # nothing moves yet
        problem = problem_of(task, spec)
        limits = SafetyLimits.of_robot(settings.safety, spec, settings.robot.stand_in is not None or driver.lockstep)
        directory = make_directory(settings.run, "actor")
        actor = Actor(settings, driver, task, problem, limits, directory, stop)
        try:
            actor.run()
        finally:
            actor.close()
    finally:
        driver.close()
    return 0


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
        self._aside = Aside()
        link, boot = settings.link, uuid.uuid4().hex
        self._journal = Journal(directory / "journal", settings.actor.journal_mb)
        self._uplink = ActorUplink(
            link.data, boot, problem, driver.lockstep, self._journal, 0, settings.security, link.max_message_bytes
        )
        self._subscriber = PolicySubscriber(link.policy, not driver.lockstep, settings.security, link.max_message_bytes)
        self._archive = PolicyArchive(directory.parent)
        self._source = PolicySource(self._subscriber, problem, settings.run.seed, self._archive, self._warn)
        self._count = EpisodeCount(directory / "episodes")
        self._watch = JournalWatch(self._journal, self._announce)
        self._grant: Grant | None = None
        self._enough = False
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
            deadline=settings.actor.late,
        )
        self._pulse = pulse()
        # A busy machine that misses two periods is a fault. A simulator that a supervisor runs has nobody near it who
        # could arm, and nobody to hurt. A real robot waits for a person; lock-step knows no such fault.
        simulated = settings.robot.stand_in is not None and SUPERVISOR in os.environ
        self._unattended = simulated and not driver.lockstep and settings.actor.unattended
        self._learner_error: RlpdRobotError | None = None
        self._control = ControlServer(link.control, self._obey, settings.security)

    def run(self) -> None:
        """Episode after episode until `stop`; after a fault, none before a person has armed again.

        Raises:
            PeerTimeoutError, PeerRefusedError: the learner, not the robot, was not there or would not have us.
        """
        self._choose_policy()
        if not self._stop.is_set():
            self._loop.warm_up()
        if not self._settings.actor.armed_at_start:
            self._loop.watchdog.fault(_STARTED_AGAIN, time.monotonic())
            self._warn(f"{_STARTED_AGAIN}: see to the robot, then `rlpd-robot arm`")
        while not self._stop.is_set():
            if self._loop.fault is None and self._watch.has_room() and not self._learner_has_enough():
                self._run_episode()
            else:
                self._hold()
        if self._learner_error is not None:
            raise self._learner_error

    def close(self) -> None:
        """Hand over the rest, as far as a learner is there to take it, and say how it went."""
        try:
            self._pulse.beat("handing over", 2 * self._settings.link.timeout_s)
            self._control.close()
            self._uplink.end_episode(self._count.begun - 1, "truncated", "actor ended")  # one that a bug has cut short
            self._uplink.set_heartbeat(self.stats())
            if self._uplink.connected:
                self._uplink.flush(self._settings.link.timeout_s)
            if self._loop.next_sequence:
                (self._directory.parent / STATUS).write_text(json.dumps(self.stats(), indent=1))
                (self._directory.parent / LATENESS).write_text(json.dumps(self._loop.lateness.counts()))
        finally:
            self._subscriber.close()
            self._archive.close()
            self._uplink.close()
            self._journal.close()
            self._aside.close()
            if not self._loop.next_sequence:  # turned away, for instance
                remove_unused_journal(self._journal.directory, self._settings.run.directory)

    def on_transition(self, transition: Transition) -> None:
        """Journal it, at once.

        Raises:
            StoreError: the disk refuses; the transition is kept in memory, and the episode must end.
        """
        self._pulse.beat("acting")
        self._uplink.offer(Segment.from_transitions([transition]))
        self._watch.look()
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
            "episodes": float(self._count.begun),
            "lockstep": float(self._driver.lockstep),
            "nominal_period_ms": 1e3 * self._problem.robot.period_s,
            **self._source.stats(),
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
            case "pin":
                return self._source.pin(_version(arguments.get("version", "")))
            case "unpin":
                return self._source.unpin()
        raise DataError("Word to the actor", f"there is no {word[:40]!r}", "arm, pin, status or unpin")

    def _status(self) -> str:
        policy, fault = self._source.acting, self._loop.fault
        acting = f"policy {policy.version} acts" if policy is not None else "no policy yet"
        acting += ", pinned" if self._source.pinned else ""
        waiting = int(self._uplink.stats()["uncommitted"])
        return (
            f"{'FAULT: ' + fault if fault else 'no fault'}; {self._count.begun} episodes, "
            f"{self._loop.next_sequence} transitions, {waiting} not acknowledged; {acting}"
        )

    def _learner_has_enough(self) -> bool:
        """By the wall clock: nothing more is learned from, so nothing more need move."""
        grant = None if self._driver.lockstep else self._uplink.granted
        enough = grant is not None and grant.until_sequence <= self._loop.next_sequence
        if enough and not self._enough:
            self._announce("the learner has all the steps it was asked for: the robot is held still", "info")
        self._enough = enough
        return enough

    def _run_episode(self) -> None:
        every = self._settings.actor.greedy_every
        try:
            episode = self._count.begin()
        except OSError as error:
            self._watch.refused(f"the disk refuses ({error}); make room on it")
            return self._hold()
        self._source.begin_episode(episode)
        explore = not (every and episode % every == every - 1)
        seed = reset_seed(self._settings.run.seed, episode)
        self._pulse.beat("resetting", _RESET_S)
        try:
            self._aside.say(_line(self._loop.run_episode(episode, seed, explore)))
        except FaultError as error:
            self._announce(str(error), "error")
            self._beat(now=True)

    def _hold(self) -> None:
        """Between episodes: keep the robot stopped, and look at it."""
        self._pulse.beat("holding the robot stopped", _SLACK_S)
        self._loop.hold()
        if self._unattended and self._loop.fault is not None:
            with contextlib.suppress(ArmRefusedError):  # the cause persists: at the next look, perhaps
                self._uplink.tell(f"The stand-in of a supervised run. {self._loop.arm()}", "info")
        self._beat()
        self._stop.wait(_HOLD_S)

    def _beat(self, now: bool = False) -> None:
        """Give the heartbeat new figures, twice a second."""
        if now or time.monotonic() > self._next_heartbeat_s:
            self._next_heartbeat_s = time.monotonic() + 0.5
            self._uplink.set_heartbeat(self.stats())
            self._control.check()

    def _warn(self, text: str) -> None:
        self._announce(text, "warning")

    def _announce(self, text: str, severity: str) -> None:
        self._aside.say(text)
        self._uplink.tell(text, severity)

    def _choose_policy(self) -> None:
        """What acts at first: the pinned one; the newest on disk, by the wall clock; else the learner's first."""
        link, version = self._settings.link, self._settings.pinned_version
        if version is not None:
            self._source.pin(version)
        elif not self._driver.lockstep:
            self._source.begin_from_archive()
        policy, robot = self._source.acting, f"connected to robot '{self._problem.robot.name}'; "
        if policy is not None:
            self._aside.say(f"{robot}policy {policy.version} from the disk of this machine acts")
            return
        self._aside.say(f"{robot}waiting for a policy from the learner at {link.policy}")
        self._wait(lambda: self._source.has(0), lambda: self._source.wait(0, _TURN_S))

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
                lambda: self._source.has(grant.policy_version),
                lambda: self._source.wait(grant.policy_version, _TURN_S),
            )

    def _wait(self, done: Callable[[], bool], turn: Callable[[], None]) -> None:
        """Take turns until done, told to stop, refused, or out of patience."""
        deadline = time.monotonic() + self._settings.actor.policy_s
        while not done() and not self._stop.is_set():
            self._pulse.beat("waiting for the learner")
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


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise DataError("Word to the actor", f"the version to pin is {text[:40]!r}", "a whole number")
    return int(text)


def _line(summary: EpisodeSummary) -> str:
    """An episode for the terminal or the log."""
    word = "solved" if summary.success else "not solved"
    return (
        f"episode {summary.episode}: {word}, normalised return {100 * summary.solved_fraction:.1f}, "
        f"{summary.steps} steps, policy {summary.policy_version}, ended by {summary.cause}"
    )
