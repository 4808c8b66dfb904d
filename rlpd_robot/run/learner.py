"""The learner process: receive → commit → acknowledge → budget → update → publish → checkpoint.

It never builds the robot or the task: shapes and ranges come from the demonstrations' store and the actor's handshake.
"""

import threading
import time
from contextlib import ExitStack

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.errors import PeerTimeoutError, StoreError, in_brief
from rlpd_robot.liveness import pulse
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.run.checkpoint import CHECKPOINTS, fingerprint_of
from rlpd_robot.run.checkpointer import Checkpointer
from rlpd_robot.run.compile_cache import use_compile_cache
from rlpd_robot.run.consumed import Rows
from rlpd_robot.run.course import Course
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.diagnostics.monitor import Monitor
from rlpd_robot.run.directory import make_directory, refuse_existing
from rlpd_robot.run.hosts import Hosts, join
from rlpd_robot.run.learner_follower import follow_learner, make_trainer
from rlpd_robot.run.learner_record import LearnerRecord
from rlpd_robot.run.live_store import LiveStore
from rlpd_robot.run.metrics import MetricsWriter, Severity, elapsed_s
from rlpd_robot.run.prior_data import open_demos, warnings_of
from rlpd_robot.run.realtime import go_last
from rlpd_robot.run.resume import Resumption, newest_version
from rlpd_robot.run.saying import say
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import Segment
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.policy_channel import PolicyPublisher

LIVE = "live.zarr"
"""In the run's directory: the episodes of the run; a demonstration store like any other."""

POLICY = "policy.npz"
"""In the run's directory: the newest policy; `actor` and `eval` start from it without JAX."""

_COMPILE_S = 600.0  # longest time that compiling, cloning or reading a store may take before it counts as hanging
_DISK_S = 60.0
_STEPS_PATIENCE = 5.0  # times the longest super-step until now: machines differ
_STEPS_BETWEEN_POLLS = 10  # super-steps before the sockets are looked at again
_CHECKPOINT_S = 60.0  # longest wait for one to be on the disk


def run_learner(settings: Settings, config_text: str, stop: threading.Event) -> int:
    """Learn until the run's transitions are in, then keep committing until told to stop."""
    settings.agent.check_robot()
    go_last(settings.learner.nice)
    use_compile_cache(settings.learner.compile_cache)
    pulse().beat("waiting for the other processes", settings.learner.mesh.wait_s + _DISK_S)
    hosts = join(settings.learner.mesh)
    if hosts is not None and hosts.index:
        follow_learner(settings, hosts)
        return 0
    learner = Learner(settings, config_text, stop, hosts)
    try:
        learner.run()
    finally:
        learner.close()
    return 0


