"""Whether a policy belongs to this robot, is finite, and sees what it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import DataError, RlpdRobotError, StoreError
from rlpd_robot.policy.numpy_actor import NumpyActor
from rlpd_robot.policy.snapshot_file import check_snapshot, load_snapshot
from rlpd_robot.run.checkpoint import CHECKPOINTS, newest_policy
from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import PolicySnapshot

POLICY, LIVE = "policy.npz", "live.zarr"

_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Training:
    """What a policy was trained on, as far as it is at hand.

    Attributes:
        stores: of demonstrations and of the run's own transitions.
        problem: robot and task of the first of them; None: there is none.
        low, high: (O,) of the observations in all of them.
    """

    stores: tuple[Path, ...]
    problem: ProblemSpec | None
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def find_policy(given: str) -> Path:
    """The file: as given, or in the directory given; of a run that has not come to its end, its newest checkpoint's.

    Raises:
        DataError: there is none.
    """
    path = Path(given)
    if path.is_dir():
        final = path / POLICY
        path = final if final.is_file() else newest_policy(path / CHECKPOINTS) or final
    if not path.is_file():
        raise DataError("Setting 'policy'", f"there is no file {str(path)!r}", "a policy file or a run's directory")
    return path


def load_training(policy: Path, demos: str | None) -> Training:
    """Stores beside the policy or above it (a checkpoint's), and the demonstrations of the settings.

    Raises:
        StoreError: one of them is damaged.
    """
    beside = [folder / LIVE for folder in (policy.parent, *policy.parent.parents[:2])]
    paths = [*(path for path in beside if path.is_dir()), *([Path(demos)] if demos else [])]
    stores, lows, highs, problem = [], [], [], None
    for path in dict.fromkeys(paths):
        store = DemoStore.open(path)
        if problem is not None and store.problem.differences(problem):
            continue
        seen = [segment.observations for segment in store.episodes()]
        if seen:
            problem = problem or store.problem
            stores.append(path)
            lows.append(np.min([one.min(axis=0) for one in seen], axis=0))
            highs.append(np.max([one.max(axis=0) for one in seen], axis=0))
    empty = np.zeros(0, np.float32)
    low, high = (np.min(lows, axis=0), np.max(highs, axis=0)) if lows else (empty, empty)
    return Training(tuple(stores), problem, low, high)


def load_policy(path: Path) -> PolicySnapshot | Check:
    """The policy, or the check that failed on it."""
    try:
        return load_snapshot(path)
    except DataError as error:
        return Check("policy", "whole, and of finite numbers", str(error), False, "Take another checkpoint.")


def check_problem(snapshot: PolicySnapshot, problem: ProblemSpec, training: Training) -> Check:
    """Whether the policy was trained for this robot, task and rate; where not, what differs."""
    requirement = "trained for this robot, task and control period"
    try:
        check_snapshot(snapshot, problem)
    except RlpdRobotError as error:
        differences = training.problem.differences(problem) if training.problem is not None else []
        shown = "; ".join(_swap(difference) for difference in differences[:_SHOWN])
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        return Check(
            "policy's robot",
            requirement,
            f"{shown}{more}" if shown else str(error),
            False,
            "Use a policy of this robot, or give the robot the rate, names and ranges that it was trained with.",
        )
    return Check("policy's robot", requirement, f"fingerprint {snapshot.fingerprint} on both sides", True)


def _swap(difference: str) -> str:
    """ "path: ours here, theirs there", said of training and robot."""
    return difference.replace(" here, ", " in training, ").removesuffix(" there") + " on this robot"


def check_range(training: Training, seen: Sequence[NDArray[np.float32]], most: float, margin: float) -> Check:
    """Whether the policy sees what it was trained on.

    The median of the episodes is judged: a wrong sensor or scene is wrong in each of them, while one episode that went
    astray shows what the policy did, which the check of success judges.

    Args:
        training: its range.
        seen: (N, O) observations of each undisturbed episode.
        most: part of an episode's observations that may lie outside.
        margin: by which one must leave the range to count [part of it].
    """
    requirement = (
        f"at most {100 * most:g} % of the median episode's observations outside those of training by more than "
        f"{100 * margin:g} %"
    )
    if not training.stores:
        return skipped("training range", requirement, f"no {LIVE} beside the policy and no run.demos to compare with")
    if not len(seen):
        return skipped("training range", requirement, "nothing was observed")
    span = margin * np.maximum(training.high - training.low, 1e-6)
    outside = [(rows < training.low - span) | (rows > training.high + span) for rows in seen]
    shares = [float(one.any(axis=1).mean()) for one in outside]
    share, of_each = float(np.median(shares)), np.concatenate(outside).mean(axis=0)
    worst = [int(i) for i in np.argsort(-of_each)[:_SHOWN] if of_each[i] > 0]
    told = ", ".join(f"[{i}] {100 * of_each[i]:.1f} %" for i in worst)
    return Check(
        "training range",
        requirement,
        f"{100 * share:.2f} %, {len(seen)} episodes, at most {100 * max(shares):.2f} %"
        + (f"; elements {told}" if told else ""),
        share <= most,
        "These elements of the observation are new to the policy: a sensor's zero, unit or place, or another scene.",
    )


def check_finite(snapshot: PolicySnapshot, training: Training, seen: Sequence[NDArray[np.float32]]) -> Check:
    """Whether its actions are finite on what it sees, and at the corners of what it was trained on."""
    actor, bad, count, saturated = NumpyActor(snapshot, np.random.default_rng(0)), 0, 0, 0.0
    corners = [training.low, training.high, (training.low + training.high) / 2] if training.stores else []
    for observation in (*corners, *seen):
        action = actor.act(np.asarray(observation, np.float32), False)
        bad += not np.isfinite(action).all()
        saturated += float((np.abs(action) > 0.999).mean())
        count += 1
    return Check(
        "policy finite",
        "every action a finite number, on what it saw and at the ends of its training range",
        f"{bad} not finite of {count}; {100 * saturated / max(1, count):.0f} % of the elements at ±1",
        bad == 0 and count > 0,
        "Take another checkpoint.",
    )


def stores_or_check(policy: Path, demos: str | None) -> Training | Check:
    """What the policy was trained on, or the check that failed on it."""
    try:
        return load_training(policy, demos)
    except StoreError as error:
        return Check(
            "training data", "readable, where it is at hand", str(error), False, "Give run.demos another path."
        )
