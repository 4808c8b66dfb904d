"""The figures at the head of the page, in words: each a name, a value, a remark, and whether it is an alarm."""

import math
import time
from collections.abc import Mapping
from typing import Any

from rlpd_robot.run.dashboard.disk import Disk
from rlpd_robot.run.dashboard.run_watch import RunWatch
from rlpd_robot.run.dashboard.store_shares import Shares
from rlpd_robot.run.diagnostics.checks import judge
from rlpd_robot.run.live_state import count, duration, figure, known, refusals
from rlpd_robot.run.statistics import wilson_interval

Tile = dict[str, Any]

_LITTLE_S = 24 * 3600.0  # a disk that is full within a day is an alarm
_LITTLE_BYTES = 2e9


def tiles_of(watch: RunWatch, evaluation: Mapping[str, int], shares: Shares | None, disk: Disk) -> list[Tile]:
    """All that there is something to say of.

    Args:
        watch: the run.
        evaluation: `good` of `episodes`, of the final evaluation; empty before it.
        shares: of its newest transitions.
        disk: that it is on.
    """
    found = [
        _progress(watch),
        _evaluation(evaluation),
        _success(watch),
        _return(watch),
        _updates(watch),
        _value(watch),
        _checks(watch),
        _loop(watch),
        _policy(watch),
        _person(shares),
        _safety(watch, shares),
        _buffers(watch),
        _disk(disk, watch.phase != "finished"),
    ]
    return [tile for tile in found if tile is not None]


def _tile(name: str, value: str, *notes: str, alarm: bool = False) -> Tile:
    return {"name": name, "value": value, "note": ", ".join(note for note in notes if note), "alarm": alarm}


def _progress(watch: RunWatch) -> Tile:
    target = watch.get("env_steps_target")
    left = "" if watch.phase == "finished" else known(watch.eta_s, lambda v: f"{duration(v)} left")
    steps = known(watch.get("env_steps"), count) or "no figures yet"
    return _tile("Live steps", steps, known(target, lambda v: f"of {count(v)}"), left)


def _evaluation(evaluation: Mapping[str, int]) -> Tile | None:
    if not evaluation:
        return None
    return _share_tile("Final evaluation", evaluation["good"], evaluation["episodes"], "")


def _success(watch: RunWatch) -> Tile | None:
    n = len(watch.lately)
    return _share_tile("Success lately", watch.successes_lately, n, " training episodes") if n else None


def _share_tile(name: str, good: int, n: int, of: str) -> Tile:
    low, high = wilson_interval(good, n)
    interval = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return _tile(name, f"{100 * good / n:.0f} %", f"{good} of {n}{of}", interval)


def _return(watch: RunWatch) -> Tile | None:
    values = [value for _, value in watch.lately if math.isfinite(value)]
    if not values:
        return None
    demos = known(watch.get("demo_return"), lambda v: f"demonstrations {v:.1f}")
    return _tile("Normalised return", f"{sum(values) / len(values):.1f} %", demos, f"mean of {len(values)}")


def _updates(watch: RunWatch) -> Tile | None:
    realised, owed = watch.get("utd_realised"), watch.get("updates_owed", 0.0)
    if math.isnan(realised):
        return None
    target = f"target {figure(watch.get('utd_target'), 0)}"
    rate = known(watch.get("learner/updates_per_s"), lambda v: f"{v:.0f}/s")
    return _tile("Updates a step", f"{realised:.2f}", target, rate, f"{count(owed)} owed" if owed > 0 else "")


def _value(watch: RunWatch) -> Tile | None:
    q = watch.get("learner/q")
    if math.isnan(q):
        return None
    policy = known(watch.get("learner/policy_q"), lambda v: f"of the policy {v:.3g}")
    spread = known(watch.get("learner/q_spread"), lambda v: f"spread {v:.2g}")
    target = known(watch.get("learner/target_q"), lambda v: f"target {v:.3g}")
    return _tile("Q", f"{q:.3g}", target, policy, spread)


