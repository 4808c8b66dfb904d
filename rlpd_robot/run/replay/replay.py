"""`rlpd-robot demos replay STORE episode=N`: the wiring, and what a person and a program read of it."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.robot.driver import Driver
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.robot.task import Task, problem_of
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.processes import Child
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.run.realtime import check_core, come_first
from rlpd_robot.run.replay.divergence import FieldDivergence, divergence
from rlpd_robot.run.replay.play import EXACT, Replayed, find_seed, play
from rlpd_robot.run.replay.settings import ReplaySettings
from rlpd_robot.run.reset_seed import likely_seeds
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.stand_in import connect, stand_in_of
from rlpd_robot.types import Segment

_BY_THE_CLOCK = 100  # resets that are tried on a stand-in that takes a control period for each


@dataclass(frozen=True)
class Outcome:
    """A replay and where it began.

    Attributes:
        store, episode: what was played.
        manner: "in lock-step" or "by the wall clock".
        seed: of the reset; None on a robot that has none.
        recorded: the episode.
        played: what became of it.
    """

    store: str
    episode: int
    robot: str
    manner: str
    seed: int | None
    recorded: Segment
    played: Replayed

    @property
    def fields(self) -> list[FieldDivergence]:
        """How far it went from the recording, by state field."""
        p = self.played
        return divergence(self.recorded.observations, p.observations, p.steps, p.observed)


def run_replay(
    path: str,
    wanted: ReplaySettings,
    settings: Settings,
    build: Build,
    start: Sequence[str] | None,
    stop: threading.Event,
    *,
    as_json: bool,
) -> int:
    """Play one episode and print how far it went from the recording; 130 when a person stopped it.

    Args:
        path: of the store.
        start: words of the stand-in to start for it; None: whoever plays the robot runs already.
        stop: set by Ctrl-C: the robot is stopped after the step under way.

    Raises:
        SpecMismatchError: the robot or its task is not that of the store; nothing has been moved.
        DataError: the robot does not stand where the episode began; it has been reset, and not moved any further.
        PeerTimeoutError: nobody plays the robot.
        FaultError: the robot could not go on.
    """
    check_core(settings.actor.cpu)
    store = DemoStore.open(path)
    if not 0 <= wanted.episode < len(store):
        raise ConfigError("episode", wanted.episode, f"one of the store's {len(store)}, counted from 0")
    episode = store.episode(wanted.episode)
    with ExitStack() as stack:
        stand_in = stack.enter_context(stand_in_of(start)) if start is not None else None
        driver = build(settings.robot.driver)
        stack.callback(driver.close)
        outcome = _replay(store, episode, wanted, settings, build, driver, stand_in, stop)
    print(json.dumps(as_plain(outcome), indent=1) if as_json else "\n".join(lines(outcome)))
    return 130 if stop.is_set() else 0


def _replay(
    store: DemoStore,
    episode: Segment,
    wanted: ReplaySettings,
    settings: Settings,
    build: Build,
    driver: Driver,
    stand_in: Child | None,
    stop: threading.Event,
) -> Outcome:
    task: Task = build(settings.task)
    try:
        spec = connect(driver, stand_in, settings.actor.connect_s)
    except PeerTimeoutError as error:
        raise _nobody(settings, error) from error
    problem = problem_of(task, spec)
    store.check(problem)
    simulated = settings.robot.stand_in is not None or driver.lockstep
    limits = SafetyLimits.of_robot(settings.safety, spec, simulated)
    seed = wanted.seed
    if seed is None and simulated:
        seed = _seed_of(store, episode, wanted, settings, build, driver, task, stop)
    if not driver.lockstep:  # as the actor: a command that comes late is none
        for sentence in come_first(settings.actor.cpu, settings.actor.realtime_priority):
            print(sentence, file=sys.stderr, flush=True)
    with progress_bar("replay") as progress:
        played = play(
            driver,
            task,
            problem,
            limits,
            settings,
            episode,
            episode.actions if wanted.actions == "executed" else episode.proposed_actions,
            seed,
            wanted.near,
            wanted.pace,
            stop,
            progress,
        )
    manner = "in lock-step" if driver.lockstep else "by the wall clock"
    return Outcome(str(store.path), wanted.episode, settings.robot.name, manner, seed, episode, played)


def _nobody(settings: Settings, error: PeerTimeoutError) -> RlpdRobotError:
    """The same, with what helps where a stand-in would do."""
    if settings.robot.stand_in is None:
        return error
    return PeerTimeoutError(
        "a robot",
        settings.link.robot,
        settings.actor.connect_s,
        f"Add --start, which starts the stand-in for this replay, or run `rlpd-robot sim robot={settings.robot.name}`.",
    )


def _seed_of(
    store: DemoStore,
    episode: Segment,
    wanted: ReplaySettings,
    settings: Settings,
    build: Build,
    driver: Driver,
    task: Task,
    stop: threading.Event,
) -> int | None:
    """The seed whose reset comes nearest to the episode's start, tried where a reset is quickest."""
    count = wanted.search if driver.lockstep else min(wanted.search, _BY_THE_CLOCK)
    with ExitStack() as stack:
        quick = in_this_process(settings, build)
        if quick is not None:
            stack.callback(quick.close)
            count = wanted.search
        return seed_of(store.attributes, episode, quick or driver, task, count, stop)[0]


