"""The learner process: receive → commit → acknowledge → budget → update → publish → checkpoint.

It never builds the robot or the task: shapes and ranges come from the demonstrations' store and the actor's handshake.
"""

import threading
from contextlib import ExitStack
from dataclasses import asdict

import numpy as np

from rlpd_robot.data.demo_store import DemoStore, StoreWriter
from rlpd_robot.errors import PeerTimeoutError
from rlpd_robot.policy.snapshot_file import save_snapshot
from rlpd_robot.run.checkpoint import Checkpoint, load_newest, save_checkpoint
from rlpd_robot.run.directory import make_directory, refuse_existing
from rlpd_robot.run.learner_record import LearnerRecord
from rlpd_robot.run.live_store import LiveStore
from rlpd_robot.run.metrics import MetricsWriter, Severity, elapsed_s
from rlpd_robot.run.pacing import Pacing
from rlpd_robot.run.prior_data import open_demos
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.spec import ProblemSpec, fingerprint
from rlpd_robot.types import Batch, Segment, to_batch
from rlpd_robot.wire.intake import LearnerIntake
from rlpd_robot.wire.messages import EpisodeEnd
from rlpd_robot.wire.policy_channel import PolicyPublisher

CHECKPOINTS = "checkpoints"
"""In the run's directory: what a restarted learner goes on from."""

LIVE = "live.zarr"
"""In the run's directory: the episodes of the run; a demonstration store like any other."""

POLICY = "policy.npz"
"""In the run's directory: the newest policy; `actor` and `eval` start from it without JAX."""

_STEPS_BETWEEN_POLLS = 10  # super-steps before the sockets are looked at again


def run_learner(settings: Settings, config_text: str, stop: threading.Event) -> int:
    """Learn until the run's transitions are in, then keep committing until told to stop."""
    learner = Learner(settings, config_text, stop)
    try:
        learner.run()
    finally:
        learner.close()
    return 0


