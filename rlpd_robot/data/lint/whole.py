"""The checks that need all episodes of a store: (`Table`) → findings."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.data.dimensions import action_names, observation_names
from rlpd_robot.data.lint import frames, outliers
from rlpd_robot.data.lint.finding import MAX_PLACES, Finding, Place, Severity
from rlpd_robot.data.lint.table import Line, Table

LATE_STEPS = 4  # periods of delay from which a policy that sees one observation suffers
ALMOST = 0.1  # of the nominal period
REPEATED = "repeated-episode"
MANY = 0.2  # of the dimensions

ERROR, WARNING, HINT = Severity.ERROR, Severity.WARNING, Severity.HINT


def _places(lines: Sequence[Line], most: int = MAX_PLACES) -> tuple[Place, ...]:
    return tuple(Place(e.index, 0, e.steps - 1, e.steps, whole=True) for e in lines[:most])


def empty(table: Table) -> Iterator[Finding]:
    """No episode at all."""
    if not table.episodes:
        yield Finding(
            "empty", ERROR, None, "the store holds no episode that is not hidden", (), 0,
            "There is nothing to learn from.",
            "Record or collect demonstrations, or take hidden ones back in (`rlpd-robot demos edit undo STORE`).",
        )  # fmt: skip


def constant_dimensions(table: Table) -> Iterator[Finding]:
    """Numbers that never change anywhere."""
    for kind, ranges, why, fix in (
        (
            "observation", table.observations, "It tells nothing, or its sensor is dead.",
            "See whether it ought to move; if it need not, leave it out of the task's `observe`.",
        ),
        (
            "action", table.actions, "Nothing shows what it does, and exploration will be the first to try it.",
            "Demonstrate it, or take it out of the robot's command.",
        ),
    ):  # fmt: skip
        for r in ranges:
            if r.low == r.high and table.steps > 1:
                what = f"{_named(kind, r.name)} is {r.low:g} in every step of every episode"
                yield Finding(f"constant-{kind}", HINT, r.name, what, (), table.steps, why, fix)


def _named(kind: str, name: str) -> str:
    return name if name.startswith(kind) else f"{kind} {name}"


def duplicated_sensors(table: Table) -> Iterator[Finding]:
    """Two observations that are always equal."""
    names = observation_names(table.problem)
    moving = [i for i, r in enumerate(table.observations) if r.low < r.high]
    for group in table.twins.groups(moving):
        listed = ", ".join(names[i] for i in group)
        yield Finding(
            "duplicated-sensor", WARNING, names[group[1]], f"{listed} are the same in every step", (), table.steps,
            "A sensor read twice is one that is not read: the other thing is not observed.",
            "Look at the task's `observe` and at the robot's state: a wrong index, or a topic mapped twice.",
        )  # fmt: skip


def clipped_at_import(table: Table) -> Iterator[Finding]:
    """Actions that an importer cut off."""
    for sentence, count in table.notes.items():
        if "actions clipped" in sentence:
            yield Finding(
                "clipped-at-import", WARNING, None, f"{count} {sentence} when they were imported", (), count,
                "What was demonstrated was more than what is stored: the data shows its effect with a smaller action.",
                "Give the range in which the source's actions lie (the robot's description), and import again.",
            )  # fmt: skip
            return


def shapes(table: Table) -> Iterator[Finding]:
    """Actions that do not fit the robot's command."""
    problem = table.problem
    if problem.action_size != problem.robot.command_size:
        yield Finding(
            "action-size", WARNING, None,
            f"actions have {problem.action_size} numbers, the robot's command {problem.robot.command_size}",
            (), table.steps,
            "A trained policy could not be mapped to this robot's commands.",
            "Describe the robot by the command that the actions stand for.",
        )  # fmt: skip


def rate(table: Table) -> Iterator[Finding]:
    """The control period of each episode against that of the robot."""
    nominal = table.problem.robot.period_s
    fast = [e for e in table.lines if e.period_s < (1 - ALMOST) * nominal]
    slow = [e for e in table.lines if e.period_s > (1 + ALMOST) * nominal]
    if slow:
        worst = max(e.period_s for e in slow)
        yield Finding(
            "slow-rate", WARNING, None,
            f"{len(slow)} episodes have a state every {1e3 * worst:.3g} ms or so, where {1e3 * nominal:g} ms are meant",
            _places(slow), len(slow),
            "A step of the data moves the robot further than a step of practice will: the two halves of a minibatch "
            "are of two different robots.",
            "Record at the robot's rate, or set period_s to the rate of the data and practise so.",
        )  # fmt: skip
    if fast:
        least = min(e.period_s for e in fast)
        yield Finding(
            "fast-rate", HINT, None,
            f"{len(fast)} episodes have a state every {1e3 * least:.3g} ms or so, where {1e3 * nominal:g} ms are meant",
            _places(fast), len(fast),
            "From a simulator in lock-step this is right, since it does not keep to the wall clock. From a robot it "
            "means that a step is shorter than it will be in practice.",
            "Nothing, if it was simulated in lock-step; otherwise as for slow-rate.",
        )  # fmt: skip


