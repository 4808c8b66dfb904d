"""`rlpd-robot tune`: the ablations that the paper recommends for a new task (RLPD, section 4.4), in its order.

Z, then the entropy backup, then the number of layers. Each stage compares the agent as it stands with one change, over
seeds; the change stays where its mean is better. What comes of it is an agent file with the evidence in it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.agent.config import AgentConfig
from rlpd_robot.errors import ConfigError
from rlpd_robot.files import make_directories, replace_file
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.experiment.figure import FIGURE, study_png
from rlpd_robot.run.experiment.plan import Compose, Job, check_demos, check_robot
from rlpd_robot.run.experiment.pool import Start, run_pool
from rlpd_robot.run.experiment.results import ENOUGH, write_results
from rlpd_robot.run.processes import Child
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.statistics import mean_interval

AGENT = "agent.yaml"
"""In the folder of a tuning: the recommended agent, with the evidence."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """One setting of the agent, and the other value that is tried."""

    key: str
    words: str

    def other(self, agent: AgentConfig) -> Any:
        """The value that the agent has not."""
        if self.key == "target_subset":
            return 1 if agent.target_subset > 1 else min(2, agent.ensemble)
        if self.key == "entropy_backup":
            return not agent.entropy_backup
        return 2 if agent.hidden_layers > 2 else 3


STAGES = (
    Stage("target_subset", "Z, critics in a target"),
    Stage("entropy_backup", "entropy bonus in the targets"),
    Stage("hidden_layers", "layers of actor and critics"),
)
"""In the recommended order."""


@dataclass(frozen=True)
class Comparison:
    """What one stage found.

    Attributes:
        kept, tried: the values, seed by seed [%]; each a mean over the evaluations after the start.
        interval: 95 % interval of the mean difference, tried − kept, seed by seed; none for one seed.
    """

    stage: Stage
    before: Any
    after: Any
    kept: Sequence[float]
    tried: Sequence[float]
    interval: tuple[float, float] | None

    @property
    def better(self) -> bool:
        """Whether the tried value is."""
        return float(np.mean(self.tried)) > float(np.mean(self.kept))

    @property
    def clear(self) -> bool:
        """Whether the interval excludes that they are equal, from seeds enough for an interval to mean something."""
        return self.interval is not None and len(self.kept) >= ENOUGH and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def sentence(self) -> str:
        """For the terminal and the agent file."""
        chosen = self.after if self.better else self.before
        seeds = f"{len(self.kept)} seeds" if len(self.kept) > 1 else "1 seed"
        sure = "clear" if self.clear else "NOT clear: more seeds or steps would tell"
        spread = "" if self.interval is None else f", difference {self.interval[0]:+.1f} to {self.interval[1]:+.1f}"
        return (
            f"{self.stage.key}: {_word(self.before)} gave {np.mean(self.kept):.1f} %, {_word(self.after)} "
            f"{np.mean(self.tried):.1f} % ({seeds}{spread}); {_word(chosen)} stays, {sure}"
        )


def run_tune(words: Sequence[str], compose: Compose, build: Build, stop: threading.Event, say: Say) -> int:
    """Stage by stage; what is done already is not done again. 0: the agent is written; 1: a job failed; 130: stopped.

    Raises:
        RlpdRobotError: something is asked wrongly; nothing has been written.
    """
    settings, _ = compose(words)
    check_demos(settings)
    check_robot(settings, build)
    directory = Path(settings.run.root) / f"tune-{settings.task['name']}"
    seeds = settings.study.seeds
    say(
        f"tune '{settings.task['name']}': {1 + len(STAGES)} agents × {seeds} seeds × {settings.run.env_steps} "
        f"environment steps = {(1 + len(STAGES)) * seeds * settings.run.env_steps} in all, into {directory}"
    )
    changes: dict[str, Any] = {}
    jobs: list[Job] = []
    found: list[Comparison] = []
    for stage in STAGES:
        agent = replace(settings.agent, **changes)
        tried = changes | {stage.key: stage.other(agent)}
        both = [jobs_of(directory, settings, change) for change in (changes, tried)]
        jobs += [job for side in both for job in side if job not in jobs]
        todo = [job for side in both for job in side if job.result() is None]
        make_directories(directory / "logs")
        failed = run_pool(todo, _starter(words, directory / "logs"), settings.study.parallel, stop, say) if todo else []
        if failed or stop.is_set():
            return 1 if failed else 130
        found.append(compare(stage, getattr(agent, stage.key), tried[stage.key], *both))
        say(found[-1].sentence)
        changes = tried if found[-1].better else changes
    summary = write_results(directory, jobs)
    replace_file(directory / FIGURE, study_png(f"tune: {settings.task['name']}", summary))
    replace_file(directory / AGENT, agent_yaml(replace(settings.agent, **changes), found, settings).encode())
    say(f"{directory / AGENT}: copy it into a folder agent/ below RLPD_ROBOT_CONFIGS, then use agent=NAME")
    return 0


def one_job(label: str, words: Sequence[str], compose: Compose, build: Build, stop: threading.Event, say: Say) -> int:
    """`--job=LABEL`: one agent with one seed, in this process."""
    from rlpd_robot.run.experiment.job import run_job

    settings, _ = compose(words)
    directory = Path(settings.run.root) / f"tune-{settings.task['name']}"
    job = Job(label, settings.run.seed, settings, directory / label / f"seed{settings.run.seed}")
    return 0 if job.result() is not None or run_job(job, build, stop, say) else 130


def jobs_of(directory: Path, settings: Settings, changes: Mapping[str, Any]) -> list[Job]:
    """Every seed of the agent with these changes."""
    label = label_of(changes)
    changed = replace(settings, agent=replace(settings.agent, **changes))
    seeds = range(settings.run.seed, settings.run.seed + settings.study.seeds)
    return [
        Job(label, seed, replace(changed, run=replace(changed.run, seed=seed)), directory / label / f"seed{seed}")
        for seed in seeds
    ]


def label_of(changes: Mapping[str, Any]) -> str:
    """Of an agent, for folders and figures: "as_given", or what is changed."""
    return "+".join(f"{key}={_word(value)}" for key, value in changes.items()) or "as_given"


def compare(stage: Stage, before: Any, after: Any, kept: Sequence[Job], tried: Sequence[Job]) -> Comparison:
    """From the curves of both sides."""
    values = [[score_of(job) for job in side] for side in (kept, tried)]
    differences = [b - a for a, b in zip(*values, strict=True)]
    interval = mean_interval(differences) if len(differences) > 1 else None
    return Comparison(stage, before, after, values[0], values[1], interval)


def score_of(job: Job) -> float:
    """Mean over its evaluations after the first, the last one being the largest: how soon it learns counts too [%]."""
    curve = job.curve()
    if len(curve) < 2:
        raise ConfigError("study.eval_every", job.settings.study.eval_every, "less than run.env_steps")
    return float(np.mean([row["measure"] for row in curve[1:]]))


def agent_yaml(agent: AgentConfig, found: Sequence[Comparison], settings: Settings) -> str:
    """The agent's file: evidence first, then every key."""
    study, run = settings.study, settings.run
    lines = [
        f"# Agent for the task '{settings.task['name']}', as `rlpd-robot tune` found it. Demonstrations: {run.demos}.",
        f"# Each agent learned with {study.seeds} seeds for {run.env_steps} environment steps. A score is the mean of",
        f"# '{study.measure}' [%] over the evaluations after the start. In the order of section 4.4 of RLPD",
        "# (arXiv:2302.02948):",
        *(f"# {comparison.sentence}" for comparison in found),
        *(f"{key}: {_word(getattr(agent, key))}" for key in AgentConfig.__dataclass_fields__),
    ]
    return "\n".join(lines) + "\n"


def _starter(words: Sequence[str], logs: Path) -> Start:
    def start(job: Job) -> Child:
        mine = [word for word in words if not word.startswith("run.seed=")]
        agent = job.settings.agent
        settings = [f"agent.{stage.key}={_word(getattr(agent, stage.key))}" for stage in STAGES]
        return Child(job.name, ["tune", *mine, *settings, f"run.seed={job.seed}", f"--job={job.row}"], logs)

    return start


def _word(value: Any) -> str:
    """A value as YAML has it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
