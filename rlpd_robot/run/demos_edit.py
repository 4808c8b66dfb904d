"""`rlpd-robot demos edit hide|show|undo|log`: reversible changes, written down in the store itself."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rlpd_robot.data.edits import HIDE, SHOW, UNDO, edit_store, edits_of, hidden_by
from rlpd_robot.data.opening import open_store
from rlpd_robot.run.episode_numbers import episode_numbers


@dataclass(frozen=True)
class HideSettings:
    """Words of `edit hide`, `show` and `undo`.

    Attributes:
        episodes: which, as "3", "0,4-7" or "all".
        reason: why, for whoever reads the log.
    """

    episodes: str = ""
    reason: str = ""


def edit(path: str, what: str, settings: HideSettings) -> int:
    """Make one change and say what took effect.

    Raises:
        ConfigError: `episodes` names none.
        DataError, StoreError, StoreLockedError: nothing has been changed.
    """
    count = open_store(Path(path)).episodes
    episodes = [] if what == UNDO else episode_numbers(settings.episodes, count)
    done = edit_store(path, what, episodes, settings.reason)
    names = ", ".join(map(str, done.episodes))
    words = {HIDE: f"hidden: episodes {names}", SHOW: f"taken back in: episodes {names}"}
    effect = words.get(what, f"undone: {done.what} episodes {names} ({done.reason or 'no reason given'})")
    hidden = hidden_by(edits_of(open_store(Path(path))))
    print(f"{effect}\n{len(hidden)} of {count} episodes are hidden now.")
    return 0


def log(path: str, *, as_json: bool) -> int:
    """Print the log of a store, the oldest first."""
    edits = edits_of(open_store(Path(path)))
    if as_json:
        print(json.dumps([asdict(e) for e in edits], indent=1))
        return 0
    for e in edits:
        print(f"{e.at}  {e.what:<5} {', '.join(map(str, e.episodes))}  {e.reason}".rstrip())
    if not edits:
        print("no edits")
    return 0