def lag(table: Table) -> Iterator[Finding]:
    """When motion follows action."""
    lags = table.lag.lags()
    if len(lags) < max(1, table.problem.action_size // 4):
        return  # too few dimensions tell
    steps = int(np.median([found.steps for found in lags]))
    period_ms = 1e3 * table.problem.robot.period_s
    names, seen = action_names(table.problem), observation_names(table.problem)
    best = max(lags, key=lambda found: found.correlation)
    example = f"{names[best.action]} and {seen[best.observation]}, correlation {best.correlation:.2f}"
    how = f"by cross-correlation over {len(lags)} of {len(names)} action dimensions (clearest: {example})"
    if steps >= LATE_STEPS:
        yield Finding(
            "late-motion", WARNING, None,
            f"motion follows its action after about {steps} steps ({steps * period_ms:.0f} ms), {how}", (), table.steps,
            "One observation no longer tells what comes next: what the last few actions will still do is hidden.",
            "Find the delay (network, filter, slow servo) and remove it, or let `observe` include the last actions.",
        )  # fmt: skip
    if steps < 0 and all(found.steps < 0 for found in lags):
        yield Finding(
            "motion-before-action", WARNING, None,
            f"motion comes about {-steps} steps before its action, {how}", (), table.steps,
            "Each action is stored with the wrong observation: the data teaches to react after the fact.",
            "Pair each action with the observation that it was chosen from, and convert again.",
        )  # fmt: skip


def reward_sense(table: Table) -> Iterator[Finding]:
    """Rewards and successes that contradict each other, or say nothing."""
    if not table.lines:
        return
    solved = sum(e.solved for e in table.lines)
    others = sum(e.steps for e in table.lines) - solved
    r = table.rewards[0]
    if r.low == r.high:
        yield Finding(
            "constant-reward", WARNING, None, f"every reward is {r.low:g}", (), table.steps,
            "Nothing tells a good step from a bad one.",
            "Relabel: `rlpd-robot demos edit reward STORE OUT rewards=task task=…`.",
        )  # fmt: skip
    if not solved:
        yield Finding(
            "no-success", WARNING, None, f"none of {len(table.lines)} episodes is ever solved", _places(table.lines), 0,
            "With a sparse reward, demonstrations that never succeed say nothing about how to.",
            "Look whether success was labelled at all: `rlpd-robot demos edit reward STORE OUT rewards=task task=…`.",
        )  # fmt: skip
    elif others and r.low < r.high:
        good = sum(e.success_reward for e in table.lines) / solved
        bad = sum(e.other_reward for e in table.lines) / others
        if good <= bad:
            yield Finding(
                "reward-against-success", WARNING, None,
                f"solved steps are rewarded by {good:.3g} on average, others by {bad:.3g}", (), solved,
                "The agent is paid for not solving the task.",
                "Look for a cost stored as a reward (its sign), or a success that means something else.",
            )  # fmt: skip


def lengths(table: Table) -> Iterator[Finding]:
    """Episodes too short to be one, or longer than the task allows."""
    if not table.lines:
        return
    usual = float(np.median([e.steps for e in table.lines]))
    short = [e for e in table.lines if e.steps < max(2, 0.1 * usual) and not e.solved]
    if short:
        yield Finding(
            "short-episode", HINT, None, f"{len(short)} episodes have a tenth of the usual {usual:g} steps or less",
            _places(short), len(short),
            "An attempt that was given up at once is rarely a demonstration.",
            "Hide them: `rlpd-robot demos edit hide STORE episodes=…`.",
        )  # fmt: skip
    over = [e for e in table.lines if e.steps > table.problem.horizon]
    if over:
        yield Finding(
            "longer-than-horizon", WARNING, None,
            f"{len(over)} episodes have more than the task's {table.problem.horizon} steps", _places(over), len(over),
            "The policy will never be given that long, and states after the limit are never reached in practice.",
            "Raise the task's horizon, or trim: `rlpd-robot demos edit trim STORE OUT episodes=… last=…`.",
        )  # fmt: skip


def repeated_episodes(table: Table) -> Iterator[Finding]:
    """Episodes that are in the store twice."""
    twice = [table.lines[i] for i, _ in outliers.repeats([e.digest for e in table.lines])]
    if twice:
        yield Finding(
            REPEATED, WARNING, None,
            f"{len(twice)} episodes have the observations and actions of an earlier one",
            _places(twice, len(twice)), len(twice),
            "They count twice, and every figure of the store with them.",
            "Leave the later ones out.", fixable=True,
        )  # fmt: skip


def unlike_the_others(table: Table) -> Iterator[Finding]:
    """Outliers by length, return, effort, roughness and observations."""
    if not table.lines:
        return
    features: dict[str, list[float]] = {
        "length": [e.steps for e in table.lines],
        "return": [e.total for e in table.lines],
        "size of its actions": [e.effort for e in table.lines],
        "roughness of its actions": [e.roughness for e in table.lines],
    }
    for name, values in features.items():
        usual = float(np.median(values))
        for line, value in _those(table.lines, values, outliers.outliers(np.array(values, np.float64))):
            yield _outlier(line, f"its {name} is {value:.4g}, the others' median {usual:.4g}")
    far = outliers.far_out(np.stack([e.mean for e in table.lines])) > outliers.FAR
    many = far.mean(axis=1) > MANY
    if many.mean() <= outliers.MOST:
        for line, count in _those(table.lines, far.sum(axis=1).tolist(), many):
            yield _outlier(line, f"{count} of its {far.shape[1]} observations are, on average, far from the others'")


def _those(lines: Sequence[Line], values: Sequence[float], mask: NDArray[np.bool_]) -> Iterator[tuple[Line, float]]:
    return ((line, value) for line, value, is_meant in zip(lines, values, mask.tolist(), strict=True) if is_meant)


def _outlier(line: Line, what: str) -> Finding:
    return Finding(
        "outlier-episode", HINT, None, f"episode {line.index}: {what}", _places([line]), 1,
        "A slip, another object or another frame in one episode is noise to all others; a rare case done well is gold.",
        "Look at it (`rlpd-robot demos show STORE OUT episodes=…`), then keep it or hide it.",
    )  # fmt: skip


def frame_hints(table: Table) -> Iterator[Finding]:
    """Axes with another sign in some episodes, sessions that begin elsewhere, left-handed frames."""
    names = observation_names(table.problem)
    for d in sorted(table.left_handed or ()):
        yield Finding(
            "left-handed-frame", WARNING, names[d],
            f"{names[d]} to [{d + 8}] are a rotation matrix of determinant -1: a left-handed frame", (), table.steps,
            "No rotation leads there from a right-handed frame: one axis has the wrong sign, and motions along it are "
            "learned mirrored.",
            "Look at the axis map of the tracker or the teleoperation.",
        )  # fmt: skip
    if not table.lines:
        return
    starts = np.stack([e.start for e in table.lines])
    for d, odd in enumerate(frames.mirrored(starts).T):
        if odd.any():
            lines = [e for e, is_odd in zip(table.lines, odd, strict=True) if is_odd]
            yield Finding(
                "mirrored-axis", WARNING, names[d],
                f"{names[d]} begins on the other side of zero in {len(lines)} of {len(starts)} episodes, as far out",
                _places(lines), len(lines),
                "The same place has two descriptions: an axis had another sign, or a hand another side.",
                "Compare the frames of these sessions; hide the episodes of the wrong one.",
            )  # fmt: skip
    boots = {boot: i for i, boot in enumerate(dict.fromkeys(e.boot for e in table.lines))}
    apart = frames.shifted(starts, np.array([boots[e.boot] for e in table.lines]))
    for d in np.flatnonzero(apart > frames.APART).tolist():
        yield Finding(
            "shifted-frame", HINT, names[d],
            f"{names[d]} begins elsewhere in another recording session, {apart[d]:.0f} standard deviations apart",
            (), len(table.lines),
            "A camera, a tracker or the robot's zero moved between sessions: the same place has two descriptions.",
            "Calibrate again, or observe positions relative to each other. Nothing, if the setup was meant to change.",
        )  # fmt: skip


WHOLE: tuple[Callable[[Table], Iterator[Finding]], ...] = (
    empty,
    clipped_at_import,
    shapes,
    duplicated_sensors,
    rate,
    lag,
    reward_sense,
    lengths,
    repeated_episodes,
    frame_hints,
    constant_dimensions,
    unlike_the_others,
)