def _checks(watch: RunWatch) -> Tile | None:
    """Of the learner on itself; the first of what is out of bounds, with what to try."""
    findings, judged = judge(watch.row)
    if not judged:
        return None
    well = f"{judged - len(findings)} of {judged} well"
    return _tile("Checks", well, findings[0].text if findings else "", alarm=bool(findings))


def _loop(watch: RunWatch) -> Tile | None:
    if watch.get("actor/lockstep") == 1:
        return _tile("Control loop", "lock-step", "paced by the learner, no deadlines")
    late, misses = watch.get("actor/lateness_ms_p99"), watch.get("actor/deadline_misses", 0.0)
    if math.isnan(late):
        return None
    median = known(watch.get("actor/lateness_ms_p50"), lambda v: f"p50 {v:.2f} ms")
    return _tile("Lateness p99", f"{late:.2f} ms", median, f"{count(misses)} deadlines missed")


def _policy(watch: RunWatch) -> Tile | None:
    version = watch.get("actor/policy_version")
    if math.isnan(version):
        return None
    age = known(watch.get("actor/policy_age_s_p99"), lambda v: f"age p99 {v:.2f} s")
    published = known(watch.get("policy_version"), lambda v: f"{count(v)} published")
    pinned = "pinned" if watch.get("actor/policy_pinned", -1.0) >= 0 else ""
    return _tile(
        "Policy", f"{version:.0f}" if version >= 0 else "none yet", pinned, published, age, *refusals(watch.row)
    )


def _person(shares: Shares | None) -> Tile | None:
    if shares is None:
        return None
    return _tile("A person acted", f"{100 * shares.intervened:.1f} %", f"of the last {count(shares.transitions)} steps")


def _safety(watch: RunWatch, shares: Shares | None) -> Tile | None:
    faults, steps = watch.get("actor/faults"), watch.get("actor/steps")
    if math.isnan(faults) and shares is None:
        return None
    reasons: list[str] = []
    share = watch.get("actor/filtered") / steps if steps > 0 else math.nan
    if shares is not None:
        share = shares.filtered
        ordered = sorted(shares.reasons.items(), key=lambda item: -item[1])
        reasons = [f"{name} {100 * part:.1f} %" for name, part in ordered]
    stopped = known(faults, lambda v: f"{count(v)} {'fault' if v == 1 else 'faults'}")
    value = known(share, lambda v: f"{100 * v:.1f} %") or "?"
    return _tile("Safety changed", value, "of commands", *reasons, stopped, alarm=watch.get("actor/armed") == 0)


def _buffers(watch: RunWatch) -> Tile | None:
    live = watch.get("ring_rows")
    if math.isnan(live):
        return None
    demos = known(watch.get("demo_rows"), lambda v: f"{count(v)} demonstrations")
    waiting = known(watch.get("actor/uncommitted"), lambda v: f"{count(v)} not acknowledged")
    return _tile("Live transitions", count(live), demos, waiting)


def _disk(disk: Disk, grows_on: bool) -> Tile:
    left_s, rate = (disk.left_s, disk.bytes_per_s) if grows_on else (None, None)
    grows = f"the run has {_bytes(disk.run_bytes)}"
    grows += f" and grows by {_bytes(max(0.0, rate) * 3600)} an hour" if rate is not None else ""
    soon = left_s is not None and left_s < _LITTLE_S
    when = f"full in {_long(left_s)}" if left_s is not None else ""
    full = time.strftime(", %m-%d %H:%M", time.localtime(time.time() + left_s)) if soon and left_s is not None else ""
    alarm = soon or disk.free_bytes < _LITTLE_BYTES
    return _tile("Disk free", _bytes(disk.free_bytes), when + full, grows, alarm=alarm)


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def _long(seconds: float) -> str:
    days = seconds / 86400
    if days > 365:
        return "more than a year"
    return f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} h" if seconds >= 7200 else duration(seconds)
