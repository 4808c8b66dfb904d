"""`rlpd-robot train`: stand-in, learner and actor on this machine, watched; then evaluation, film and report."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ChildError, RlpdRobotError
from rlpd_robot.policy.snapshot_file import load_snapshot
from rlpd_robot.robot.task import Task
from rlpd_robot.robot.teleop.terminal import restore_terminal
from rlpd_robot.run.directory import make_directory
from rlpd_robot.run.evaluate import POLICY, RESULT, Build, Evaluation, film, sentence
from rlpd_robot.run.learner_status import is_finished
from rlpd_robot.run.local_run import LocalRun
from rlpd_robot.run.metrics import append_event, elapsed_s, wall_before_s
from rlpd_robot.run.preflight import Plan, preflight
from rlpd_robot.run.processes import kill_all
from rlpd_robot.run.report import REPORT, write_report
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.stopping import stop_on_signals
from rlpd_robot.run.summary import summarise


def train(settings: Settings, config_text: str, words: Sequence[str], build: Build) -> int:
    """Learn, evaluate, report. 0: learned; 1: did not, or a process failed; 2: asked wrongly, nothing was written.

    With `resume=auto` a run that was left is gone on with; one that had finished goes straight to its evaluation.
    """
    plan = preflight(settings, words, build)
    stop = stop_on_signals(_leave_at_once)
    directory = make_directory(settings.run, new=settings.resume == "never")
    make_directory(settings.run, "logs")
    elapsed_s(directory)  # events count from here, not from the first one
    (directory / "config.yaml").write_text(config_text)
    print("\n".join(plan.warnings), end="\n" if plan.warnings else "", file=sys.stderr)
    start = time.monotonic() - wall_before_s(directory)
    learned = is_finished(settings)
    run = LocalRun(settings, words, directory, not learned, plan.lockstep)
    try:
        try:
            if not learned:
                run.learn(stop)
            result = None if stop.is_set() else run.evaluate(build, plan.task, stop)
        finally:
            run.end(None, stop)
    except ChildError as error:
        append_event(directory, "error", "train", str(error))
        print(
            f"rlpd-robot train: {error}\nIts log: {directory / 'logs'}\n"
            f"Everything executed until then is kept in {directory}; `resume=auto` goes on with it.",
            file=sys.stderr,
        )
        return 1
    if result is None or stop.is_set():
        print(f"Stopped by a person; everything executed until then is in {directory / 'live.zarr'}.")
        return 130
    return finish(settings, build, plan, result, time.monotonic() - start)


def _leave_at_once() -> None:
    kill_all()
    restore_terminal()


def finish(settings: Settings, build: Build, plan: Plan, result: Evaluation, wall_s: float) -> int:
    """Film, summary and report of a run whose evaluation is done."""
    directory = settings.run.directory
    (directory / RESULT).write_text(json.dumps(result.to_json(), indent=1))
    video = _film(settings, build, plan.task)
    summary = summarise(settings, plan.task.name, plan.demos, result, wall_s, video)
    (directory / "summary.json").write_text(json.dumps(summary, indent=1))
    if settings.eval.report:
        write_report(directory)
    print(_closing_words(summary, result, directory / REPORT if settings.eval.report else directory))
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


def _waiting(delivery: dict[str, int]) -> str:
    return f"{delivery['waiting']} wait in the actor's journal, " if delivery["waiting"] else ""


def _closing_words(summary: dict[str, Any], result: Evaluation, report: Path) -> str:
    delivery = summary["delivery"]
    return "\n".join(
        (
            f"{summary['verdict']}",
            f"  evaluation  {sentence(result)}",
            f"  learning    {summary['env_steps']} transitions, {summary['critic_updates']} critic updates, "
            f"UTD {summary['utd_realised']:.2f} of {summary['utd_target']}, {summary['wall_s']:.0f} s",
            f"  delivery    {delivery['sent']} executed, {delivery['committed']} committed, "
            f"{_waiting(delivery)}{delivery['lost']} lost, {delivery['duplicated']} duplicated",
            f"  report      {report}",
        )
    )