class Learner:
    """Wiring of one learner; `run` is the loop, top to bottom.

    A run's directory that exists already is gone on with, without a question: see `Resumption`.

    Raises:
        RlpdRobotError: demonstrations or addresses cannot be used; nothing has been written.
    """

    def __init__(self, settings: Settings, config_text: str, stop: threading.Event, hosts: Hosts | None = None) -> None:
        self._settings, self._stop, self._directory, self._hosts = settings, stop, settings.run.directory, hosts
        self._pulse = pulse()
        self._layout = make_layout(settings.learner.mesh, settings.learner.unroll)
        self._pulse.beat("reading demonstrations", _COMPILE_S)
        self._config_text = config_text
        store = open_demos(settings)
        before = self._directory / LIVE
        if settings.resume == "never":
            refuse_existing(settings.run, before)
        self._before = DemoStore.open(before) if before.exists() else None
        self._problem = self._before.problem if self._before is not None else None
        self._demos = None
        if store is not None:
            if self._before is not None:
                self._before.check(store.problem)
            self._problem, self._demos = store.problem, store.transitions()
        with ExitStack() as stack:
            link = settings.link
            self._intake = LearnerIntake(
                link.data, settings.run.name, self._refusal, self._committed, settings.security, link.max_message_bytes
            )
            stack.callback(self._intake.close)
            self._publisher = PolicyPublisher(link.policy, settings.security)
            stack.callback(self._publisher.close)
            make_directory(settings.run)
            (self._directory / "config.yaml").write_text(config_text)
            elapsed_s(self._directory)  # events count from here, not from the first one
            self._metrics = MetricsWriter(self._directory)
            stack.callback(self._metrics.close)
            self._resources = stack.pop_all()
        self._record = LearnerRecord(settings, self._metrics)
        if store is not None:
            self._record.demo_return = store.summary().mean_normalized_return
            for line in warnings_of(store):
                print(line, flush=True)
                self._tell("warning", line.strip())
        self._checkpointer = Checkpointer(self._directory / CHECKPOINTS, settings.learner.checkpoints_kept)
        self._live: LiveStore | None = None
        self._course: Course | None = None
        self._granted: dict[str, int] = {}
        self._step_s = 0.0  # how long a super-step may take
        self._checkpointed_at = 0
        self._phase = "waiting"
        self._compile_s = 0.0
        self._compiled_before = 0
        self._begun = self._finished = False

    def run(self) -> None:
        """From the first demonstration to the last update, then on until `stop`."""
        link = self._settings.link
        say(f"learner of run '{self._settings.run.name}' listens at {link.data}, publishes at {link.policy}")
        problem = self._wait_for_problem()
        if problem is None:
            return
        course = self._open(problem)
        resumption = self._take_up(course)
        if not resumption.restored:
            course.trainer.start_from_demos(self._tell_progress)
        self._phase = "resuming"
        while not self._stop.is_set():
            self._turn(course, resumption)
        if self._begun and not self._finished:
            self._checkpoint(course)

    def _turn(self, course: Course, resumption: Resumption) -> None:
        """Receive, commit, acknowledge; then some of the updates that are owed; then tell."""
        self._pulse.beat("receiving", _DISK_S)
        for piece in self._intake.poll(0.0 if self._begun and course.trainer.budget.owed else 0.05):
            self._pulse.beat("receiving", _DISK_S)  # each: a journal may bring many episodes, and a busy disk be slow
            self._receive(piece)
        self._close_ended_boots()
        actors = self._intake.actors()
        if actors:
            course.lockstep = any(actor.lockstep for actor in actors.values())
        if self._begun:
            self._learn(course)
        elif resumption.is_over(actors, time.monotonic()):
            resumption.begin(actors)
            self._begun, self._phase = True, "learning"
            if not resumption.restored:  # a learner killed early need not clone again
                self._checkpoint(course)
        self._tell_events()
        self._row()

    def _learn(self, course: Course) -> None:
        course.rise_above(max(map(newest_version, self._intake.actors().values()), default=-1))
        course.admit()
        if course.lockstep and not course.complete:
            self._grant(course)
        for _ in range(min(course.trainer.budget.owed, _STEPS_BETWEEN_POLLS)):
            self._pulse.beat("updating", self._step_s)
            began_s = time.monotonic()
            course.step()
            self._step_s = max(self._step_s, _STEPS_PATIENCE * (time.monotonic() - began_s))
        course.send_off()
        course.complete = course.complete or self._has_enough(course)
        if course.complete and not course.lockstep:
            self._hold_actors(course)
        if self._finished:
            return
        if course.complete and (not course.trainer.budget.owed or (self._time_is_up() and not course.lockstep)):
            self._finish(course)
        else:
            self._checkpoint_when_due(course)

    def close(self) -> None:
        """Commit what is there, say how it went, and let go of the sockets."""
        self._pulse.beat("committing the rest", 2 * _CHECKPOINT_S)
        try:
            if self._live is not None:
                for piece in self._intake.poll(0.0):
                    self._receive(piece)
                self._live.close("run ended")
                self._acknowledge_all()
            if self._course is not None:
                self._row(force=True)
                self._write_status(self._course)
            if not self._checkpointer.wait(_CHECKPOINT_S):
                self._metrics.event("warning", "learner", f"the last checkpoint was not written in {_CHECKPOINT_S} s")
        finally:
            self._resources.close()

    def _wait_for_problem(self) -> ProblemSpec | None:
        """The task at hand, from the demonstrations or from the first actor that introduces itself."""
        deadline_s = time.monotonic() + self._settings.actor.policy_s
        while self._problem is None and not self._stop.is_set():
            self._pulse.beat("waiting for an actor")
            self._intake.pump(0.1)
            if time.monotonic() > deadline_s:
                raise PeerTimeoutError(
                    "an actor",
                    self._settings.link.data,
                    self._settings.actor.policy_s,
                    "Start one, or give the learner demonstrations with run.demos=PATH.",
                )
        return self._problem

    def _open(self, problem: ProblemSpec) -> Course:
        self._pulse.beat("setting up", _COMPILE_S)
        run = self._settings.run
        writer = self._resources.enter_context(StoreWriter(self._directory / LIVE, problem))
        self._live = LiveStore(writer, writer.next_sequences, self._on_episode)
        learner = self._settings.learner
        trainer = make_trainer(
            self._hosts, self._settings.agent, problem, self._demos, run.seed, self._layout, learner.ring
        )
        self._resources.callback(trainer.close)
        say(f"{trainer.ring_place}; learns on {self._layout.described}")
        if self._settings.learner.diagnose_share:
            self._record.monitor = Monitor(trainer.config, self._demos, self._settings.learner.diagnose_share)
        every = self._settings.learner.publish_every
        self._course = Course(trainer, every, run.env_steps, self._publisher.publish)
        return self._course

    def _warm_up(self, trainer: Trainer, from_demos: bool) -> None:
        self._phase = "compiling"
        self._pulse.beat("compiling", _COMPILE_S)
        self._row(force=True)
        self._compile_s = trainer.warm_up(from_demos)
        self._tell("info", f"compiled in {self._compile_s:.1f} s")
        self._compiled_before = trainer.compiles.count

    def _take_up(self, course: Course) -> Resumption:
        """What a learner before this one has left: its newest checkpoint, and the rows that it committed."""
        assert self._problem is not None
        resumption = Resumption(course, self._settings, self._tell, time.monotonic())
        fingerprint = fingerprint_of(self._problem, self._settings)
        resumption.restore(self._directory / CHECKPOINTS, fingerprint, self._config_text)
        course.complete = self._has_enough(course)
        course.concluded = course.concluded and course.complete
        self._warm_up(course.trainer, from_demos=not resumption.restored)
        self._checkpointed_at = course.trainer.budget.received
        resumption.refill(self._before, self._take_up_episode)
        return resumption

    def _take_up_episode(self, episode: Segment) -> None:
        assert self._live is not None
        assert self._problem is not None
        self._live.transitions += len(episode)
        self._record.remember(episode, self._problem.horizon)
        self._pulse.beat("reading what is on disk", _COMPILE_S)
        self._intake.pump(0.0)

    def _checkpoint(self, course: Course) -> None:
        """Begin to write one, after the one before."""
        assert self._problem is not None
        self._pulse.beat("writing a checkpoint", 2 * _CHECKPOINT_S)
        if not self._checkpointer.wait(_CHECKPOINT_S):
            raise StoreError(
                self._directory / CHECKPOINTS,
                f"a checkpoint was not written within {_CHECKPOINT_S:g} s",
                "Look after the disk, then start again with resume=auto.",
            )
        self._checkpointer.write(course.capture(fingerprint_of(self._problem, self._settings), self._config_text))
        self._checkpointed_at = course.trainer.budget.received

    def _checkpoint_when_due(self, course: Course) -> None:
        every = self._settings.learner.checkpoint_every
        busy = self._checkpointer.busy  # looked at each time: a disk that refuses must not go unseen
        if every and course.trainer.budget.received - self._checkpointed_at >= every and not busy:
            self._checkpoint(course)

    def _refusal(self, problem: ProblemSpec) -> str | None:
        """None to welcome an actor of this problem, otherwise a sentence."""
        if self._problem is None:
            self._problem = problem
        if problem.fingerprint == self._problem.fingerprint:
            return None
        text = in_brief(self._problem.differences(problem))
        source = f"the demonstrations in {self._settings.run.demos}" if self._demos is not None else "this run"
        return f"the actor's robot and task differ from those of {source}: {text}. Give both the same robot and task."

    def _committed(self, boot: str) -> int:
        return self._live.committed(boot) if self._live else 0

    def _receive(self, piece: Segment | EpisodeEnd) -> None:
        assert self._live is not None
        assert self._course is not None
        before = self._live.committed(piece.boot)
        if isinstance(piece, EpisodeEnd):
            self._live.end(piece)
        else:
            self._course.receive(Rows.of(piece))
            self._live.take(piece)
        after = self._live.committed(piece.boot)
        if after > before:
            self._intake.acknowledge(piece.boot, after)

    def _acknowledge_all(self) -> None:
        assert self._live is not None
        for boot in self._intake.actors():
            self._intake.acknowledge(boot, self._live.committed(boot))

    def _close_ended_boots(self) -> None:
        """The last episode is over of a dead actor whose journal has been delivered."""
        assert self._live is not None
        for boot in self._intake.ended():
            self._live.close_boot(boot)
            self._intake.acknowledge(boot, self._live.committed(boot))

    def _tell(self, severity: Severity, text: str) -> None:
        self._metrics.event(severity, "learner", text)

    def _tell_events(self) -> None:
        for boot, event in self._intake.events():
            self._metrics.event(_severity(event.severity), f"actor {boot[:8]}", event.text)

    def _on_episode(self, episode: Segment) -> None:
        assert self._problem is not None
        self._record.episode(episode, self._problem.horizon, self._live.transitions if self._live else 0)

    def _grant(self, course: Course) -> None:
        """Let actors in lock-step fill the next block, with the newest policy."""
        for boot, actor in self._intake.actors().items():
            until = course.leave(actor.next_sequence)
            if actor.lockstep and until > self._granted.get(boot, -1):
                self._granted[boot] = until
                self._intake.grant(boot, until, course.version)

    def _hold_actors(self, course: Course) -> None:
        """By the wall clock: nothing more is learned from, so no actor need begin another episode."""
        for boot, actor in self._intake.actors().items():
            if boot not in self._granted:
                self._granted[boot] = actor.next_sequence
                self._intake.grant(boot, actor.next_sequence, course.version)

    def _has_enough(self, course: Course) -> bool:
        return self._time_is_up() or course.trainer.budget.received >= self._settings.run.env_steps

    def _time_is_up(self) -> bool:
        minutes = self._settings.run.max_minutes
        return bool(minutes and self._record.wall_s > 60 * minutes)

    def _finish(self, course: Course) -> None:
        self._phase, self._finished = "finished", True
        if course.trainer.budget.owed:
            minutes = self._settings.run.max_minutes
            self._tell(
                "warning",
                f"run.max_minutes={minutes:g} are over: {course.trainer.budget.owed} steps were acted "
                "and committed, and not trained on; a longer run.max_minutes goes on with them",
            )
        if not course.concluded:
            course.publish()
            course.concluded = True
            self._checkpoint(course)
        self._checkpointer.wait(_CHECKPOINT_S)
        save_snapshot(self._directory / POLICY, course.trainer.snapshot(course.version, final=True))
        self._row(force=True)
        self._write_status(course)
        self._tell("info", f"finished after {course.trainer.budget.received} transitions")

    def _write_status(self, course: Course) -> None:
        trainer = course.trainer
        self._record.status(
            trainer,
            finished=self._finished,
            published=course.version,
            compile_s=self._compile_s,
            compiles=1 + trainer.compiles.count - self._compiled_before,
            delivery=self._intake.stats(),
            consumed=course.book.next_sequences,
            consumed_rows=course.book.rows,
            ring_digest=trainer.ring_digest(),
            checkpoints=self._checkpointer.written,
        )

    def _tell_progress(self, share: float) -> bool:
        self._phase = "cloning" if self._settings.agent.clone_updates else "pre-training"
        self._pulse.beat(self._phase, _COMPILE_S)
        self._intake.pump(0.0)
        self._row()
        return not self._stop.is_set()

    def _row(self, force: bool = False) -> None:
        if self._course is not None:
            intake, course = self._intake, self._course
            self._record.row(self._phase, course.trainer, course.version, intake.stats(), intake.actors(), force)


def _severity(text: str) -> Severity:
    return "error" if text == "error" else "warning" if text == "warning" else "info"
