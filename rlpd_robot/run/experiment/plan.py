"""Which jobs a study has, and which of them are done."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rlpd_robot.errors import ConfigError, StoreError
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.metrics import read_jsonl
from rlpd_robot.run.prior_data import open_demos, where
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import fingerprint

CURVE, RESULT = "curve.jsonl", "result.json"
"""In a job's directory: an evaluation a line; what the finished job came to."""

Compose = Callable[[Sequence[str]], tuple[Settings, str]]
"""From words of the command line to settings, and to their text."""


@dataclass(frozen=True)
class Job:
    """One row with one seed.

    Attributes:
        row, seed: which one.
        settings: complete.
        directory: of what it writes.
    """

    row: str
    seed: int
    settings: Settings
    directory: Path

    @property
    def name(self) -> str:
        """For logs."""
        return f"{self.row}-seed{self.seed}"

    @property
    def fingerprint(self) -> str:
        """Of everything that its result depends on."""
        settings = self.settings
        return fingerprint(
            {
                "agent": asdict(settings.agent),
                "task": dict(settings.task),
                "driver": dict(settings.robot.driver),
                "demos": settings.run.demos,
                "steps": settings.run.env_steps,
                "block": settings.learner.publish_every,
                "seed": self.seed,
                "study": [getattr(settings.study, key) for key in ("eval_every", "eval_episodes", "final_episodes")],
                "first evaluation seed": settings.eval.seed,
            }
        )

    def result(self) -> dict[str, Any] | None:
        """What it came to; None while it is not done.

        Raises:
            ConfigError: the result there is of other settings.
        """
        try:
            result: dict[str, Any] = json.loads((self.directory / RESULT).read_text())
        except FileNotFoundError:
            return None
        if result.get("fingerprint") != self.fingerprint:
            expected = f"another folder: {str(self.directory)!r} holds the result of other settings, which stays"
            raise ConfigError("run.root", self.settings.run.root, expected)
        return result

    def curve(self) -> list[dict[str, Any]]:
        """Its evaluations so far."""
        return read_jsonl(self.directory / CURVE)


def directory_of(name: str, settings: Settings) -> Path:
    """Where a study writes."""
    return Path(settings.run.root) / name.replace("/", "-")


def job_of(name: str, row: str, seed: int, settings: Settings) -> Job:
    """One job of a study."""
    settings = replace(settings, run=replace(settings.run, seed=seed))
    return Job(row, seed, settings, directory_of(name, settings) / row / f"seed{seed}")


def plan(name: str, words: Sequence[str], compose: Compose, build: Build | None = None) -> list[Job]:
    """Every job of a study, the first seed of each row first, after a look at all that can be wrong.

    Raises:
        ConfigError: no such study or row, or settings that do not go together.
        StoreError: there is no such demonstration store.
    """
    study, _ = compose([f"experiment={name}", *words])
    if build is not None:
        check_robot(study, build)
    rows = {row: compose([f"experiment={name}", f"row={row}", *words])[0] for row in study.study.rows}
    for row, settings in rows.items():
        if settings.study.row != row:
            raise ConfigError("study.row", settings.study.row, f"'{row}', as the file row/{row}.yaml is called")
        check_demos(settings)
    seeds = range(study.run.seed, study.run.seed + study.study.seeds)
    return [job_of(name, row, seed, settings) for seed in seeds for row, settings in rows.items()]


def check_robot(settings: Settings, build: Build) -> None:
    """See that the robot is a simulator in its own process, in lock-step, before anything is begun.

    Raises:
        ConfigError: it is not.
    """
    with closing(build(settings.robot.driver)) as driver:
        if not getattr(driver, "lockstep", False):  # the others know it after they are connected
            expected = (
                "adroit_in_process, gymnasium, or another whose driver simulates in its own process, in lock-step"
            )
            raise ConfigError("robot", settings.robot.name, expected)


def check_demos(settings: Settings) -> None:
    """See that the prior data is there.

    Raises:
        ConfigError: the settings need it, and name none.
        StoreError: there is none of that name, and how to have it; or it is empty or damaged.
    """
    path = settings.run.demos
    if path is not None and settings.agent.needs_demos and not where(path).exists():
        way = settings.study.prior.strip() or "`rlpd-robot demos collect` and `demos import` make one."
        raise StoreError(path, "there is no such demonstration store", f"How to have it: {way}")
    if settings.agent.needs_demos:
        open_demos(settings)
