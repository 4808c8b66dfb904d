"""`rlpd-robot demos edit drop | trim | split | success | reward | ending | merge`: always into a new store."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rlpd_robot.data import rewrite as mend
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError
from rlpd_robot.run.demos_import import relabel_with
from rlpd_robot.run.episode_numbers import episode_numbers
from rlpd_robot.run.progress import progress_bar
from rlpd_robot.types import Segment


@dataclass(frozen=True)
class RewriteSettings:
    """Words of these verbs; each takes those that it needs.

    Attributes:
        episodes: which, as "3", "0,4-7" or "all"; the others are copied.
        first, last: steps, both kept or labelled; a negative `last` counts from the end.
        at: step with which the second part begins.
        value: whether the steps are solved.
        rewards: `task`; `success`: 0 where solved, -1 elsewhere; or a number that multiplies them.
        ending: `terminated` or `truncated`.
    """

    episodes: str = "all"
    first: int = 0
    last: int = -1
    at: int | None = None
    value: bool | None = None
    rewards: str = ""
    ending: str = ""


NEEDS = {
    "drop": ("episodes",),
    "trim": ("episodes", "first", "last"),
    "split": ("episodes", "at"),
    "success": ("episodes", "value", "first", "last"),
    "reward": ("episodes", "rewards"),
    "ending": ("episodes", "ending"),
    "merge": (),
}
"""By verb, the settings that it takes."""


def run_rewrite(
    what: str, paths: Sequence[str], settings: RewriteSettings, given: Sequence[str], make_task: Callable[[], Any]
) -> int:
    """Write the new store, and say what it holds.

    Args:
        what: the verb.
        paths: of the sources, and last of the new store.
        settings: its words.
        given: keys that were typed.
        make_task: makes the task that tells rewards, where they are wanted of it.

    Raises:
        ConfigError: a word does not fit.
        DataError, StoreError, SpecMismatchError: nothing has been written.
    """
    for key in given:
        if key not in NEEDS[what]:
            raise ConfigError(key, "given", f"left out: `edit {what}` takes {', '.join(NEEDS[what]) or 'no settings'}")
    sources = [DemoStore.open(path) for path in paths[:-1]]
    chosen = frozenset(episode_numbers(settings.episodes, len(sources[0])))
    hidden = sorted(chosen & sources[0].hidden.keys()) if settings.episodes != "all" else []
    if hidden:
        raise ConfigError("episodes", settings.episodes, f"of episodes that are not hidden; {hidden[0]} is")
    change, skip = _change(what, settings, chosen, sources[0], make_task)
    did = {"edit": what, **{key: asdict(settings)[key] for key in NEEDS[what]}}
    with progress_bar(what) as progress:
        written = mend.rewrite(sources, paths[-1], change, did, skip, progress)
    left = sum(len(source.hidden) for source in sources)
    behind = f" {left} hidden episodes were left behind." if left else ""
    print(f"{paths[-1]} holds {written} episodes; {', '.join(paths[:-1])} stays as it is.{behind}")
    return 0


def _change(
    what: str, s: RewriteSettings, chosen: frozenset[int], source: DemoStore, make_task: Callable[[], Any]
) -> tuple[mend.Mend, frozenset[int]]:
    if what == "merge":
        return mend.keep, frozenset()
    if what == "drop":
        if s.episodes == "all" or chosen >= set(source.visible):
            raise ConfigError("episodes", s.episodes, "fewer than all episodes")
        return mend.keep, chosen
    makers: dict[str, Callable[[], Callable[[Segment], Sequence[Segment]]]] = {
        "trim": lambda: lambda e: [mend.cut(e, s.first, _stop(s.last, len(e)))],
        "split": lambda: _splitting(s.at),
        "success": lambda: _labelling(s),
        "reward": lambda: _rewarding(s.rewards, source, make_task),
        "ending": lambda: _ending(s.ending),
    }
    one = makers[what]()

    def change(index: int, episode: Segment) -> Iterator[Segment]:
        yield from one(episode) if index in chosen else [episode]

    return change, frozenset()


def _stop(last: int, n: int) -> int:
    return min(last + 1, n) if last >= 0 else n + last + 1


def _splitting(at: int | None) -> Callable[[Segment], Sequence[Segment]]:
    if at is None:
        raise ConfigError("at", None, "the step with which the second part begins")
    return lambda e: mend.split(e, at)


def _labelling(s: RewriteSettings) -> Callable[[Segment], Sequence[Segment]]:
    value = s.value
    if value is None:
        raise ConfigError("value", None, "true or false")
    return lambda e: [mend.with_success(e, value, s.first, _stop(s.last, len(e)))]


def _ending(ending: str) -> Callable[[Segment], Sequence[Segment]]:
    if ending not in ("terminated", "truncated"):
        raise ConfigError("ending", ending, "terminated or truncated")
    return lambda e: [mend.with_ending(e, ending)]  # type: ignore[arg-type]  # one of the two


def _rewarding(rewards: str, source: DemoStore, make_task: Callable[[], Any]) -> Callable[[Segment], Sequence[Segment]]:
    if rewards == "task":
        relabel = relabel_with(make_task(), source.problem)
        return lambda e: [mend.with_rewards(e, *relabel(e.observations, e.actions))]
    if rewards == "success":
        return lambda e: [mend.with_rewards(e, np.where(e.success, 0.0, -1.0).astype(np.float32))]
    try:
        factor = float(rewards)
    except ValueError:
        factor = np.nan
    if not np.isfinite(factor):
        raise ConfigError("rewards", rewards, "task, success, or a number that multiplies them")
    return lambda e: [mend.with_rewards(e, e.rewards * np.float32(factor))]
