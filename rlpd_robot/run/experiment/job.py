"""One job: an agent learns a task in lock-step in this process, and is evaluated every so many transitions."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError
from rlpd_robot.files import make_directories, replace_file
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.compile_cache import use_compile_cache
from rlpd_robot.run.devices import make_layout
from rlpd_robot.run.diagnostics.checks import judge
from rlpd_robot.run.diagnostics.monitor import Monitor, keyed
from rlpd_robot.run.evaluate import Build, Evaluation, evaluate_policy
from rlpd_robot.run.experiment.acting import Acting
from rlpd_robot.run.experiment.keeper import Keeper
from rlpd_robot.run.experiment.plan import CURVE, RESULT, Job
from rlpd_robot.run.experiment.practice import Practice, chunker_of
from rlpd_robot.run.experiment.savepoint import SAVEPOINT, Savepoint
from rlpd_robot.run.metrics import LineFile
from rlpd_robot.run.prior_data import open_demos
from rlpd_robot.run.reset_seed import reset_seed
from rlpd_robot.run.trainer import Trainer
from rlpd_robot.run.value_range import with_value_range
from rlpd_robot.timing import SystemClock
from rlpd_robot.types import Batch, to_batch

Say = Callable[[str], None]


def run_job(job: Job, build: Build, stop: threading.Event, say: Say) -> bool:
    """Learn, from the last evaluation of a job that was cut on, and write the result; false where a person stopped it.

    Raises:
        ConfigError: the robot moves by the wall clock.
        RlpdRobotError: robot, task, prior data and settings do not go together.
    """
    settings = job.settings
    use_compile_cache(settings.learner.compile_cache)
    with ExitStack() as stack:
        drivers = [stack.enter_context(closing(build(settings.robot.driver))) for _ in range(2)]
        return _Learning(job, drivers, build(settings.task), stop, say).run()


class _Learning:
    """One agent that acts on one robot and is judged by another of its kind."""

    def __init__(self, job: Job, drivers: Sequence[Driver], task: Task, stop: threading.Event, say: Say) -> None:
        settings = job.settings
        (driver, self._judge), self._task = drivers, task
        spec = driver.connect(settings.actor.connect_s)
        if not driver.lockstep:
            expected = "a simulator in this process, in lock-step; a real robot learns with `rlpd-robot train`"
            raise ConfigError("robot.driver", settings.robot.driver.get("_target_"), expected)
        problem = problem_of(task, spec)
        store = open_demos(settings) if settings.agent.needs_demos else None
        if store is not None:
            store.check(problem)
        demos = None if store is None else store.transitions()
        self._job, self._stop, self._enough = job, stop, threading.Event()
        layout = make_layout(settings.learner.mesh, settings.learner.unroll)
        agent = with_value_range(settings.agent, demos)
        prior = demos if store is None or agent.chunk == agent.n_step == 1 else _chunked(agent, store)
        self._trainer = Trainer(agent, problem, prior, settings.run.seed, layout, settings.learner.ring)
        self._trainer.warm_up()
        monitor = Monitor(self._trainer.config, demos, 1.0)
        make_directories(job.directory)
        saved = Savepoint.load(job.directory, job.fingerprint, self._trainer)
        if saved is None:
            self._trainer.start_from_demos(lambda share: not stop.is_set())
        self._at, rows = saved or (Savepoint(0, 0, 0), [])
        self._keeper = None
        if settings.study.keep:
            self._keeper = Keeper(job.directory, problem, f"job {job.name}", settings.run.seed)
        self._practice = Practice(
            self._trainer,
            settings.learner.publish_every,
            settings.run.env_steps,
            settings.run.seed,
            self._enough.set,
            monitor.remember if agent.chunk == 1 else lambda episode: None,  # its critics value single actions
            self._at.version,
            rows,
        )
        self._loop = ControlLoop(
            driver,
            task,
            problem,
            SafetyLimits.of_robot(settings.safety, spec, simulated=True),
            lambda: self._practice.policy,
            f"job {job.name}",
            SystemClock(),
            subscribers=(self._practice,) if self._keeper is None else (self._practice, self._keeper),
            stop_requested=self._enough,
        )
        self._book = _Book(job, self._trainer, monitor, say, self._at.due)

    def run(self) -> bool:
        """Episode after episode; whether the job is done."""
        try:
            while not self._enough.is_set() and not self._stop.is_set():
                self._examine_when_due()
                self._practice.begin_episode(self._at.episode)
                seed = reset_seed(self._job.seed, self._at.episode)
                self._loop.run_episode(self._at.episode, seed, explore=True)
                self._at = replace(self._at, version=self._practice.version, episode=self._at.episode + 1)
            if self._stop.is_set():
                return False
            settings = self._job.settings
            at = settings.run.env_steps
            self._book.finish(at, self._examine(at, settings.study.final_episodes))
            (self._job.directory / SAVEPOINT).unlink(missing_ok=True)
            return True
        finally:
            self._book.close()
            if self._keeper is not None:
                self._keeper.close()

    def _examine_when_due(self) -> None:
        study = self._job.settings.study
        if self._practice.received < self._at.due:
            return
        evaluation = self._examine(self._at.due, study.eval_episodes)
        self._book.note(self._at.due, evaluation, self._practice.policy.figures())
        self._at = replace(self._at, due=self._at.due + study.eval_every)
        self._at.save(self._job.directory, self._job.fingerprint, self._trainer, self._practice.rows)

    def _examine(self, at: int, episodes: int) -> Evaluation:
        settings = self._job.settings
        seeds = [settings.eval.seed + i for i in range(episodes)]
        policy = Acting(self._trainer, np.random.default_rng(0))
        snapshot = self._trainer.snapshot(self._practice.version, final=True)
        policy.take(snapshot)
        if self._keeper is not None:
            self._keeper.policy(at, snapshot)
        return evaluate_policy(
            self._judge, self._task, policy, settings.safety, seeds, settings.actor.connect_s, begin=policy.begin
        )


class _Book:
    """What a job writes down."""

    def __init__(self, job: Job, trainer: Trainer, monitor: Monitor, say: Say, due: int) -> None:
        """Begin with the evaluations before the one that is `due`, or with none."""
        self._job, self._trainer, self._monitor, self._say = job, trainer, monitor, say
        before = [row for row in job.curve() if row["at"] < due]
        (job.directory / CURVE).unlink(missing_ok=True)
        self._file = LineFile(job.directory / CURVE)
        for row in before:
            self._file.append(row)
        self._start_s = time.monotonic() - (before[-1]["wall_s"] if before else 0.0)

    def note(self, at: int, evaluation: Evaluation, more: Mapping[str, float] | None = None) -> dict[str, Any]:
        """One evaluation, `at` transitions, and `more` about how it acted until then; what was found is returned."""
        figures = figures_of(evaluation)
        row: dict[str, Any] = {
            "at": at,
            "env_steps": self._trainer.budget.received,
            "critic_updates": self._trainer.budget.updates,
            "wall_s": round(time.monotonic() - self._start_s, 2),
            **figures,
            "measure": self._job.settings.study.percent(figures),
            **(more or {}),
        }
        if self._monitor.is_due(0.0, force=True):
            row |= keyed(self._monitor.measure(*self._trainer.weights(), self._trainer.metrics()))
        self._file.append(row)
        self._say(f"{self._job.name}: {at} transitions, {row['measure']:.1f} %")
        return row

    def finish(self, at: int, evaluation: Evaluation) -> None:
        """The last one, and with it the result."""
        row = self.note(at, evaluation)
        findings, _ = judge(row)
        result = {
            "row": self._job.row,
            "seed": self._job.seed,
            "fingerprint": self._job.fingerprint,
            **{key: row[key] for key in ("env_steps", "critic_updates", "wall_s", "success", "solved", "return")},
            "measure": row["measure"],
            "episodes": len(evaluation.episodes),
            "findings": {finding.check.key: finding.text for finding in findings},
        }
        replace_file(self._job.directory / RESULT, json.dumps(result, indent=1).encode())

    def close(self) -> None:
        """Close the curve."""
        self._file.close()


def figures_of(evaluation: Evaluation) -> Mapping[str, float]:
    """Means over episodes: share of them solved once, share of the horizon solved, sum of rewards."""
    episodes = evaluation.episodes
    return {
        "success": float(np.mean([e.success for e in episodes])),
        "solved": float(np.mean([e.solved_fraction for e in episodes])),
        "return": float(np.mean([e.total_reward for e in episodes])),
    }


def _chunked(agent: AgentConfig, store: DemoStore) -> Batch:
    """Rows of the prior data whose actions are chunks.

    Raises:
        ConfigError: no episode is as long as a chunk.
    """
    chunker = chunker_of(agent)
    rows = [chunker.whole(to_batch(episode, is_demo=True)) for episode in store.episodes()]
    whole = [part for part in rows if part is not None]
    if not whole:
        raise ConfigError("agent.chunk", agent.chunk, f"at most the longest episode of {store.path}")
    return Batch(*(np.concatenate(columns) for columns in zip(*whole, strict=True)))
