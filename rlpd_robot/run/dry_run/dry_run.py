"""`rlpd-robot dry-run`: the actor that will drive a robot, in front of a stand-in that misbehaves; then a verdict.

Three stages, each a stand-in and an actor as real processes by the wall clock: random commands, undisturbed episodes,
and one fault after the other. The stand-in's own book and readings are the evidence, not what the actor believes.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import ChildError, ConfigError, FaultError
from rlpd_robot.robot.task import Task
from rlpd_robot.run.directory import DRY_RUN, make_directory
from rlpd_robot.run.dry_run import checks as c
from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.run.dry_run.evidence import SEEN, Evidence
from rlpd_robot.run.dry_run.growth import check_disk, check_memory, free_memory
from rlpd_robot.run.dry_run.inflict import inflict
from rlpd_robot.run.dry_run.learn import LEARN, try_learning
from rlpd_robot.run.dry_run.load import Others, blamed
from rlpd_robot.run.dry_run.lockstep import STAGE, Lockstep
from rlpd_robot.run.dry_run.pictures import Envelope
from rlpd_robot.run.dry_run.plan import Compose, Plan, Say, check_stand_in, make_plan
from rlpd_robot.run.dry_run.policy_checks import (
    check_finite,
    check_range,
    find_policy,
)
from rlpd_robot.run.dry_run.randomized import check_randomized, try_randomized
from rlpd_robot.run.dry_run.sheet import FAULT, SHEET, VERDICT, Findings, write
from rlpd_robot.run.dry_run.stage import LINKS, Stage, own_words, plays_joints, stand_in_words
from rlpd_robot.run.dry_run.success import MORE, check_success, deciding
from rlpd_robot.run.dry_run.sweep import ROBUSTNESS, Point, cases, check_sweep, parse_imperfections, try_case
from rlpd_robot.run.dry_run.timeline import interventions, stages_ms
from rlpd_robot.run.dry_run.trials import Seen, Trial, in_words, judge, outcome_in_words, parse
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import path_word
from rlpd_robot.run.settings import Settings
from rlpd_robot.types import PolicySnapshot

STAGES = ("babble", "calm", "faults")

_FAULTS = 10  # in undisturbed stages, after which it is given up
_SLACK_S = 60.0  # to start processes on a busy machine
_ENOUGH_S = 20.0  # of undisturbed episodes of random actions
_HOME_S = 5.0  # of an episode's reset, for a robot that goes home slowly
_BABBLE = 400  # control periods of random commands at least: from fewer, the joints cannot be told apart
_EXAMPLES = 500  # observations on which the policy is tried


def dry_run(
    settings: Settings,
    config_text: str,
    words: Sequence[str],
    build: Build,
    compose: Compose,
    stopped: Callable[[], bool],
) -> int:
    """Try everything, say go or no go. 0: go; 1: no go; 130: a person ended it.

    Raises:
        RlpdRobotError: it could not be tried.
    """
    began_s = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began_s:4.0f} s] {text}", flush=True)

    check_stand_in(settings)
    parse(settings.dry_run, settings.watchdog, 1.0)  # before anything is written
    parse_imperfections(settings.dry_run.imperfections)
    if settings.dry_run.sweep and settings.dry_run.policy is None:
        raise ConfigError("dry_run.policy", None, "the policy that sweep=true is to try")
    task: Task = build(settings.task)
    path = find_policy(settings.dry_run.policy) if settings.dry_run.policy is not None else None
    folder = _fresh_folder(settings)
    findings = Findings(settings.robot.name, task.name, str(path or ""), config_text)
    try:
        plan = make_plan(settings, words, build, compose, task, path, folder, findings, say)
        if plan is not None and _stages(plan, findings, say, stopped):
            if plan.snapshot is None:
                findings.checks.append(check_randomized(None, settings.dry_run.randomized_success, False))
            else:
                lockstep = Lockstep(settings, words, folder, build, compose, task, plan.snapshot)
                _try_lockstep(lockstep, findings, say, stopped)
            if settings.dry_run.learn:
                say("learns for a while (the learner compiles first)")
                mine = own_words([*words, *stand_in_words(settings)], folder, free_addresses(len(LINKS)))
                findings.checks += try_learning(compose(mine), mine, folder, say)
    except _Ended:
        print("Ended by a person: no verdict.", flush=True)
        return 130
    except ChildError as error:
        remedy = f"Its log is in {folder}. What a real robot would meet, too: see to it first."
        findings.checks.append(
            Check("processes", "stand-in and actor run until they are ended", str(error), False, remedy)
        )
    findings.wall_s = time.monotonic() - began_s
    write(findings, folder)
    _close(findings, folder)
    return 0 if findings.go else 1


_NO_MOTION = Check(
    "motion",
    "the robot follows commands while nothing is inflicted",
    "it followed none",
    False,
    "Nothing else here means anything: see the logs of the stage 'calm'.",
)


class _Ended(Exception):  # noqa: N818
    """A person has asked for it."""


def _fresh_folder(settings: Settings) -> Path:
    """Where it is written; what the last dry run left there is removed."""
    folder = make_directory(settings.run, DRY_RUN)
    for name in (*STAGES, LEARN, STAGE):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (VERDICT, SHEET, f"{LEARN}.book"):
        (folder / name).unlink(missing_ok=True)
    return folder


def _stages(plan: Plan, findings: Findings, say: Say, stopped: Callable[[], bool]) -> bool:
    """All stages of the actor; False: the robot would not move."""
    dry, books = plan.settings.dry_run, []
    pairs = c.joint_pairs(plan.problem.robot, plan.limits.measured)
    size, places = len(plan.limits.low), list[c.Places]()
    if dry.babble_s > 0:
        babble_s = max(dry.babble_s, _BABBLE * plan.period_s)
        say(f"random commands for {babble_s:g} s")
        others = Others()
        with _stage("babble", plan, plan.random, path_word("actor.record", plan.folder / "babble" / SEEN)) as stage:
            enough = round(babble_s / plan.period_s)
            faults = _undisturbed(stage, lambda: stage.followed() >= enough, babble_s, stopped)
        seen = Evidence(stage.directory)
        books.append(seen.book)
        places.append(seen.places(pairs, size))
        findings.random = _envelope(seen, plan)
        findings.checks += [blamed(_check_quiet("undisturbed (random)", faults), others.cores())]
        if len(seen.executed):
            findings.checks.append(c.check_joints(seen.read, seen.sent, plan.problem.robot, pairs))
    count = _episodes(plan)
    say(f"{count} undisturbed episodes")
    seconds = count * plan.problem.horizon * plan.period_s
    others = Others()
    with _stage("calm", plan, plan.snapshot or plan.random, "actor.greedy_every=1") as stage:
        patience_s = 1.5 * seconds + _HOME_S * count
        faults = _undisturbed(stage, lambda: len(stage.episodes()) >= count, patience_s, stopped)
        if plan.snapshot is not None and not faults and _open(plan, stage):
            say(f"too few solved to be sure: {(MORE - 1) * count} more")
            faults = _undisturbed(stage, lambda: not _open(plan, stage), (MORE - 1) * patience_s, stopped)
    findings.others = others.cores()
    seen = Evidence(stage.directory)
    books.append(seen.book)
    places.append(seen.places(pairs, size))
    _judge_calm(plan, findings, seen, stage, faults)
    if not len(seen.executed):
        findings.checks.append(blamed(_NO_MOTION, findings.others))
        say("stops here: the robot followed nothing")
        return False
    if plan.trials:
        with _stage("faults", plan, plan.snapshot or plan.random) as stage:
            findings.trials = list(_trials(plan, stage, say, stopped))
        books.append(Evidence(stage.directory).book)
        findings.checks += [_check_trial(trial, seen_, plan.period_s) for trial, seen_ in findings.trials]
        findings.checks.append(_check_rearm(findings.trials))
    limits = c.check_limits(books, plan.limits, places if plays_joints(plan.settings) else None)
    findings.checks += [limits, c.check_stale(books, seen.states_per_period(plan.period_s))]
    return True


def _episodes(plan: Plan) -> int:
    """Without a policy nothing is judged that needs many of them."""
    asked = plan.settings.dry_run.episodes
    if plan.snapshot is not None:
        return asked
    return max(1, min(asked, math.ceil(_ENOUGH_S / (plan.problem.horizon * plan.period_s))))


def _open(plan: Plan, stage: Stage) -> bool:
    """Whether more episodes are needed to say whether enough of them are solved."""
    return deciding(stage.episodes(), plan.settings.dry_run.episodes, plan.settings.eval.min_success) is None


@contextlib.contextmanager
def _stage(name: str, plan: Plan, snapshot: PolicySnapshot, *actor_words: str) -> Iterator[Stage]:
    with Stage(name, plan.folder, plan.settings, plan.words, snapshot, actor_words) as stage:
        yield stage


def _undisturbed(stage: Stage, done: Callable[[], bool], seconds: float, stopped: Callable[[], bool]) -> list[str]:
    """Let the actor act until it is done; the faults that came though nobody made them."""
    faults: list[str] = []
    deadline_s = time.monotonic() + seconds + _SLACK_S
    while not stage.until(done, 0.5) and len(faults) < _FAULTS and time.monotonic() < deadline_s:
        if stopped():
            raise _Ended
        if fault := stage.fault():
            faults.append(fault)
            stage.until(lambda: not stage.arm(), 2.0)
    stage.look()
    return faults


def _judge_calm(plan: Plan, findings: Findings, seen: Evidence, stage: Stage, faults: Sequence[str]) -> None:
    dry, settings = plan.settings.dry_run, plan.settings
    ended = stage.episodes()
    episodes = deciding(ended, dry.episodes, settings.eval.min_success) or ended
    checks, figures = findings.checks, seen.figures
    ages_s = seen.ages_s() if len(seen.executed) else np.zeros(0)
    timing = [_check_quiet("undisturbed", faults), *c.check_rate(figures, dry.late)]
    timing += c.check_ages(ages_s, figures, plan.period_s)
    checks += [blamed(check, findings.others) for check in timing]
    if plan.snapshot is not None:
        checks.append(c.check_filter(figures, dry.filtered, settings.safety.name))
        observations = _observations(seen)
        rows = np.concatenate(observations) if observations else ()
        step = max(1, len(rows) // _EXAMPLES)
        checks[:] = [check for check in checks if check.name != "policy finite"]
        checks.append(check_finite(plan.snapshot, plan.training, list(rows[::step])))
        checks.append(check_range(plan.training, observations, dry.outside, dry.margin))
    checks.append(check_success(episodes, settings.eval.min_success, plan.snapshot is not None))
    free = shutil.disk_usage(plan.folder).free
    checks.append(check_disk(seen.size_bytes, seen.seconds, free, dry.session_h))
    checks.append(check_memory(stage.memory, free_memory(), dry.session_h))
    findings.calm = _envelope(seen, plan)
    findings.ages_ms, findings.lateness_s = 1e3 * ages_s, seen.lateness_s
    findings.interventions = interventions(seen.transitions)
    if len(seen.executed):
        findings.stages_ms = stages_ms(seen.executed, seen.measured_s(), seen.transitions, plan.period_s)
    stamps = seen.executed["stamp_s"]
    intervals = np.diff(stamps)
    findings.intervals_ms = 1e3 * intervals[intervals < 0.5]  # between episodes the robot is reset


def _observations(seen: Evidence) -> list[NDArray[np.float32]]:
    """(N, O) of each episode."""
    episodes: dict[int, list[NDArray[np.float32]]] = {}
    for segment in seen.transitions:
        episodes.setdefault(segment.episode, []).append(segment.observations[:-1])
    return [np.concatenate(rows) for rows in episodes.values()]


def _envelope(seen: Evidence, plan: Plan) -> Envelope | None:
    values = seen.executed["values"]
    if not len(values):
        return None
    limits, robot = plan.limits, plan.problem.robot
    names = [label or f"{f.name}[{i}]" for f in robot.command for i, label in enumerate(f.labels or ("",) * f.size)]

    def share(
        value: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray((value - limits.own_low) / limits.width, np.float64)

    return Envelope(names, share(values.min(axis=0)), share(values.max(axis=0)), share(limits.low), share(limits.high))


def _trials(plan: Plan, stage: Stage, say: Say, stopped: Callable[[], bool]) -> Iterator[tuple[Trial, Seen]]:
    for i, trial in enumerate(plan.trials):
        if stopped():
            raise _Ended
        seen = inflict(stage, trial, plan.period_s, plan.settings.dry_run.hold_s)
        problems = judge(trial, seen, plan.period_s)
        word = "FAILED: " + "; ".join(problems) if problems else "ok: " + outcome_in_words(seen)
        say(f"fault {i + 1} of {len(plan.trials)}, {trial.name}: {word}")
        yield trial, seen


def _try_lockstep(lockstep: Lockstep, findings: Findings, say: Say, stopped: Callable[[], bool]) -> None:
    """The policy on other robots, and on worse ones."""
    dry, bar = lockstep.settings.dry_run, lockstep.settings.eval.min_success
    if stopped():
        raise _Ended
    try:
        findings.randomized = try_randomized(lockstep)
    except FaultError as error:  # a robot that stops by itself does so here, too
        findings.checks.append(replace(check_randomized(None, dry.randomized_success, True), passed=False))
        findings.checks[-1] = replace(findings.checks[-1], measured=f"the robot was stopped: {error.cause}")
        return
    findings.checks.append(check_randomized(findings.randomized, dry.randomized_success, True))
    say(f"another robot in each episode: {findings.checks[-1].measured}")
    if dry.sweep and not lockstep.possible:
        findings.checks.append(skipped(ROBUSTNESS, "in lock-step", "the stand-in moves by the wall clock only"))
    elif dry.sweep:
        findings.points = list(_sweep(lockstep, say, stopped))
        findings.checks.append(check_sweep(findings.points, bar))


def _sweep(lockstep: Lockstep, say: Say, stopped: Callable[[], bool]) -> Iterator[Point]:
    dry = lockstep.settings.dry_run
    tried, seeds = cases(parse_imperfections(dry.imperfections)), lockstep.seeds(dry.sweep_episodes)
    for i, (point, faults) in enumerate(tried):
        if stopped():
            raise _Ended
        solved, share = try_case(lockstep, faults, seeds)
        name = f"{point.name} {point.size}".strip()
        say(f"sweep {i + 1} of {len(tried)}, {name}: {solved} of {len(seeds)} solved, return {share:.1f} %")
        yield replace(point, solved=solved, episodes=len(seeds), normalized_return=share)


def _check_trial(trial: Trial, seen: Seen, period_s: float) -> Check:
    problems = judge(trial, seen, period_s)
    measured = "; ".join(problems) if problems else outcome_in_words(seen)
    return Check(f"{FAULT}{trial.name}", in_words(trial, period_s), measured, not problems, _remedy(trial, seen))


def _remedy(trial: Trial, seen: Seen) -> str:
    kind = trial.fault.get("kind")
    if math.isnan(seen.began_s):
        return (
            "The robot did not move before it, or its stand-in knows no such fault: see the logs of the stage 'faults'."
        )
    if trial.expects == "survives":
        return (
            "Either the robot is really not fit for this, or a limit is too tight: see docs/safety.md and `watchdog`."
        )
    if kind in ("reflex", "e_stop") and not seen.sentence:
        return (
            "By what does the robot tell that it has stopped by itself? Over rosbridge, name the topics in "
            "robot.driver.require and e_stop (docs/rosbridge.md)."
        )
    if seen.moved_after and kind in ("latency", "cut", "hang"):
        return (
            "What was under way arrived, and nobody refused it. Over rosbridge, `stamp: robot` of robot.driver.publish "
            "lets a controller refuse what is late (docs/rosbridge.md); else a wire, and nothing on it that is slow."
        )
    return "Look at `watchdog` (docs/safety.md): its limits decide what is noticed, and when."


def _check_rearm(trials: Sequence[tuple[Trial, Seen]]) -> Check:
    stops = [(trial, seen) for trial, seen in trials if seen.sentence]
    moved = [trial.name for trial, seen in stops if seen.moved_after]
    stuck = [trial.name for trial, seen in stops if not seen.rearmed]
    measured = (
        f"{len(stops)} stops; moved before it: {', '.join(moved) or 'none'}; not after it: {', '.join(stuck) or 'none'}"
    )
    return Check(
        "no motion before re-arming",
        "after a fault the robot follows and resets nothing before a person has armed, and moves again afterwards",
        measured,
        not moved and not stuck,
        "A robot that takes commands without a stamp follows late ones: see the faults named here. Where the robot's "
        "own server refuses them, this must not happen: please report it, with the folder of this dry run.",
    )


def _check_quiet(name: str, faults: Sequence[str]) -> Check:
    measured = f"{len(faults)} stops" + (f", the first: {faults[0]}" if faults else "")
    remedy = "The sentence says what to look at; until it is gone, nothing else here means much."
    return Check(name, "no fault while nothing is inflicted", measured, not faults, remedy)


def _close(findings: Findings, folder: Path) -> None:
    lines = [findings.sentence]
    lines += [f"  {check.name}: {check.measured}. {check.remedy}" for check in findings.failed]
    lines.append(f"  sheet  {folder / SHEET}")
    print("\n".join(lines), flush=True)
