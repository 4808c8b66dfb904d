"""The checks of undisturbed stages: pure functions of what the robot's book, the readings and the actor tell."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import Outcome
from rlpd_robot.robot.motion import FRESH_PERIODS
from rlpd_robot.robot.safety_limits import SafetyLimits
from rlpd_robot.run.dry_run.check import Check, skipped
from rlpd_robot.spec import RobotSpec

Book = NDArray[np.void]
Floats = NDArray[np.float64]

NO_NUMBERS = b"rosbridge"
"""The controller in a book whose commands come without numbers of their own."""

_RATE = 0.02  # part of the nominal period
_SLACK = 1e-6  # of a limit, for rounding on the way
_LAG = 3  # control periods in which a joint must have begun to follow
_DELAYS = (0, 1)  # control periods until a command shows
_TREND = 10  # control periods over which a command's own mean is taken off
_SEEN, _ELSEWHERE = (0.3, 3.0), (0.5, 4.0)  # correlations: at least so large, and so many standard errors
_LEAST_ROWS = 60


def check_rate(figures: Mapping[str, float], late: float) -> list[Check]:
    """Period and lateness of the undisturbed loop, as the actor counted them."""
    if not figures:
        return [skipped("loop rate", "a period as the robot's", "the actor did not end by itself")]
    nominal, mean = figures["nominal_period_ms"], figures["period_ms"]
    ticks = max(1.0, figures["steps"])
    share = figures["deadline_misses"] / ticks
    return [
        Check(
            "loop rate",
            f"mean period within {100 * _RATE:g} % of {nominal:g} ms",
            f"{mean:.3f} ms over {figures['steps']:.0f} ticks",
            abs(mean / nominal - 1) <= _RATE,
            "See what else runs on this machine; `actor.realtime_priority`, `actor.cpu`, docs/own_robot.md.",
        ),
        Check(
            "lateness",
            f"p99 at most half a period ({nominal / 2:g} ms); at most {100 * late:g} % of the ticks missed",
            f"p50 {figures['lateness_ms_p50']:.2f}, p99 {figures['lateness_ms_p99']:.2f}, longest "
            f"{figures['lateness_ms_max']:.1f} ms; {figures['deadline_misses']:.0f} missed ({100 * share:.2f} %)",
            figures["lateness_ms_p99"] <= nominal / 2 and share <= late,
            "Give the actor a core of its own and real-time priority, or run at a lower rate.",
        ),
    ]


def check_ages(ages_s: Floats, figures: Mapping[str, float], period_s: float) -> list[Check]:
    """How old the state is that a command answers, at the robot; how long the actor needs for its part."""
    limit_ms = 1e3 * FRESH_PERIODS * period_s
    if not len(ages_s):
        return [skipped("command age", f"at most {limit_ms:g} ms", "the robot followed no command")]
    p50, p99, most = (1e3 * float(np.percentile(ages_s, q)) for q in (50, 99, 100))
    requirement = f"the actor answers a state within a period ({1e3 * period_s:g} ms, p99)"
    response = figures.get("response_ms_p99", math.nan)
    return [
        Check(
            "state age",
            requirement,
            f"p50 {figures['response_ms_p50']:.2f}, p99 {response:.2f} ms",
            response <= 1e3 * period_s,
            "A smaller network, a faster machine, or a lower rate.",
        )
        if math.isfinite(response)
        else skipped("state age", requirement, "the actor did not end by itself"),
        Check(
            "command age",
            f"from measurement to execution at most {limit_ms:g} ms (what is older is refused), p99 below 80 % of it",
            f"p50 {p50:.2f}, p99 {p99:.2f}, longest {most:.2f} ms",
            most <= 1.2 * limit_ms and p99 <= 0.8 * limit_ms,
            "Look at the link's latency, and at what makes ticks late.",
        ),
    ]


def check_stale(books: Sequence[Book], states_per_period: int = 1) -> Check:
    """No command that answers an old state was executed, none twice, none between a stop and a reset."""
    stale = twice = after_stop = executed = 0
    for book in books:
        done = book[book["outcome"] == Outcome.EXECUTED]
        executed += len(done)
        stale += int((done["state"] - done["answers"] > (FRESH_PERIODS + 1) * states_per_period).sum())
        keys = [(bytes(r["server"]), bytes(r["controller"]), int(r["number"])) for r in done]
        twice += len(keys) - len(set(keys))
        after_stop += _after_stop(book)
    return Check(
        "no stale command",
        "none executed that answers a state of more than 2.5 periods ago, none twice, none between a stop and a reset",
        f"{stale} stale, {twice} twice, {after_stop} after a stop, of {executed} executed",
        stale == twice == after_stop == 0 and executed > 0,
        "The robot's server must refuse these: see robot/server.py, and the link's clock.",
    )


def _after_stop(book: Book) -> int:
    """Commands that were executed although nobody had reset since the last stop."""
    count, stopped = 0, True
    server = b""
    for record in book:
        if record["server"] != server:
            server, stopped = record["server"], True
        outcome = record["outcome"]
        if outcome in (Outcome.RESET, Outcome.IDLE):  # a robot that rests follows whoever commands
            stopped = False
        elif outcome in (Outcome.STOP, Outcome.HELD):
            stopped = True
        elif outcome == Outcome.EXECUTED:
            count += stopped
    return count


Places = tuple[Floats, Floats]
"""Where the commanded joints were: (N,) when [s], (N, C) in the command's units; NaN where nothing reads them."""


