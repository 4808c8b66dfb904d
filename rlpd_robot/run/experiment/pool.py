"""Jobs in processes of their own, so many at a time, each on cores of its own."""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rlpd_robot.run.experiment.plan import CURVE, Job
from rlpd_robot.run.metrics import Tail
from rlpd_robot.run.processes import Child

_LOOK_S = 0.5
_END_S = 10.0

Start = Callable[[Job], Child]


def run_pool(
    jobs: Sequence[Job], start: Start, parallel: int | None, stop: threading.Event, say: Callable[[str], None]
) -> list[str]:
    """Run jobs until all have ended, or a person stops them; a job that fails does not hold up the others.

    Args:
        start: starts the process of a job.
        parallel: at a time; none: one a core.

    Returns:
        A sentence on each job that failed.
    """
    shares = shares_of_cores(sorted(_cores()), parallel, len(jobs))
    waiting = list(jobs)
    running: dict[str, tuple[Child, set[int], Tail]] = {}
    failed: list[str] = []
    try:
        while (waiting or running) and not stop.is_set():
            while waiting and shares:
                job, cores = waiting.pop(0), shares.pop(0)
                curve = Tail(job.directory / CURVE)
                curve.new()  # of one that was cut
                child = start(job)
                _keep_to(child, cores)
                running[job.name] = (child, cores, curve)
            stop.wait(_LOOK_S)
            for name, (child, cores, curve) in list(running.items()):
                for row in curve.new():
                    say(f"{name}: {row['at']} transitions, {row['measure']:.1f} %")
                if child.running:
                    continue
                del running[name]
                shares.append(cores)
                ended_well, words = child.status == 0, child.last_words()
                child.end(_END_S)
                if ended_well:
                    say(f"{name} is done, {len(running) + len(waiting)} to go")
                else:
                    failed.append(f"{name} {child.state}: {words}")
                    say(failed[-1])
    finally:
        for child, _, _ in running.values():
            child.kill()  # what is cut goes on from its last evaluation, however gently it ends
            child.end(_END_S)
    return failed


def shares_of_cores(cores: Sequence[int], parallel: int | None, jobs: int) -> list[set[int]]:
    """Which cores each of the jobs that run at a time has: all of them, as evenly as they go.

    More jobs at a time than cores share them one by one.
    """
    count = max(1, min(parallel or len(cores), jobs))
    if count >= len(cores):
        return [{cores[i % len(cores)]} for i in range(count)]
    return [set(cores[i * len(cores) // count : (i + 1) * len(cores) // count]) for i in range(count)]


def child_of(name: str, words: Sequence[str], logs: Path) -> Start:
    """Starts `rlpd-robot experiment NAME … --job`."""

    def start(job: Job) -> Child:
        return Child(job.name, job_words(name, words, job), logs)

    return start


def job_words(name: str, words: Sequence[str], job: Job) -> list[str]:
    """Of the command that does one job of a study, given the words of the study's own."""
    mine = [word for word in words if not word.startswith(("row=", "run.seed="))]
    return ["experiment", name, *mine, f"row={job.row}", f"run.seed={job.seed}", "--job"]


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _keep_to(child: Child, cores: set[int]) -> None:
    """Before it has any threads, so that all of them do."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and its status says why
            os.sched_setaffinity(child.pid, cores)
