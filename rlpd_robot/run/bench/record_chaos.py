"""`rlpd-robot bench record-chaos`: `rlpd-robot record` is killed again and again, and then books are compared.

Each recorder is a real process that records short episodes from a stand-in, with random actions, one after another,
and dies by SIGKILL at a moment drawn from the seed: while it starts and mends what the one before left, in an episode,
while one is stored, or between two. Afterwards three accounts are held against each other: what the robot executed (its
own book), what the recorders told a person was safe (their printed lines), and what the store holds.
"""

import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.partial_episode import read_partial, recording_path
from rlpd_robot.data.validate import validate
from rlpd_robot.errors import ChildError, PeerTimeoutError, RlpdRobotError
from rlpd_robot.policy.base import RandomPolicy
from rlpd_robot.robot.book import read_book
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.robot.teleop.acting import PolicyTeleop
from rlpd_robot.run.bench.books import Stretch, compare, stretches
from rlpd_robot.run.bench.record_cost import record_cost
from rlpd_robot.run.episode_recorder import CUT_SHORT
from rlpd_robot.run.evaluate import Build
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.processes import Child, path_word
from rlpd_robot.run.settings import Settings
from rlpd_robot.spec import RobotSpec
from rlpd_robot.types import Segment

AIMS = {"tick_p99_ms": 0.2, "durable_max_ms": 100.0}
"""Upper limits: what recording adds to a tick, and from the end of an episode of 200 steps until it is durable."""

STARTING, EPISODE, STORING, BETWEEN = "starting", "in an episode", "storing one", "between two"

_WHILE_STARTING = 0.2  # share of the kills
_LOOK_S = 0.005
_START_S = 60.0
_END_S = 30.0
_TOLD = re.compile(r"episode (\d+): .*?, (\d+) steps, ended by .*; safe after")
"""What a recorder prints once an episode is safe."""


def wander(spec: RobotSpec, function: object = None) -> PolicyTeleop:
    """A teleoperation source of random actions, others in each process: by them the robot's book knows an episode."""
    return PolicyTeleop(spec, RandomPolicy(spec.command_size, np.random.default_rng()))


@dataclass
class Books:
    """What is found to be wrong, and how it went.

    Attributes:
        lost, torn: findings, as sentences.
        struck: kills by the moment that they met.
        seen: (boot, first sequence) of each episode that a reader has seen committed.
    """

    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, int]] = field(default_factory=list)