def check_limits(books: Sequence[Book], limits: SafetyLimits, places: Sequence[Places] | None = None) -> Check:
    """Range and speed of everything that was executed, and what the robot itself refused.

    Args:
        books: of each stage.
        limits: of the safety filter.
        places: of the undisturbed stages, which come first, where commands bear no number. Speed is then judged in
            these alone: what a bad link does to the order of such commands is not the filter's. None: in all.
    """
    outside = fast = refused = executed = 0
    worst = ""
    for i, book in enumerate(books):
        refused += int((book["outcome"] == Outcome.INVALID).sum())
        done = book[book["outcome"] == Outcome.EXECUTED]
        executed += len(done)
        values = done["values"]
        slack = _SLACK * limits.width
        beyond = (values < limits.low - slack) | (values > limits.high + slack)
        outside += int(beyond.any(axis=1).sum())
        if places is None or i < len(places):
            fast += _too_fast(book, limits, None if places is None else places[i])
        if beyond.any():
            worst = f"; element {int(np.argmax(beyond.any(axis=0)))} first"
    return Check(
        "commands within limits",
        "no executed command outside the safety range, none faster than max_speed, none refused by the robot",
        f"{outside} outside, {fast} too fast, {refused} refused, of {executed} executed{worst}",
        outside == fast == refused == 0 and executed > 0,
        "The safety filter lets through what it must not, or its limits are not the robot's: look at safety/*.yaml.",
    )


def _too_fast(book: Book, limits: SafetyLimits, places: Places | None) -> int:
    """Steps between two executed commands without a reset or a stop between them.

    The filter's promise is one about what is sent from one tick to the next. So time is counted in the controller's own
    numbers: a robot that is late, or refuses one of them, sees two of its steps at once. Over rosbridge a command bears
    no number, and the robot's clock must do; a command that leads to where the robot has just been, as the hold of a
    stop does and the first of a way home, is no quick one.
    """
    if not limits.has_speed:
        return 0
    count, last = 0, None
    for record in book:
        outcome = record["outcome"]
        if outcome == Outcome.EXECUTED:
            if last is not None and record["controller"] == last["controller"]:
                ticks = _ticks(last, record, limits.period_s)
                step = limits.max_speed * limits.period_s * ticks
                quick = np.abs(record["values"] - last["values"]) > step * (1 + _SLACK) + 1e-12
                if quick.any() and places is not None:
                    quick &= ~_near(record, places, step, limits.period_s)
                count += bool(quick.any())
            last = record
        elif outcome in (Outcome.RESET, Outcome.STOP, Outcome.HELD, Outcome.IDLE):
            last = None
    return count


def _near(record: np.void, places: Places, step: Floats, period_s: float) -> NDArray[np.bool_]:
    """(C,) whether the robot has just been within a step of where this command leads."""
    at_s = float(record["stamp_s"])
    first, last = np.searchsorted(places[0], [at_s - _LAG * period_s, at_s])
    if first == last:
        return np.zeros(len(step), np.bool_)
    near: NDArray[np.bool_] = (np.abs(places[1][first:last] - record["values"]) <= step).any(axis=0)  # False for NaN
    return near


def _ticks(last: np.void, record: np.void, period_s: float) -> int:
    """Control periods from one command to the next: by the controller's numbers, or by the clock where it has none."""
    if record["controller"] != NO_NUMBERS:
        return max(1, int(record["number"]) - int(last["number"]))
    by_clock = round(float(record["stamp_s"] - last["stamp_s"]) / period_s)
    return max(1, by_clock, int(record["number"]) - int(last["number"]))  # the robot's own count of what came


def check_filter(figures: Mapping[str, float], most: float, limits_name: str) -> Check:
    """How much of what the policy wants the safety filter has to change."""
    requirement = f"the safety filter changes at most {100 * most:g} % of the policy's commands"
    steps = figures.get("steps", 0.0)
    if not steps:
        return skipped("filter interventions", requirement, "there was no step")
    share = figures["filtered"] / steps
    return Check(
        "filter interventions",
        requirement,
        f"{100 * share:.1f} % of {steps:.0f}",
        share <= most,
        f"The limits '{limits_name}' are narrower than those that the policy was trained under: train with these.",
    )


