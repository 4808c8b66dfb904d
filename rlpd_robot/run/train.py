"""`rlpd-robot train`: stand-in, learner and actor on this machine, watched; then evaluation, film and report."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ChildError, RlpdRobotError
from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.robot.task import Task
from rlpd_robot.run.directory import make_directory
from rlpd_robot.run.evaluate import POLICY, RESULT, Build, Evaluation, evaluate, film, seeds_of, sentence
from rlpd_robot.run.learner_status import is_finished
from rlpd_robot.run.live_view import LiveView
from rlpd_robot.run.metrics import append_event, elapsed_s, wall_before_s
from rlpd_robot.run.preflight import Plan, preflight
from rlpd_robot.run.processes import Child, end_all
from rlpd_robot.run.report import write_report
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.run.summary import summarise

_LOOK_S = 0.25
_END_S = 8.0  # for each of actor and learner to hand over and commit


def train(settings: Settings, config_text: str, words: Sequence[str], build: Build) -> int:
    """Learn, evaluate, report. 0: learned; 1: did not, or a process failed; 2: asked wrongly, nothing was written.

    With `resume=auto` a run that was left is gone on with; one that had finished goes straight to its evaluation.
    """
    plan = preflight(settings, words, build)
    stop = stop_on_signals()
    directory = make_directory(settings.run, new=settings.resume == "never")
    make_directory(settings.run, "logs")
    elapsed_s(directory)  # events count from here, not from the first one
    (directory / "config.yaml").write_text(config_text)
    start = time.monotonic() - wall_before_s(directory)
    learned = is_finished(settings)
    run = LocalRun(settings, words, directory, learns=not learned)
    try:
        try:
            if not learned:
                run.learn(stop)
            result = None if stop.is_set() else run.evaluate(build, plan.task, stop)
        finally:
            run.end()
    except ChildError as error:
        append_event(directory, "error", "train", str(error))
        print(f"rlpd-robot train: {error}\nIts log: {directory / 'logs'}", file=sys.stderr)
        return 1
    if result is None or stop.is_set():
        print(f"Stopped by a person; everything executed until then is in {directory / 'live.zarr'}.")
        return 130
    return finish(settings, build, plan, result, time.monotonic() - start)


class LocalRun:
    """The three processes of one run on this machine; the robot's stand-in alone when it no longer learns."""

    def __init__(self, settings: Settings, words: Sequence[str], directory: Path, learns: bool = True) -> None:
        self._settings, self._directory = settings, directory

        def child(verb: str) -> Child:
            return Child(verb, [verb, *words, "resume=auto"], directory / "logs")

        self._sim = child("sim") if settings.robot.stand_in is not None else None
        self._learner = child("learner") if learns else None
        self._actor = child("actor") if learns else None

    def learn(self, stop: threading.Event) -> None:
        """Watch until the learner says that it has finished, or a person stops the run.

        Raises:
            ChildError: a process ended by itself.
        """
        assert self._learner is not None
        assert self._actor is not None
        title = f"{self._settings.run.name}: {self._settings.robot.name}"
        with LiveView(self._directory, title) as view:
            while not stop.wait(_LOOK_S):
                view.processes({child.name: child.state for child in self._children()})
                view.update()
                if is_finished(self._settings):
                    break
                self._check()
            end_all([self._actor, self._learner], 2 * _END_S)
            view.update()
        for child in (self._learner, self._actor):
            if not stop.is_set() and child.status != 0:  # it could not hand over or commit what was executed
                child.check()

    def evaluate(self, build: Build, task: Task, stop: threading.Event) -> Evaluation:
        """Deterministic episodes on the robot or stand-in that training left."""
        snapshot = load_snapshot(self._directory / POLICY)
        driver = build(self._settings.robot.driver)
        try:
            return evaluate(
                driver,
                task,
                snapshot,
                self._settings.safety,
                seeds_of(self._settings.eval),
                self._settings.actor.connect_s,
                stop,
            )
        finally:
            driver.close()

    def end(self) -> None:
        """End what still runs, the one that others lean on last."""
        end_all(self._children(), 2 * _END_S)

    def _children(self) -> list[Child]:
        return [child for child in (self._actor, self._learner, self._sim) if child is not None]

    def _check(self) -> None:
        for child in reversed(self._children()):  # a stand-in's end explains an actor's, not the other way round
            child.check()


def finish(settings: Settings, build: Build, plan: Plan, result: Evaluation, wall_s: float) -> int:
    """Film, summary and report of a run whose evaluation is done."""
    directory = settings.run.directory
    (directory / RESULT).write_text(json.dumps(result.to_json(), indent=1))
    video = _film(settings, build, plan.task)
    summary = summarise(settings, plan.task.name, plan.demos, result, wall_s, video)
    (directory / "summary.json").write_text(json.dumps(summary, indent=1))
    write_report(directory)
    print(_closing_words(summary, result, directory))
    return 0 if summary["learned"] else 1


def _film(settings: Settings, build: Build, task: Task) -> str | None:
    directory, recipe = settings.run.directory, settings.robot.film
    if recipe is None or not settings.eval.film:
        return None
    name = f"{task.name}.mp4"
    snapshot = load_snapshot(directory / POLICY)
    try:
        reason = film(recipe, task, snapshot, settings, build, [directory / name, directory / f"{task.name}.gif"])
    except RlpdRobotError as error:  # a film is a convenience; the run's verdict stands without it
        reason = str(error)
    if reason is None:
        return name
    append_event(directory, "warning", "film", reason)
    return None


def _closing_words(summary: dict[str, Any], result: Evaluation, directory: Path) -> str:
    delivery = summary["delivery"]
    return "\n".join(
        (
            f"{summary['verdict']}",
            f"  evaluation  {sentence(result)}",
            f"  learning    {summary['env_steps']} transitions, {summary['critic_updates']} critic updates, "
            f"UTD {summary['utd_realised']:.2f} of {summary['utd_target']}, {summary['wall_s']:.0f} s",
            f"  delivery    {delivery['sent']} executed, {delivery['committed']} committed, "
            f"{delivery['lost']} lost, {delivery['duplicated']} duplicated",
            f"  report      {directory / 'report.html'}",
        )
    )
