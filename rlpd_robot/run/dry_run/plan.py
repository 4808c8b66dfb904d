"""What a dry run needs to know before anything moves: robot, limits, policy, and whether they belong together."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlpd_robot.errors import ConfigError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety_limits import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.run.dry_run.policy_checks import (
    Training,
    check_finite,
    check_problem,
    load_policy,
    stores_or_check,
)
from rlpd_robot.run.dry_run.sheet import FAULT, Findings
from rlpd_robot.run.dry_run.stage import LINKS, own_words, plays_joints, stand_in_recipe, stand_in_words
from rlpd_robot.run.dry_run.trials import Link, Trial, fit, in_words, parse
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import PolicySnapshot

Say = Callable[[str], None]
Compose = Callable[[Sequence[str]], Settings]
"""Makes settings of words."""

_CONNECT_S, _LOOK_S = 30.0, 1.0


@dataclass(frozen=True, eq=False)
class Plan:
    """What a dry run needs to know.

    Attributes:
        settings, words: of the run that is to come.
        folder: for everything that is written.
        problem: robot and task.
        limits: of the safety filter.
        snapshot: the policy, or none.
        training: what it was trained on.
        trials: to be made.
    """

    settings: Settings
    words: Sequence[str]
    folder: Path
    problem: ProblemSpec
    limits: SafetyLimits
    snapshot: PolicySnapshot | None
    training: Training
    trials: Sequence[Trial]

    @property
    def period_s(self) -> float:
        """Of control [s]."""
        return self.problem.robot.period_s

    @property
    def random(self) -> PolicySnapshot:
        """Random actions."""
        return PolicySnapshot(0, self.problem.fingerprint, 0, 0, {})


def check_stand_in(settings: Settings) -> None:
    """Only the far end of the robot is another one.

    Raises:
        ConfigError: nothing can stand in for this robot.
    """
    stand_in = stand_in_recipe(settings)
    if stand_in is None:
        expected = (
            f"a recipe: nothing stands in for robot '{settings.robot.name}' yet (docs/dry_run.md says how to give one)"
        )
        raise ConfigError("robot.stand_in", None, expected)
    if "faults" not in stand_in:
        expected = f"one that takes faults; that of robot '{settings.robot.name}' plays a robot without any"
        raise ConfigError("robot.stand_in", stand_in.get("_target_"), expected)


def make_plan(
    settings: Settings,
    words: Sequence[str],
    build: Build,
    compose: Compose,
    task: Task,
    path: Path | None,
    folder: Path,
    findings: Findings,
    say: Say,
) -> Plan | None:
    """Look at policy, robot and limits; None: what was found forbids any motion."""
    checks = findings.checks
    snapshot, training = None, Training((), None, np.zeros(0, np.float32), np.zeros(0, np.float32))
    if path is not None:
        for found in (load_policy(path), stores_or_check(path, settings.run.demos)):
            if isinstance(found, Check):
                checks.append(found)
            elif isinstance(found, Training):
                training = found
            else:
                snapshot = found
    say(f"meets the stand-in of robot '{settings.robot.name}'")
    problem = _meet([*words, *stand_in_words(settings)], build, compose, task, folder)
    findings.period_s = problem.robot.period_s
    limits = None
    try:
        limits = SafetyLimits.of_robot(settings.safety, problem.robot, settings.robot.stand_in is not None)
    except RlpdRobotError as error:
        remedy = "Give the safety file the fields, units and range of this robot (docs/safety.md)."
        checks.append(Check("safety limits", "complete, and inside the robot's own", str(error), False, remedy))
    if snapshot is not None:
        checks.append(check_problem(snapshot, problem, training))
        if checks[-1].passed:
            checks.append(check_finite(snapshot, training, []))
    period_s, link = problem.robot.period_s, _link(settings)
    fitted = fit(parse(settings.dry_run, settings.watchdog, period_s), problem.robot, settings.watchdog, link)
    checks += [skipped(f"{FAULT}{trial.name}", in_words(trial, period_s), why) for trial, why in fitted if why]
    trials = [trial for trial, why in fitted if not why]
    if limits is None or any(check.passed is False for check in checks):
        say("stops here: nothing may move with this")
        return None
    return Plan(settings, words, folder, problem, limits, snapshot, training, trials)


def _link(settings: Settings) -> Link:
    """A robot whose joints alone are played is one of ros2_control: it has no watchdog."""
    driver = settings.robot.driver
    return Link("subscribe" not in driver or bool(driver["subscribe"]), not plays_joints(settings))


def _meet(words: Sequence[str], build: Build, compose: Compose, task: Task, folder: Path) -> ProblemSpec:
    """Shake hands with the stand-in for a moment, with the robot's own driver.

    Raises:
        RlpdRobotError: it does not answer, or does not measure what the task needs.
    """
    with ExitStack() as stack:
        logs = stack.enter_context(tempfile.TemporaryDirectory())
        mine = own_words(words, folder, free_addresses(len(LINKS)))
        stand_in = Child("sim", ["sim", *mine], Path(logs))
        stack.callback(stand_in.end, 5.0)
        driver: Driver = build(compose(mine).robot.driver)
        stack.callback(driver.close)
        deadline_s = time.monotonic() + _CONNECT_S
        while True:
            try:
                return problem_of(task, driver.connect(_LOOK_S))
            except PeerTimeoutError:
                stand_in.check()
                if time.monotonic() > deadline_s:
                    raise