def run_bench(settings: Settings, words: Sequence[str], build: Build) -> dict[str, Any]:
    """Record, kill, compare; then time an undisturbed recorder.

    Args:
        settings: `record_chaos` says how much, `run.seed` when.
        words: of the processes.
        build: unused; the robot is the processes' affair.

    Raises:
        ChildError, PeerTimeoutError: stand-in or recorder does not work at all.
    """
    wanted = settings.record_chaos
    with ExitStack() as stack:
        folder = Path(wanted.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="rlpd-record-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        books, store, told = _storm(settings, words, folder)
        found = DemoStore.open(store)
        committed = list(found.episodes(hidden=True))
        executed = stretches(read_book(folder / "robot.book"), ActionMap.of(found.problem.robot))
        unseen = compare_books(committed, executed, told, books)
        cost = record_cost(folder / "cost.zarr") if wanted.timed else {}
    figures = {"tick_p99_ms": cost["tick"]["p99"], "durable_max_ms": cost["durable"]["max"]} if cost else {}
    return {
        "kills": sum(books.struck.values()),
        "recorded": len(executed) - unseen,
        "unseen": unseen,
        "told": len(told),
        "committed": len(committed),
        "lost": len(books.lost),
        "torn": len(books.torn),
        "kept_beginnings": sum(episode.cause == CUT_SHORT for episode in committed),
        "transitions": sum(map(len, committed)),
        "struck": dict(books.struck),
        "findings": {"lost": books.lost, "torn": books.torn},
        "cost_ms": cost,
        "aims": AIMS,
        "missed": [name for name, value in figures.items() if value > AIMS[name]],
        "seed": settings.run.seed,
        "passed": not books.lost and not books.torn and sum(books.struck.values()) == wanted.kills,
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for people; its last line is for programs too."""
    struck = ", ".join(f"{count} {moment}" for moment, count in sorted(report["struck"].items()))
    lines = [
        f"killed: {struck}",
        f"{report['told']} episodes were told to be safe, {report['kept_beginnings']} are beginnings that a kill cut "
        f"short; {report['transitions']} transitions in all",
        f"{report['unseen']} recorders died with the first command of an episode, before they saw what followed",
        *(f"{what}: {text}" for what, texts in report["findings"].items() for text in texts),
    ]
    names = {
        "tick": f"recording adds to a tick at 100 Hz (aim: p99 ≤ {AIMS['tick_p99_ms']:g} ms)",
        "durable": f"200 steps durable after the episode's end (aim: ≤ {AIMS['durable_max_ms']:g} ms)",
        "stored": "and in the store",
    }
    for what, q in report["cost_ms"].items():
        lines.append(f"{names[what]}: p50 {q['p50']:.3f} ms, p99 {q['p99']:.3f} ms, max {q['max']:.3f} ms")
    counts = ("kills", "recorded", "committed", "lost", "torn")
    return "\n".join([*lines, " ".join(f"{name}={report[name]}" for name in counts)])


def _storm(settings: Settings, words: Sequence[str], folder: Path) -> tuple[Books, Path, dict[int, int]]:
    """All kills and one last recorder that ends by itself; the store, and by episode the steps that were told."""
    wanted, rng = settings.record_chaos, random.Random(settings.run.seed)
    books, store, logs = Books(), folder / "demos.zarr", folder / "logs"
    logs.mkdir(exist_ok=True)
    (address,) = free_addresses(1)
    link = f"link.robot={address}"
    recording = [
        *("record", *words, link, path_word("record.out", store)),
        *("teleop=script", f"teleop._target_={__name__}.wander"),
        *("record.reset=auto", "record.pace=0", "record.plain=true", "record.keep_partial=keep"),
        f"record.max_steps={wanted.steps}",
    ]
    with ExitStack() as stack:
        sim = Child(
            "sim", ["sim", *words, link, "sim.lockstep=true", path_word("sim.book", folder / "robot.book")], logs
        )
        stack.callback(sim.end, _END_S)
        start_s = 0.0  # what a recorder takes until its first episode
        for number in range(wanted.kills):
            recorder = Child(f"record-{number:04}", [*recording, f"record.seed={1000 * number}"], logs)
            stack.callback(recorder.end, _END_S)
            early = bool(start_s) and rng.random() < _WHILE_STARTING
            wait_s = rng.uniform(0.6, 1.0) * start_s if early else rng.uniform(0.0, wanted.seconds)
            if not early:
                start_s = _until_it_records(recorder, sim)
            time.sleep(wait_s)
            sim.check()
            recorder.check()
            os.kill(recorder.pid, signal.SIGKILL)
            recorder.end(_END_S)
            books.struck[_moment(store, early)] += 1
            look_as_reader(store, books, f"after kill {number + 1}")
            print(f"kill {number + 1} of {wanted.kills}: {len(books.seen)} episodes committed", file=sys.stderr)
        last = Child("record-last", [*recording, "record.seed=0", "record.episodes=1"], logs)
        stack.callback(last.end, _END_S)
        _until_it_ends(last, sim)
        look_as_reader(store, books, "at the end")
    told = "".join(log.read_text(errors="replace") for log in sorted(logs.glob("record-*.log")))
    return books, store, {int(number): int(steps) for number, steps in _TOLD.findall(told)}


def _until_it_records(recorder: Child, sim: Child) -> float:
    """Wait for its first episode; how long after its start that was [s]."""
    deadline = recorder.started_s + _START_S
    while b" begins" not in recorder.log_path.read_bytes():
        sim.check()
        recorder.check()
        if time.monotonic() > deadline:
            raise PeerTimeoutError("the recorder's first episode", str(recorder.log_path), _START_S, "See that log.")
        time.sleep(_LOOK_S)
    return time.monotonic() - recorder.started_s


def _until_it_ends(recorder: Child, sim: Child) -> None:
    deadline = time.monotonic() + _START_S
    while recorder.running and time.monotonic() < deadline:
        sim.check()
        time.sleep(_LOOK_S)
    if recorder.status != 0:
        raise ChildError("record", recorder.state, recorder.last_words())


def _moment(store: Path, early: bool) -> str:
    """What the kill met, by what it left."""
    if early:
        return STARTING
    if not recording_path(store).exists():
        return BETWEEN
    try:
        left = read_partial(recording_path(store), DemoStore.open(store).problem)
    except RlpdRobotError:  # `look_as_reader` tells of it
        return EPISODE
    return STORING if left is not None and left.finished else EPISODE


def look_as_reader(store: Path, books: Books, when: str) -> None:
    """As a reader, before any writer mends it: whatever was committed is there, and whole."""
    if not store.exists():
        return
    try:
        now = DemoStore.open(store).identities()
        books.torn += [f"{when}: {problem}" for problem in validate(store)]
    except RlpdRobotError as error:
        books.torn.append(f"{when}: {error}")
        return
    if now[: len(books.seen)] != books.seen:
        books.lost.append(f"{when}: of the {len(books.seen)} episodes that were committed, not all are in their place")
    books.seen = now


def compare_books(
    episodes: Sequence[Segment], executed: Sequence[Stretch], told: Mapping[int, int], books: Books
) -> int:
    """Hold the three accounts against each other, and add to what was found.

    Returns:
        Episodes of a single command, whose recorder died before it saw what followed: there was nothing to record.

    Args:
        episodes: all of the store.
        executed: by the robot's own book, one a reset.
        told: by episode, how many steps a person was told to be safe.
    """
    for number, steps in told.items():
        there = len(episodes[number]) if number < len(episodes) else 0
        if there != steps:
            books.lost.append(f"episode {number} was told to be safe with {steps} steps, the store holds {there}")
    found = compare(executed, episodes, lockstep=True)
    books.lost += found.lost
    books.torn += [*found.torn, *found.duplicated, *found.not_executed]
    return sum(
        len(stretch) == 1 and f"command {stretch.numbers[0]} of {stretch}" in found.unobserved for stretch in executed
    )
