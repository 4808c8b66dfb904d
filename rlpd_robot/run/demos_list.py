"""`rlpd-robot demos list | stats | diff`: episodes in a line each, a store in figures, two stores beside each other."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.data.difference import compare
from rlpd_robot.data.dimensions import Range, Ranges, action_names, observation_names
from rlpd_robot.data.episode_facts import EpisodeFacts, facts_of
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.types import Segment

_HEAD = "episode  steps  ended       success  return    policy    person  safety  cause"


def list_episodes(path: str, *, as_json: bool) -> int:
    """Print one line for each committed episode, as it is read.

    Raises:
        StoreError, DataError: the store is missing or damaged.
    """
    store = DemoStore.open(path)
    lines = (facts_of(i, episode, store.hidden.get(i)) for i, episode in store.numbered(hidden=True))
    if as_json:
        with progress_bar("list") as progress:
            found = [asdict(facts) for facts in _watched(lines, len(store), progress)]
        print(json.dumps(found, indent=1))
        return 0
    print(_HEAD)
    for facts in lines:
        print(_line(facts))
    return 0


def _watched(lines: Iterable[EpisodeFacts], total: int, progress: Any) -> Iterator[EpisodeFacts]:
    for done, line in enumerate(lines, 1):
        yield line
        progress(done, total)


def _line(facts: EpisodeFacts) -> str:
    low, high = facts.policy_versions
    policy = "-" if high < 0 else str(high) if low == high else f"{max(low, 0)}-{high}"
    success = f"at {facts.solved_at}" if facts.solved_at is not None else "no"
    words = f"hidden: {facts.hidden or 'no reason given'}" if facts.hidden is not None else facts.cause
    return (
        f"{facts.index:>7}  {facts.steps:>5}  {facts.ending:<10}  {success:<7}  {facts.total:<8.6g}  {policy:<8}  "
        f"{100 * facts.intervened:>4.0f} %  {100 * facts.filtered:>4.0f} %  {words}"
    ).rstrip()


def stats(path: str, *, as_json: bool) -> int:
    """Print ranges by dimension, and how lengths, returns and rates are spread, over what is not hidden.

    Raises:
        StoreError, DataError: the store is missing or damaged.
    """
    store = DemoStore.open(path)
    observations, actions = Ranges(observation_names(store.problem)), Ranges(action_names(store.problem))
    rewards, lines = Ranges(["reward"]), []
    with progress_bar("stats") as progress:
        for done, (i, episode) in enumerate(store.numbered(), 1):
            observations.add(episode.observations)
            actions.add(episode.actions)
            rewards.add(episode.rewards[:, None])
            lines.append((facts_of(i, episode), _periods(episode)))
            progress(done, len(store.visible))
    report = {
        "episodes": len(lines),
        "transitions": sum(facts.steps for facts, _ in lines),
        "success_rate": float(np.mean([facts.success for facts, _ in lines])) if lines else 0.0,
        "steps": _spread([facts.steps for facts, _ in lines]),
        "return": _spread([facts.total for facts, _ in lines]),
        "solved_at": _spread([facts.solved_at for facts, _ in lines if facts.solved_at is not None]),
        "nominal_period_ms": 1e3 * store.problem.robot.period_s,
        "period_ms": _spread(np.concatenate([periods for _, periods in lines]) * 1e3 if lines else []),
        "reward": [asdict(r) for r in rewards],
        "action": [asdict(r) for r in actions],
        "observation": [asdict(r) for r in observations],
    }
    print(
        json.dumps(report, indent=1)
        if as_json
        else "\n".join(_table(report, [*rewards, *_named(actions), *observations]))
    )
    return 0


def _periods(episode: Segment) -> Any:
    """(N-1,) between states [s], at most a thousand of them: enough for percentiles."""
    periods = np.diff(episode.stamps_s[:, 0])
    return periods[:: max(1, len(periods) // 1000)]


def _spread(values: Any) -> dict[str, float] | None:
    if not len(values):
        return None
    low, median, p99, high = np.percentile(np.asarray(values, np.float64), (0, 50, 99, 100))
    return {"low": float(low), "median": float(median), "p99": float(p99), "high": float(high)}


def _named(actions: Iterable[Range]) -> Iterator[Range]:
    """Their names are those of the commands, whose units they do not have."""
    return (replace(r, name=f"action {r.name}") for r in actions)


def _table(report: Mapping[str, Any], ranges: Sequence[Range]) -> Iterator[str]:
    yield f"{report['episodes']} episodes, {report['transitions']} transitions, not counting hidden ones"
    names = {"steps": "", "return": "", "solved_at": " step", "period_ms": f" ({report['nominal_period_ms']:g} wanted)"}
    for key, note in names.items():
        if (s := report[key]) is not None:
            yield (
                f"{key.replace('_', ' '):<10} {s['low']:.6g} to {s['high']:.6g}, median {s['median']:.6g}, "
                f"99 % below {s['p99']:.6g}{note}"
            )
    width = max((len(r.name) for r in ranges), default=0)
    if ranges:
        yield f"\n{'':<{width}}  {'lowest':>11}  {'highest':>11}  {'mean':>11}  {'deviation':>11}"
    for r in ranges:
        yield f"{r.name:<{width}}  {r.low:>11.5g}  {r.high:>11.5g}  {r.mean:>11.5g}  {r.std:>11.5g}"


def diff(ours: str, theirs: str, *, as_json: bool) -> int:
    """Print what sets two stores apart; 0 where nothing does, else 1.

    Raises:
        StoreError, DataError: one is missing or damaged.
    """
    a, b = DemoStore.open(ours), DemoStore.open(theirs)
    with progress_bar("diff") as progress:
        found = compare(a, b, progress)
    if as_json:
        print(json.dumps({**asdict(found), "equal": found.is_none}, indent=1))
        return 0 if found.is_none else 1
    for what, sentences in (("robot and task", found.problem), ("attribute", found.attributes)):
        for sentence in sentences:
            print(f"{what}: {sentence}")
    for path, numbers in ((ours, found.only_ours), (theirs, found.only_theirs)):
        if numbers:
            print(f"only in {path}: episodes {', '.join(map(str, numbers))}")
    for c in found.changed:
        there = "" if c.ours == c.theirs else f" ({c.theirs} there)"
        print(f"episode {c.ours}{there}: {'; '.join(c.fields)}")
    if found.reordered:
        print("the episodes that both have come in another order")
    print(f"{found.same} episodes are the same in every field." + (" Nothing differs." if found.is_none else ""))
    return 0 if found.is_none else 1
