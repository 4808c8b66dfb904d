"""`summary.json`: one run in figures, each read from what the processes left on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpd_robot.data.demo_store import DemoStore, StoreSummary
from rlpd_robot.run.evaluate import Evaluation
from rlpd_robot.run.settings import Settings
from rlpd_robot.wire.journal_file import scan


def summarise(
    settings: Settings, task: str, demos: StoreSummary | None, result: Evaluation, wall_s: float, video: str | None
) -> dict[str, Any]:
    """All figures of a finished run.

    `delivery` is counted in the live store itself: executed transitions against (boot, sequence) pairs on disk.
    """
    directory = settings.run.directory
    learner = json.loads((directory / "learner.json").read_text())
    actor = json.loads((directory / "actor.json").read_text())
    figures = result.to_json()
    learned = figures["success_rate"] >= settings.eval.min_success
    reference = None if demos is None else demos.mean_normalized_return
    return {
        "task": task,
        "seed": settings.run.seed,
        "learned": learned,
        "verdict": _verdict(learned, figures, reference, settings.eval.min_success),
        "env_steps": learner["env_steps"],
        "wall_s": round(wall_s, 1),
        "critic_updates": learner["critic_updates"],
        "utd_target": learner["utd_target"],
        "utd_realised": learner["utd_realised"],
        "demos": None
        if demos is None
        else {
            "path": settings.run.demos,
            "episodes": demos.episodes,
            "success_rate": demos.success_rate,
            "normalized_return": demos.mean_normalized_return,
        },
        "eval": {
            "episodes": len(result.episodes),
            "success_rate": figures["success_rate"],
            "success_ci95": figures["success_ci95"],
            "normalized_return": figures["normalized_return"],
        },
        "actor": {
            "period_ms": actor["period_ms"],
            "lateness_ms": {q: actor[f"lateness_ms_{q}"] for q in ("p50", "p99", "p999")},
            "deadline_misses": int(actor["deadline_misses"]),
            "lockstep": bool(actor["lockstep"]),
        },
        "delivery": delivery(directory / "live.zarr", int(actor["steps"]), directory / "actor" / "journal"),
        "policy": {
            "published": learner["published"],
            "age_s": {q: actor[f"policy_age_s_{q}"] for q in ("p50", "p99")},
        },
        "learner": {"compile_s": learner["compile_s"], "compiles": learner["compiles"]},
        **({"diagnostics": learner["diagnostics"]} if "diagnostics" in learner else {}),
        "video": video,
    }


def delivery(live: Path, sent: int, journal: Path) -> dict[str, int]:
    """Executed transitions against those in the store, each identified by (boot, sequence).

    Those that only the actor's journal has are waiting, not lost: by the wall clock it acts on while a learner catches
    up, and `resume=auto` takes them in.

    Args:
        live: the run's store.
        sent: by the last actor; those before it executed as far as the highest sequence that the store has of each.
        journal: the actor's, of which nobody writes any more.
    """
    rows, boot = 0, ""
    known: set[tuple[str, int]] = set()
    for episode in DemoStore.open(live).episodes(hidden=True):
        rows, boot = rows + len(episode), episode.boot
        known.update((episode.boot, n) for n in range(episode.first_sequence, episode.next_sequence))
    before = sum(end for name, end in DemoStore.open(live).next_sequences().items() if name != boot)
    executed = before + sent
    waiting = {(file.boot, n) for file in scan(journal) for n in range(file.first, file.after[0])} - known
    return {
        "sent": executed,
        "committed": len(known),
        "waiting": len(waiting),
        "lost": executed - len(known) - len(waiting),
        "duplicated": rows - len(known),
    }


def _verdict(learned: bool, figures: Mapping[str, Any], reference: float | None, bar: float) -> str:
    success = f"{100 * figures['success_rate']:.0f} % of evaluation episodes solved"
    if not learned:
        return f"Did not learn: {success}, {100 * bar:.0f} % wanted."
    if reference is None:
        return f"Learned: {success}."
    ours = figures["normalized_return"]
    word = "above" if ours > reference else "below"
    return f"Learned: {success}, normalised return {ours:.1f}, {word} the demonstrations' {reference:.1f}."