class Learner:
    """Wiring of one learner; `run` is the loop, top to bottom.

    A run's directory that exists already is gone on with: what its live store holds is learned from again.

    Raises:
        RlpdRobotError: demonstrations or addresses cannot be used; nothing has been written.
    """

    def __init__(self, settings: Settings, config_text: str, stop: threading.Event) -> None:
        self._settings, self._stop, self._directory = settings, stop, settings.run.directory
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
        self._live: LiveStore | None = None
        self._trainer: Trainer | None = None
        self._version = 0
        self._pacing = Pacing(settings.learner.publish_every, settings.run.env_steps)
        self._granted: dict[str, int] = {}
        self._trained_at_publication = 0
        self._checkpointed_at = 0
        self._restored = False
        self._phase = "waiting"
        self._compile_s = 0.0
        self._compiled_before = 0
        self._is_complete = self._finished = False

    def run(self) -> None:
        """From the first demonstration to the last update, then on until `stop`."""
        link = self._settings.link
        print(
            f"learner of run '{self._settings.run.name}' listens at {link.data}, publishes at {link.policy}", flush=True
        )
        problem = self._wait_for_problem()
        if problem is None:
            return
        self._open(problem)
        trainer = self._trainer
        assert trainer is not None
        if not self._restored:
            trainer.start_from_demos(self._tell_progress)
        if self._stop.is_set():  # half a start is nothing to go on from
            return
        self._phase = "learning"
        self._publish()
        while not self._stop.is_set():
            self._turn(trainer)
        if not self._finished:
            self._checkpoint()

    def _turn(self, trainer: Trainer) -> None:
        """Receive, commit, acknowledge; then some of the updates that are owed; then tell."""
        for piece in self._intake.poll(0.0 if trainer.budget.owed else 0.05):
            self._receive(piece)
        self._close_ended_boots()
        if not self._is_complete:
            self._admit()
        for _ in range(min(trainer.budget.owed, _STEPS_BETWEEN_POLLS)):
            trainer.step()
            self._publish_when_due()
        self._is_complete = self._is_complete or self._has_enough()
        if self._is_complete and not self._finished and not trainer.budget.owed:
            self._finish()
        elif not self._finished:
            self._checkpoint_when_due()
        self._tell_events()
        self._row()

    def close(self) -> None:
        """Commit what is there, say how it went, and let go of the sockets."""
        try:
            if self._live is not None:
                for piece in self._intake.poll(0.0):
                    self._receive(piece)
                self._live.close("run ended")
                self._acknowledge_all()
            if self._trainer is not None:
                self._row(force=True)
                self._write_status()
        finally:
            self._resources.close()

    def _wait_for_problem(self) -> ProblemSpec | None:
        """The task at hand, from the demonstrations or from the first actor that introduces itself."""
        while self._problem is None and not self._stop.is_set():
            self._intake.pump(0.1)
            if self._record.wall_s > self._settings.actor.policy_s:
                raise PeerTimeoutError(
                    "an actor",
                    self._settings.link.data,
                    self._settings.actor.policy_s,
                    "Start one, or give the learner demonstrations with run.demos=PATH.",
                )
        return self._problem

    def _open(self, problem: ProblemSpec) -> None:
        seed = self._settings.run.seed
        writer = self._resources.enter_context(StoreWriter(self._directory / LIVE, problem))
        self._live = LiveStore(writer, writer.next_sequences, self._on_episode)
        trainer = self._trainer = Trainer(self._settings.agent, problem, self._demos, seed)
        self._phase = "compiling"
        self._row(force=True)
        self._compile_s = trainer.warm_up()
        self._metrics.event("info", "learner", f"compiled in {self._compile_s:.1f} s")
        if self._before is not None:
            self._continue_from(self._before)
        self._compiled_before = trainer.compiles.count

    def _continue_from(self, before: DemoStore) -> None:
        """Take up what a learner before this one has committed: data and account, and versions counted on."""
        assert self._trainer is not None
        assert self._live is not None
        for episode in before.episodes():
            self._trainer.receive(to_batch(episode, is_demo=False))
            self._live.transitions += len(episode)
            self._version = max(self._version, int(episode.policy_versions.max()))
        self._record.episodes = len(before)
        checkpoint, passed = load_newest(self._directory / CHECKPOINTS, self._fingerprint())
        text = f"goes on from the {self._live.transitions} transitions in {LIVE}"
        if checkpoint is None:
            passed.append("no checkpoint to go on from: the networks start anew")
        else:
            self._trainer.restore(checkpoint.arrays, checkpoint.counters["critic_updates"])
            self._version = max(self._version, checkpoint.counters["policy_version"])
            self._restored = True
            text += f" and the checkpoint after {checkpoint.counters['received']}"
        for problem in passed:
            self._metrics.event("warning", "learner", problem)
        self._metrics.event("info", "learner", text)

    def _fingerprint(self) -> str:
        """Of everything that a checkpoint's networks depend on."""
        assert self._problem is not None
        return fingerprint({"problem": self._problem.fingerprint, "agent": asdict(self._settings.agent)})

    def _checkpoint(self) -> None:
        assert self._trainer is not None
        budget = self._trainer.budget
        counters = {
            "received": budget.received,
            "critic_updates": budget.updates,
            "policy_version": self._version,
        }
        save_checkpoint(
            self._directory / CHECKPOINTS,
            Checkpoint(self._trainer.export_state(), counters, self._fingerprint()),
            self._trainer.snapshot(self._version),
            self._settings.learner.checkpoints_kept,
        )
        self._checkpointed_at = budget.received

    def _checkpoint_when_due(self) -> None:
        assert self._trainer is not None
        every = self._settings.learner.checkpoint_every
        if every and self._trainer.budget.received - self._checkpointed_at >= every:
            self._checkpoint()

    def _refusal(self, problem: ProblemSpec) -> str | None:
        """None to welcome an actor of this problem, otherwise a sentence."""
        if self._problem is None:
            self._problem = problem
        if problem.fingerprint == self._problem.fingerprint:
            return None
        text = "; ".join(self._problem.differences(problem))
        source = f"the demonstrations in {self._settings.run.demos}" if self._demos is not None else "this run"
        return f"the actor's robot and task differ from those of {source}: {text}. Give both the same robot and task."

    def _committed(self, boot: str) -> int:
        return self._live.committed(boot) if self._live else 0

    def _receive(self, piece: Segment | EpisodeEnd) -> None:
        assert self._live is not None
        assert self._trainer is not None
        before = self._live.committed(piece.boot)
        if isinstance(piece, EpisodeEnd):
            self._live.end(piece)
        else:
            if not self._is_complete:  # afterwards data is still kept, but no more learned from
                self._pacing.hold(to_batch(piece, is_demo=False))
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

    def _tell_events(self) -> None:
        for boot, event in self._intake.events():
            self._metrics.event(_severity(event.severity), f"actor {boot[:8]}", event.text)

    def _on_episode(self, episode: Segment) -> None:
        assert self._problem is not None
        self._record.episode(episode, self._problem.horizon, self._live.transitions if self._live else 0)

    def _admit(self) -> None:
        """Learn from what has come, as far as it is its turn; in lock-step give leave for more."""
        assert self._trainer is not None
        lockstep = self._in_lockstep()
        admitted = self._pacing.admit(self._trainer.budget, lockstep)
        if admitted:  # at once: they come row by row
            self._trainer.receive(Batch(*map(np.concatenate, zip(*admitted, strict=True))))
        if lockstep:
            if admitted:
                self._publish()
            self._grant()

    def _in_lockstep(self) -> bool:
        return any(actor.lockstep for actor in self._intake.actors().values())

    def _publish_when_due(self) -> None:
        """For real robots; in lock-step each block has its own policy."""
        assert self._trainer is not None
        due = self._trainer.budget.trained - self._trained_at_publication >= self._settings.learner.publish_every
        if due and not self._in_lockstep():
            self._publish()

    def _publish(self) -> None:
        assert self._trainer is not None
        self._version += 1
        self._trained_at_publication = self._trainer.budget.trained
        snapshot = self._trainer.snapshot(self._version)
        self._publisher.publish(snapshot)

    def _grant(self) -> None:
        """Let actors in lock-step fill the next block, with the newest policy."""
        assert self._trainer is not None
        for boot, actor in self._intake.actors().items():
            until = self._pacing.leave(self._trainer.budget, actor.next_sequence)
            if actor.lockstep and until > self._granted.get(boot, -1):
                self._granted[boot] = until
                self._intake.grant(boot, until, self._version)

    def _has_enough(self) -> bool:
        assert self._trainer is not None
        minutes = self._settings.run.max_minutes
        enough = self._trainer.budget.received >= self._settings.run.env_steps
        return enough or bool(minutes and self._record.wall_s > 60 * minutes)

    def _finish(self) -> None:
        self._phase = "finished"
        self._finished = True
        self._publish()
        assert self._trainer is not None
        self._checkpoint()
        save_snapshot(self._directory / POLICY, self._trainer.snapshot(self._version, final=True))
        self._row(force=True)
        self._write_status()
        self._metrics.event("info", "learner", f"finished after {self._trainer.budget.received} transitions")

    def _write_status(self) -> None:
        assert self._trainer is not None
        self._record.status(
            self._trainer,
            finished=self._finished,
            published=self._version,
            compile_s=self._compile_s,
            compiles=1 + self._trainer.compiles.count - self._compiled_before,
            delivery=self._intake.stats(),
        )

    def _tell_progress(self, share: float) -> bool:
        assert self._trainer is not None
        self._phase = "cloning" if self._settings.agent.clone_updates else "pre-training"
        self._intake.pump(0.0)
        self._row()
        return not self._stop.is_set()

    def _row(self, force: bool = False) -> None:
        if self._trainer is not None:
            intake = self._intake
            self._record.row(self._phase, self._trainer, self._version, intake.stats(), intake.actors(), force)


def _severity(text: str) -> Severity:
    return "error" if text == "error" else "warning" if text == "warning" else "info"