def seed_of(
    attributes: Mapping[str, Any], episode: Segment, driver: Driver, task: Task, count: int, stop: threading.Event
) -> tuple[int | None, float]:
    """The seed, of the `count` likeliest, whose reset comes nearest to the episode's start, and how near.

    Args:
        attributes: of its store.
    """
    with progress_bar("look for the start") as progress:
        seeds = islice(likely_seeds(episode, attributes), count)
        return find_seed(driver, task, episode.observations[0], seeds, stop, lambda done: progress(done, count))


def in_this_process(settings: Settings, build: Build) -> Driver | None:
    """The robot's stand-in without sockets, which resets thousands of times a second; None: there is none here."""
    if settings.robot.film is None:
        return None
    try:
        driver: Driver = build(settings.robot.film)
        driver.connect(settings.actor.connect_s)
    except RlpdRobotError:  # MuJoCo is not installed here; the one behind the link has it
        return None
    return driver


def as_plain(outcome: Outcome) -> dict[str, Any]:
    """Everything, for a program."""
    played, recorded = outcome.played, outcome.recorded
    return {
        "store": outcome.store,
        "episode": outcome.episode,
        "robot": outcome.robot,
        "manner": outcome.manner,
        "seed": outcome.seed,
        "start_apart": _number(played.apart),
        "commands": len(recorded),
        "steps": played.steps.tolist(),
        "filtered": played.filtered,
        "cause": played.cause,
        "reward": {"recorded": _total(recorded.rewards), "replayed": _total(played.rewards)},
        "solved_at": {"recorded": _solved_at(recorded.success), "replayed": _solved_at(played.success)},
        "deadline_misses": played.figures["deadline_misses"],
        "not_executed": played.figures["not_executed"],
        "fields": [asdict(field) for field in outcome.fields],
    }


def lines(outcome: Outcome) -> Iterator[str]:
    """The same for a person."""
    played, recorded = outcome.played, outcome.recorded
    yield f"episode {outcome.episode} of {outcome.store} on {outcome.robot}, {outcome.manner}"
    seed = "" if outcome.seed is None else f"seed {outcome.seed}: "
    where = "as recorded" if played.apart <= EXACT else f"up to {played.apart:.3g} from the recorded one"
    yield f"start     {seed}{where}" if np.isfinite(played.apart) else "start     not reached; nothing was played"
    late = f", {played.figures['deadline_misses']:g} deadlines missed" if played.figures["deadline_misses"] else ""
    yield (
        f"played    {len(played.steps)} of {len(recorded)} commands, {played.filtered} changed by the safety filter"
        f"{late}; ended by {played.cause}"
    )
    solved = (_solved_at(recorded.success), _solved_at(played.success))
    words = ["never solved" if at is None else f"solved at step {at}" for at in solved]
    yield f"recorded  return {_total(recorded.rewards):.6g}, {words[0]}"
    yield f"replayed  return {_total(played.rewards):.6g}, {words[1]}"
    fields = outcome.fields
    if fields:
        width = max(len(f.field) for f in fields)
        head = "RMS by quarters of the episode"
        yield f"\n{'divergence':<{width}}  {'unit':<6}  {'RMS':>9}  {'max':>9}  {'at step':>7}  {'of':<8}  {head}"
        for f in fields:
            quarters = "  ".join(f"{_small(q):>9}" for q in f.quarters)
            figures = f"{_small(f.rms):>9}  {_small(f.largest):>9}  {f.step:>7}  {f.worst or '-':<8}"
            yield f"{f.field:<{width}}  {f.unit or '-':<6}  {figures}  {quarters}"


def _solved_at(success: Any) -> int | None:
    return int(success.argmax()) if success.any() else None


def _total(rewards: Any) -> float:
    return float(rewards.sum(dtype=np.float64))


def _small(value: float) -> str:
    return f"{value:.2e}" if value else "0"


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def words_for(store: DemoStore, words: Sequence[str]) -> list[str]:
    """The words, and before them robot and task by the names that the store has, where nobody chose others."""
    chosen = {word.partition("=")[0] for word in words}
    names = {"robot": store.problem.robot.name, "task": store.problem.task}
    added = [f"{group}={name}" for group, name in names.items() if not {group, "experiment"} & chosen]
    return [*added, *words]
