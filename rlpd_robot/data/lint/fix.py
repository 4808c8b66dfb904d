"""What can be mended without guessing: a new store, in which it has been."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.lint.checks import CHECKS
from rlpd_robot.data.lint.finding import Finding
from rlpd_robot.data.lint.whole import REPEATED
from rlpd_robot.data.progress import OnProgress, no_progress
from rlpd_robot.data.rewrite import rewrite
from rlpd_robot.types import Segment


def repairs(findings: Sequence[Finding]) -> tuple[dict[int, str], dict[int, str]]:
    """Episodes to leave out and episodes to call truncated, each with the name of its check.

    An episode of which something cannot be trained on, or which is there twice, is left out whole: no value is made up.
    """
    kinds: Mapping[str, str] = {check.name: check.repair for check in CHECKS} | {REPEATED: "drop"}
    left_out: dict[int, str] = {}
    truncated: dict[int, str] = {}
    for finding in findings:
        into = {"drop": left_out, "truncate": truncated}.get(kinds.get(finding.check, ""))
        if into is not None:
            for place in finding.places:
                into.setdefault(place.episode, finding.check)
    return left_out, {i: name for i, name in truncated.items() if i not in left_out}


def fix_store(
    source: DemoStore, out: Path | str, findings: Sequence[Finding], on_progress: OnProgress = no_progress
) -> int:
    """Write a mended copy, and return how many episodes it holds.

    Raises:
        StoreError: there is something at `out`, or the disk refused. Nothing is left there.
        DataError: the source is damaged otherwise.
    """
    left_out, truncated = repairs(findings)

    def mend(index: int, episode: Segment) -> Iterator[Segment]:
        yield replace(episode, ending="truncated") if index in truncated else episode

    did = {
        "edit": "lint --fix",
        "left_out": {str(i): name for i, name in sorted(left_out.items())},
        "truncated": {str(i): name for i, name in sorted(truncated.items())},
    }
    return rewrite([source], out, mend, did, frozenset(left_out), on_progress)
