"""What cannot work in a run, found before anything is written."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rlpd_robot.data.demo_store import StoreSummary
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.directory import refuse_existing
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.ports import check_free
from rlpd_robot.run.prior_data import open_demos, warnings_of
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.stand_in import connect, stand_in_of
from rlpd_robot.spec import ProblemSpec


@dataclass(frozen=True)
class Plan:
    """What a run starts from.

    Attributes:
        task: at hand.
        demos: figures of the prior data, or None.
        lockstep: whether the robot waits for each command.
        warnings: what the checks say of them, line by line.
    """

    task: Task
    demos: StoreSummary | None
    lockstep: bool
    warnings: Sequence[str] = ()


def preflight(settings: Settings, words: Sequence[str], build: Build) -> Plan:
    """Look at everything that a run needs, the robot included.

    Args:
        words: of the command line, for the stand-in that is started for a moment.

    Raises:
        RlpdRobotError: the first thing found.
    """
    run = settings.run
    settings.agent.check_robot()
    if settings.resume == "never":
        refuse_existing(run)
    task: Task = build(settings.task)
    demos = open_demos(settings)
    if demos is not None:
        demos.transitions()
    link = settings.link
    listening = {"link.data": link.data, "link.policy": link.policy, "link.control": link.control}
    if settings.robot.stand_in is not None:
        listening["link.robot"] = link.robot
    check_free(listening, settings.security)
    problem, lockstep = _meet_robot(settings, words, build, task)
    if demos is not None:
        demos.check(problem)
    if demos is None:
        return Plan(task, None, lockstep)
    return Plan(task, demos.summary(), lockstep, warnings_of(demos))


def _meet_robot(settings: Settings, words: Sequence[str], build: Build, task: Task) -> tuple[ProblemSpec, bool]:
    """Connect to the robot, or to its stand-in for a moment, and see whether task and safety limits fit it."""
    with ExitStack() as stack:
        stand_in = None
        if settings.robot.stand_in is not None:
            stand_in = stack.enter_context(stand_in_of(words))
        driver = build(settings.robot.driver)
        stack.callback(driver.close)
        spec = connect(driver, stand_in, settings.actor.connect_s)
    problem = problem_of(task, spec)
    SafetyLimits.of_robot(settings.safety, spec, settings.robot.stand_in is not None or driver.lockstep)
    return problem, driver.lockstep
