"""Many runs, or none: the paper's rows on a task, and measurements of this program."""

import json
import sys
from collections.abc import Sequence
from functools import partial

from rlpd_robot.verbs.words import show, without_cfg


def experiment(words: list[str]) -> int:
    """Rows of the paper over seeds."""
    from rlpd_robot.config import build, load
    from rlpd_robot.run.experiment import experiment as studies

    flags = ("--cfg", "--job", "--list")
    names = [word for word in words if "=" not in word and word not in flags]
    launchers = [word.removeprefix(LAUNCHER) for word in words if word.startswith(LAUNCHER)]
    hydra_words = [word for word in words if word.startswith("hydra.")]
    overrides = [word for word in words if "=" in word and not word.startswith((LAUNCHER, "hydra."))]
    if "--cfg" in words:
        return show(load("experiment", [*(f"experiment={name}" for name in names), *overrides])[1])
    name, compose, say = studies.refuse_no_name(names), partial(load, "experiment"), partial(print, flush=True)
    if "--list" in words:
        return studies.list_jobs(name, overrides, compose, say)
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    stop = stop_on_signals(kill_all)
    if "--job" in words:
        return studies.one_job(name, overrides, compose, build, stop, say)
    if not launchers:
        return studies.run_experiment(name, [*overrides, *hydra_words], compose, build, stop, say)
    from rlpd_robot.verbs.launched import check_launcher, launch

    check_launcher(launchers[-1])
    launched = partial(launch, launchers[-1], hydra_words, stop=stop)
    return studies.run_experiment(name, overrides, compose, build, stop, say, launched)


LAUNCHER = "--launcher="
"""Which of Hydra's launchers runs the jobs of a study."""


def tune(words: list[str]) -> int:
    """The paper's ablations on a task."""
    from rlpd_robot.config import build, load

    job = [word.removeprefix("--job=") for word in words if word.startswith("--job=")]
    overrides = [word for word in without_cfg(words) if not word.startswith("--job=")]
    if "--cfg" in words:
        return show(load("tune", overrides)[1])
    from rlpd_robot.run.experiment import tune
    from rlpd_robot.run.processes import kill_all
    from rlpd_robot.run.stopping import stop_on_signals

    compose, say, stop = partial(load, "tune"), partial(print, flush=True), stop_on_signals(kill_all)
    if job:
        return tune.one_job(job[0], overrides, compose, build, stop, say)
    return tune.run_tune(overrides, compose, build, stop, say)


def bench(words: list[str]) -> int:
    """A bench is a module of `run/bench/`: `run_bench(settings, words, build) -> report` and `table(report) -> text`.

    The report's "passed" decides the exit status. With --json the report goes to stdout and the table to stderr.
    """
    if not words or words[0] not in BENCHES:
        names = " | ".join(sorted(BENCHES)) or "(none)"
        print(f"usage: rlpd-robot bench {names} [--json] [key=value …]", file=sys.stderr)
        return 2
    from importlib import import_module

    from rlpd_robot.config import build, load

    settings_words = [*BENCHES[words[0]], *(word for word in words[1:] if word not in ("--cfg", "--json"))]
    settings, text = load("bench", settings_words)
    if "--cfg" in words:
        return show(text)
    module = MODULES.get(words[0], words[0].replace("-", "_"))
    bench = import_module(f"rlpd_robot.run.bench.{module}")
    report = bench.run_bench(settings, settings_words, build)
    if "--json" in words:
        print(json.dumps(report, indent=1), flush=True)
    print(bench.table(report), file=sys.stderr if "--json" in words else sys.stdout, flush=True)
    return 0 if report["passed"] else 1


BENCHES: dict[str, Sequence[str]] = {
    "chaos": (
        "experiment=adroit_door_quick",
        *("agent.ensemble=2", "agent.hidden_layers=1", "agent.hidden_width=32", "agent.batch_size=64"),
        *("agent.utd=2", "agent.clone_updates=100", "learner.publish_every=20", "learner.checkpoint_every=200"),
    ),
    "dry-run": ("robot=adroit_door", "task=door"),
    "extrapolation": ("experiment=adroit_door_quick",),
    "fuzz": ("experiment=adroit_door_quick", "agent.clone_updates=10"),
    "import": ("experiment=adroit_door_quick",),
    "import-fuzz": ("experiment=adroit_door_quick",),
    "latency": ("experiment=adroit_door_quick",),
    "learner": ("agent=adroit",),
    "record-chaos": ("robot=adroit_door", "task=door"),
    "rosbridge": ("robot=adroit_pen_rosbridge", "task=pen"),
}
"""Names, each with the words that come before the user's; the modules in `run/bench/` have _ where they have -."""

MODULES = {"import": "import_speed"}
"""Those of another name, `import` being a word of Python."""
