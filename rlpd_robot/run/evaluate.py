"""Deterministic episodes with one policy: the figure that a run is judged by, and a film of one of them."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.errors import ArmRefusedError, FaultError, NoRenderingError, StoreError
from rlpd_robot.policy.base import Policy
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot
from rlpd_robot.robot.control_loop import ControlLoop
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.episode import EpisodeSummary
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.checkpoint import CHECKPOINTS, newest_policy
from rlpd_robot.run.realtime import check_core, come_first
from rlpd_robot.run.settings import EvalSettings, Settings
from rlpd_robot.run.statistics import wilson_interval
from rlpd_robot.timing import SystemClock
from rlpd_robot.types import PolicySnapshot

Build = Callable[..., Any]
"""Makes what a recipe of the settings names; `config.build`."""

_ATTEMPTS = 50  # looks at a stopped stand-in included

POLICY, RESULT = "policy.npz", "eval.json"


@dataclass(frozen=True)
class Evaluation:
    """What deterministic episodes showed.

    Attributes:
        seeds: of the resets, one an episode.
        episodes: one summary each.
    """

    seeds: Sequence[int]
    episodes: Sequence[EpisodeSummary]

    @property
    def successes(self) -> int:
        """Episodes with at least one solved step."""
        return sum(e.success for e in self.episodes)

    def to_json(self) -> dict[str, Any]:
        """Figures and episodes as plain values; success_ci95 is Wilson's interval, normalized_return in percent."""
        n = len(self.episodes)
        return {
            "success_rate": self.successes / n,
            "success_ci95": list(wilson_interval(self.successes, n)),
            "normalized_return": 100 * float(np.mean([e.solved_fraction for e in self.episodes])),
            "episodes": [
                {
                    "seed": seed,
                    "success": e.success,
                    "normalized_return": 100 * e.solved_fraction,
                    "steps": e.steps,
                }
                for seed, e in zip(self.seeds, self.episodes, strict=True)
            ],
        }


def evaluate(
    driver: Driver,
    task: Task,
    snapshot: PolicySnapshot,
    safety: SafetySettings,
    seeds: Sequence[int],
    connect_s: float,
    stop: threading.Event | None = None,
    simulated: bool = False,
) -> Evaluation:
    """One deterministic episode for each seed, through the same loop and safety filter as in training.

    When `stop` is set, the episode under way is cut and the last one of the result. A fault of a `simulated` robot is
    cleared once its cause is gone, and its episode is tried again: by the wall clock, a busy machine is cause enough.

    Raises:
        SpecMismatchError: the policy was trained for another robot or task.
        FaultError: the robot could not go on.
    """
    check_snapshot(snapshot, problem_of(task, driver.connect(connect_s)))
    policy = NumpyActor(snapshot, np.random.default_rng(0))
    return evaluate_policy(driver, task, policy, safety, seeds, connect_s, stop, simulated)


def evaluate_policy(
    driver: Driver,
    task: Task,
    policy: Policy,
    safety: SafetySettings,
    seeds: Sequence[int],
    connect_s: float,
    stop: threading.Event | None = None,
    simulated: bool = False,
    begin: Callable[[], None] = lambda: None,
) -> Evaluation:
    """As `evaluate`, for any policy.

    Args:
        begin: called before each episode.
    """
    spec = driver.connect(connect_s)
    problem = problem_of(task, spec)
    limits = SafetyLimits.of_robot(safety, spec, simulated or driver.lockstep)
    loop = ControlLoop(driver, task, problem, limits, lambda: policy, "evaluation", SystemClock(), stop_requested=stop)
    episodes: list[EpisodeSummary] = []
    for i, seed in enumerate(seeds):
        if not loop.stop_requested.is_set():
            begin()
            episodes.append(_episode(loop, i, seed, _ATTEMPTS if simulated and not driver.lockstep else 1))
    return Evaluation(seeds[: len(episodes)], episodes)


def _episode(loop: ControlLoop, number: int, seed: int, attempts: int) -> EpisodeSummary:
    for _ in range(attempts - 1):
        with contextlib.suppress(FaultError, ArmRefusedError):
            if loop.fault is not None:
                loop.hold()
                loop.arm()
            return loop.run_episode(number, seed, explore=False)
    return loop.run_episode(number, seed, explore=False)


def seeds_of(settings: EvalSettings) -> list[int]:
    """Reset seeds of an evaluation."""
    return [settings.seed + i for i in range(settings.episodes)]


def film(
    recipe: Mapping[str, Any],
    task: Task,
    snapshot: PolicySnapshot,
    settings: Settings,
    build: Build,
    paths: Sequence[Path],
) -> str | None:
    """Film the first evaluation episode again; None when it worked, otherwise why there is no film.

    A machine without OpenGL learns all the same, so that alone is no error.
    """
    driver = build(recipe)
    try:
        evaluate(driver, task, snapshot, settings.safety, seeds_of(settings.eval)[:1], settings.actor.connect_s)
        driver.save(*paths)
    except NoRenderingError as error:
        return str(error)
    finally:
        driver.close()
    return None


def run_eval(settings: Settings, build: Build) -> int:
    """`rlpd-robot eval`: 0 when enough episodes were solved, 1 when not."""
    directory = settings.run.directory
    path = Path(settings.eval.policy) if settings.eval.policy else directory / POLICY
    if not settings.eval.policy and not path.is_file():  # not finished yet: what its newest checkpoint has
        path = newest_policy(directory / CHECKPOINTS) or path
    if not path.is_file():
        raise StoreError(
            path, "there is no such policy file", "Name one with eval.policy=FILE, or a run with run.name=NAME."
        )
    snapshot = load_snapshot(path)
    check_core(settings.actor.cpu)
    driver = build(settings.robot.driver)
    try:
        driver.connect(settings.actor.connect_s)
        if not driver.lockstep:
            for told in come_first(settings.actor.cpu, settings.actor.realtime_priority):
                print(told, flush=True)
        result = evaluate(
            driver,
            build(settings.task),
            snapshot,
            settings.safety,
            seeds_of(settings.eval),
            settings.actor.connect_s,
            simulated=settings.robot.stand_in is not None,
        )
    finally:
        driver.close()
    figures = result.to_json()
    for episode in figures["episodes"]:
        word = "solved" if episode["success"] else "failed"
        print(f"seed {episode['seed']}  {word}  normalised return {episode['normalized_return']:5.1f}")
    print(sentence(result))
    if settings.eval.policy is None:
        (directory / RESULT).write_text(json.dumps(figures, indent=1))
    return 0 if figures["success_rate"] >= settings.eval.min_success else 1


def sentence(result: Evaluation) -> str:
    """The verdict of an evaluation in words."""
    figures, n = result.to_json(), len(result.episodes)
    low, high = figures["success_ci95"]
    return (
        f"{result.successes} of {n} deterministic episodes solved (95 % interval {100 * low:.0f}–{100 * high:.0f} %), "
        f"normalised return {figures['normalized_return']:.1f}"
    )
