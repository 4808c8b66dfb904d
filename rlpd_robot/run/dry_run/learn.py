"""The run that is to come, with its learner, while processes die and the link is cut: is everything delivered, once?"""

from collections.abc import Callable, Sequence
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.robot.book import read_book
from rlpd_robot.robot.task import ActionMap
from rlpd_robot.run.bench.books import Comparison, compare, stretches
from rlpd_robot.run.bench.chaos_faults import Fault
from rlpd_robot.run.bench.chaos_run import LIVE, ChaosRun
from rlpd_robot.run.dry_run.check import Check
from rlpd_robot.run.ports import free_addresses
from rlpd_robot.run.settings import Settings

LEARN = "learn"
"""Of the stage."""

FAULTS = (
    Fault("cut", "data", 1.0, True, seconds=1.5),
    Fault("kill", "actor", 1.0, True, moment="unsent"),
    Fault("kill", "learner", 1.0, True),
    Fault("kill", "sim", 1.0, True),
)

_LINKS = ("robot", "data", "policy", "control")


def try_learning(settings: Settings, words: Sequence[str], folder: Path, say: Callable[[str], None]) -> list[Check]:
    """Learn for a while under a few faults; then the robot's book and the learner's store must agree.

    Args:
        settings: of the run that is to come, on links of this machine.
        words: they came from.
        folder: of the dry run.
        say: takes a line for people.

    Raises:
        ChildError: a process cannot be kept running.
        PeerTimeoutError: nothing was learned in time.
    """
    addresses = dict(zip(_LINKS, free_addresses(len(_LINKS)), strict=True))
    with ChaosRun(LEARN, folder, settings, words, False, addresses, settings.run.seed) as run:
        run.learns()
        for fault in FAULTS:
            struck = run.strike(fault)
            recovered = run.recovers(settings.chaos.recovery_s)
            after = f"committed again after {struck.recovered_s - struck.over_s:.1f} s" if struck.recovered_s else "?"
            say(f"learning, {fault}: {after if recovered else 'nothing was committed any more'}")
        statuses = run.end()
        struck_all = run.struck
    store = DemoStore.open(run.directory / LIVE)
    found = compare(stretches(read_book(run.book), ActionMap.of(store.problem.robot)), store.episodes(), False)
    ended = [f"{name} ended with status {status}" for name, status in statuses.items() if status != 0]
    silent = [str(struck.fault) for struck in struck_all if struck.recovered_s is None]
    return [check_delivery(found, ended), check_recovery(silent, len(struck_all))]


def check_delivery(found: Comparison, ended: Sequence[str]) -> Check:
    """What was executed against what was committed."""
    bad = [*found.lost, *found.duplicated, *found.torn, *found.not_executed, *ended]
    counts = (
        f"{found.executed} executed, {found.committed} committed, {len(found.unobserved)} nobody saw the outcome of"
    )
    return Check(
        "delivery",
        "each transition in the learner's store exactly once, by the robot's own book, whatever dies meanwhile",
        f"{counts}; {len(found.lost)} lost, {len(found.duplicated)} twice" + (f": {bad[0]}" if bad else ""),
        not bad and found.committed > 0,
        "Look at the disks of both machines (`rlpd-robot bench chaos` looks closer); keep the folder of this dry run.",
    )


def check_recovery(silent: Sequence[str], count: int) -> Check:
    """Whether transitions were committed again after each fault."""
    return Check(
        "learning goes on",
        "after each fault new transitions are committed again",
        f"{count - len(silent)} of {count} faults" + (f"; not after: {', '.join(silent)}" if silent else ""),
        not silent,
        "See the logs of the stage 'learn'.",
    )