def check_joints(
    readings: Mapping[str, Floats], book: Book, spec: RobotSpec, pairs: Mapping[int, tuple[str, int]]
) -> Check:
    """Whether each joint moves when its own command does: names, order and signs, from random commands.

    Args:
        readings: as the driver tells them, see `Evidence.read`: a wrong name, sign or unit in its settings shows.
        book: of what the driver was told.
        spec: of the robot.
        pairs: for each command element, the reading of the same joint.
    """
    requirement = "each joint's reading follows its own command, and the right way round"
    names = [label or f"{f.name}[{i}]" for f in spec.command for i, label in enumerate(f.labels or ("",) * f.size)]
    if not pairs:
        return skipped("joint order", requirement, "no reading carries the names of the commanded joints")
    places = np.stack([readings[field][:, i] for field, i in pairs.values()], axis=1)
    elements = list(pairs)
    table = np.zeros((len(elements), len(elements)))  # command by reading
    for delay in _DELAYS:  # of two delays the one at which more is seen, whoever it is that moves
        commanded, moved = _responses(places, readings["stamp_s"][:, 0], book, delay)
        if len(moved) < _LEAST_ROWS:
            return skipped("joint order", requirement, f"only {len(moved)} periods of random commands")
        table = max(table, _correlations(commanded[:, elements], moved), key=lambda t: np.abs(t).max(axis=1).mean())
    error = (2 * _LAG / len(moved)) ** 0.5  # neighbouring rows tell much the same
    wrong, backwards, unseen = _sort_out(table, error, [names[element] for element in elements])
    if 2 * len(unseen) > len(elements) and not wrong and not backwards:
        return skipped("joint order", requirement, f"too little was seen of {len(unseen)} of {len(elements)} joints")
    found = []
    if wrong:
        found.append(f"{len(wrong)} joints in the wrong order: {'; '.join(wrong[:3])}")
    if backwards:
        found.append(f"the wrong way round: {', '.join(backwards)}")
    told = "; ".join(found) or f"{len(elements) - len(unseen)} of {len(elements)} joints follow their own commands"
    if unseen:
        told += f" (too little to tell: {', '.join(unseen)})"
    return Check(
        "joint order",
        requirement,
        told,
        not wrong and not backwards,
        "Compare the joint names of the robot's file with the robot's own; `doctor --move` tries them one by one.",
    )


def _sort_out(table: Floats, error: float, names: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Joints in the wrong order, those that go the wrong way round, and those of which too little is seen.

    Args:
        table: correlations, command by reading.
        error: standard error of each, where there is none.
        names: of the joints.
    """
    seen, elsewhere = (max(least, times * error) for least, times in (_SEEN, _ELSEWHERE))
    wrong, backwards, unseen = [], [], []
    for row, name in enumerate(names):
        own, best = table[row, row], int(np.abs(table[row]).argmax())
        if own < -seen:
            backwards.append(name)
        elif own < seen and abs(table[row, best]) > elsewhere:
            wrong.append(f"the command of {name} moves the reading of {names[best]}")
        elif own < seen:
            unseen.append(name)
    return wrong, backwards, unseen


def _responses(places: Floats, stamps: Floats, book: Book, delay: int) -> tuple[Floats, Floats]:
    """(T, C) mean command over some periods, (T, E) how far the readings went in them, where nothing interrupted."""
    done = book[book["outcome"] == Outcome.EXECUTED]
    breaks = book["stamp_s"][book["outcome"] != Outcome.EXECUTED]
    told_at = np.searchsorted(done["stamp_s"], stamps, "right") - delay  # the command that shows after each reading
    fresh = done["values"] - _running_mean(done["values"], _TREND)  # what is new in a command, however slowly it goes
    told, went = [], []
    for k in range(len(stamps) - _LAG):
        first, last = stamps[k], stamps[k + _LAG]
        interrupted = np.searchsorted(breaks, first - 0.1) != np.searchsorted(breaks, last)
        if told_at[k] < 0 or told_at[k + _LAG - 1] >= len(done) or interrupted:
            continue
        told.append(fresh[told_at[k : k + _LAG]].mean(axis=0))
        went.append(places[k + _LAG] - places[k])
    if not told:
        return np.zeros((0, 0)), np.zeros((0, places.shape[1]))
    return np.array(told), np.array(went)


def _running_mean(values: Floats, window: int) -> Floats:
    """(N, C) mean of each row and of those before it, `window` of them where there are so many."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return np.asarray((total[end] - total[start]) / (end - start)[:, None], np.float64)


def _correlations(one: Floats, other: Floats) -> Floats:
    """(E, F) of each column of one with each of the other; 0 where one does not vary."""
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    size = np.sqrt(np.outer((a**2).sum(axis=0), (b**2).sum(axis=0)))
    return np.asarray(np.divide(a.T @ b, size, out=np.zeros_like(size), where=size > 1e-12), np.float64)


def joint_pairs(spec: RobotSpec, measured: Sequence[str]) -> dict[int, tuple[str, int]]:
    """For each command element, the field and element that reads the same joint in the same unit, where there is one.

    Args:
        spec: of the robot.
        measured: `safety.measured`, the fields that measure the command, in order; or none.
    """
    pairs: dict[int, tuple[str, int]] = {}
    element = 0
    for n, command in enumerate(spec.command):
        for i in range(command.size):
            if len(measured) == len(spec.command):
                pairs[element] = measured[n], i
            elif command.labels:
                for field in spec.state:
                    if field.unit == command.unit and command.labels[i] in field.labels:
                        pairs[element] = field.name, field.labels.index(command.labels[i])
                        break
            element += 1
    return pairs
