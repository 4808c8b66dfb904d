"""`rlpd-robot experiment NAME`: every row with every seed, then a table, a figure and tidy results."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rlpd_robot.errors import ConfigError
from rlpd_robot.files import make_directories, replace_file
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.experiment.figure import FIGURE, study_png
from rlpd_robot.run.experiment.plan import Compose, Job, job_of, plan
from rlpd_robot.run.experiment.pool import child_of, job_words, run_pool
from rlpd_robot.run.experiment.results import SUMMARY, TIDY, table, write_results

Say = Callable[[str], None]


Launch = Callable[[Mapping[str, Sequence[str]], Path], None]
"""Runs jobs, name → words of the command line, not as this process's children; given the study's folder too."""


def run_experiment(
    name: str,
    words: Sequence[str],
    compose: Compose,
    build: Build,
    stop: threading.Event,
    say: Say,
    launch: Launch | None = None,
) -> int:
    """Do what is not done yet. 0: all of it is done; 1: a job failed; 130: stopped by a person.

    Args:
        name: of the study, a choice of the group `experiment`.
        words: of the command line, without the name.
        launch: runs the jobs; none: they are children of this process, so many at a time as there are cores.

    Raises:
        RlpdRobotError: something in the study is asked wrongly; nothing has been written.
    """
    jobs = plan(name, words, compose, build)
    todo = [job for job in jobs if job.result() is None]
    directory = jobs[0].directory.parent.parent
    say(describe(name, jobs, todo))
    make_directories(directory / "logs")
    if launch is not None and todo:
        launch({job.name: job_words(name, words, job) for job in todo}, directory)
        failed = [job.name for job in todo if job.result() is None]
    else:
        parallel = jobs[0].settings.study.parallel
        failed = run_pool(todo, child_of(name, words, directory / "logs"), parallel, stop, say) if todo else []
    report(name, directory, jobs, say)
    if stop.is_set():
        say("Stopped by a person. The same command goes on: each job from its last evaluation.")
        return 130
    return 1 if failed else 0


def report(name: str, directory: Path, jobs: Sequence[Job], say: Say) -> None:
    """Table to the terminal; the rest into the study's directory."""
    summary = write_results(directory, jobs)
    replace_file(directory / FIGURE, study_png(name, summary))
    say(table(summary))
    if summary["source"]:
        say(f"Compare with: {summary['source']}")
    say(f"{directory / FIGURE}, {TIDY}, {SUMMARY}")


def describe(name: str, jobs: Sequence[Job], todo: Sequence[Job]) -> str:
    """What is going to be done."""
    first, rows = jobs[0].settings, list(dict.fromkeys(job.row for job in jobs))
    steps = sum(job.settings.run.env_steps for job in todo)
    return (
        f"{name}: {len(rows)} rows ({', '.join(rows)}) × {first.study.seeds} seeds on '{first.robot.name}'; "
        f"{len(jobs) - len(todo)} of {len(jobs)} jobs are done, {steps} environment steps to go"
    )


def one_job(name: str, words: Sequence[str], compose: Compose, build: Build, stop: threading.Event, say: Say) -> int:
    """`--job`: the row and the seed that the words name, in this process; on any machine that shares the folder."""
    from rlpd_robot.run.experiment.job import run_job

    settings, _ = compose([f"experiment={name}", *words])
    job = job_of(name, settings.study.row, settings.run.seed, settings)
    if (result := job.result()) is not None:
        say(f"{job.name} was done before: {result['measure']:.1f} %")
        return 0
    return 0 if run_job(job, build, stop, say) else 130


def list_jobs(name: str, words: Sequence[str], compose: Compose, say: Say) -> int:
    """`--list`: a command a job, for a cluster's array or another machine."""
    for job in plan(name, words, compose):
        state = "todo" if job.result() is None else "done"
        say(" ".join([state, "rlpd-robot", *job_words(name, words, job)]))
    return 0


def refuse_no_name(names: Sequence[str]) -> str:
    """The one study that the words name.

    Raises:
        ConfigError: none, or several.
    """
    if len(names) != 1:
        raise ConfigError("NAME", " ".join(names), "one study, such as small/door: `rlpd-robot experiment NAME`")
    return names[0]
