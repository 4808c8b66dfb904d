"""Hiding episodes: a change that is written down, can be taken back, and loses nothing.

The root attribute "edits" is a log that only grows. `hide` and `show` name episodes and a reason; `undo` takes back the
last of them that still stands, so several undos go several changes back. Readers skip what is hidden; its rows stay
where they are, and `validate` looks at them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zarr

from rlpd_robot.data.durable import DurableStore, exclusive
from rlpd_robot.data.layout import EDITS
from rlpd_robot.data.opening import OpenedStore, open_store
from rlpd_robot.errors import DataError, StoreError

HIDE, SHOW, UNDO = "hide", "show", "undo"


@dataclass(frozen=True)
class Edit:
    """One entry of the log.

    Attributes:
        what: "hide", "show" or "undo".
        episodes: counted from 0 in the store; of an undo, none.
        reason: a person's words, or a program's.
        at: when, UTC.
    """

    what: str
    episodes: tuple[int, ...]
    reason: str
    at: str

    @staticmethod
    def now(what: str, episodes: Sequence[int], reason: str) -> "Edit":
        """An edit of this moment."""
        return Edit(what, tuple(int(i) for i in episodes), reason, datetime.now(UTC).isoformat(timespec="seconds"))


def edits_of(opened: OpenedStore) -> tuple[Edit, ...]:
    """The log of one store, the oldest first.

    Raises:
        StoreError: the attribute is damaged.
    """
    log = opened.attributes.get(EDITS, [])
    try:
        edits = tuple(
            Edit(str(e["what"]), tuple(int(i) for i in e["episodes"]), str(e["reason"]), str(e["at"])) for e in log
        )
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(opened, f"{type(error).__name__}: {error}") from error
    for edit in edits:
        if edit.what not in (HIDE, SHOW, UNDO):
            raise _damaged(opened, f"an edit is {edit.what!r}")
        beyond = [i for i in edit.episodes if not 0 <= i < opened.episodes]
        if beyond:
            raise _damaged(opened, f"episode {beyond[0]} is named, {opened.episodes} are committed")
    return edits


def standing(edits: Sequence[Edit]) -> list[Edit]:
    """The hides and shows that no undo has taken back."""
    stack: list[Edit] = []
    for edit in edits:
        if edit.what != UNDO:
            stack.append(edit)
        elif stack:
            stack.pop()
    return stack


def hidden_by(edits: Sequence[Edit]) -> dict[int, str]:
    """By hidden episode, the reason."""
    hidden: dict[int, str] = {}
    for edit in standing(edits):
        for episode in edit.episodes:
            hidden.pop(episode, None)
            if edit.what == HIDE:
                hidden[episode] = edit.reason
    return dict(sorted(hidden.items()))


def hide_episode(path: Path | str, index: int, reason: str) -> None:
    """Hide one episode of a store that nobody is writing. Whoever holds its `StoreWriter` has `StoreWriter.hide`.

    Raises:
        StoreLockedError: another process is writing it.
        DataError: there is no such episode, or it is hidden already.
        StoreError: the store is missing, damaged or sealed, or cannot be written.
    """
    edit_store(path, HIDE, [index], reason)


def show_episode(path: Path | str, index: int, reason: str) -> None:
    """Take a hidden episode back in. Raises as `hide_episode`."""
    edit_store(path, SHOW, [index], reason)


def undo_edit(path: Path | str, reason: str) -> Edit:
    """Take back the last hide or show that still stands, and return it. Raises as `hide_episode`."""
    return edit_store(path, UNDO, [], reason)


def edit_store(path: Path | str, what: str, episodes: Sequence[int], reason: str) -> Edit:
    """Write one edit down, durably; returns what was hidden or shown, or the edit that was undone.

    Raises:
        StoreLockedError, DataError, StoreError: as `hide_episode`.
    """
    path = Path(path)
    open_store(path)  # before even a lock file is made
    with exclusive(path, timeout_s=2.0):
        files = DurableStore(path)
        opened = open_store(path)
        opened.refuse_sealed()
        group = zarr.open_group(files, mode="r+", zarr_format=3)
        return write_edit(opened, group, files, Edit.now(what, episodes, reason))


def write_edit(opened: OpenedStore, group: Any, files: DurableStore, edit: Edit) -> Edit:
    """Append to the log of a store whose lock the caller holds, and return what took effect.

    Args:
        opened: as it is now.
        group: its root, to be written through `files`.
    """
    log = edits_of(opened)
    effective = _check(opened, log, edit)
    try:
        group.attrs[EDITS] = [{**asdict(e), "episodes": list(e.episodes)} for e in (*log, edit)]
        files.sync()
    except OSError as error:
        raise StoreError(
            opened.path, f"the edit cannot be written ({error.strerror or error})", "Make room on the disk."
        ) from error
    return effective


def _check(opened: OpenedStore, log: Sequence[Edit], edit: Edit) -> Edit:
    where, hidden = f"Store {str(opened.path)!r}", hidden_by(log)
    if edit.what == UNDO:
        before = standing(log)
        if not before:
            raise DataError(where, "there is nothing to undo", "an earlier hide or show that still stands")
        return before[-1]
    if not edit.episodes:
        raise DataError(where, f"nothing to {edit.what}", "at least one episode")
    for i in edit.episodes:
        if not 0 <= i < opened.episodes:
            raise DataError(where, f"there is no episode {i}", f"one of its {opened.episodes}, counted from 0")
        if (i in hidden) == (edit.what == HIDE):
            state = f"hidden ({hidden[i]})" if i in hidden else "not hidden"
            raise DataError(where, f"episode {i} is {state}", f"one that is {'not ' * (i in hidden)}hidden")
    return edit


def _damaged(opened: OpenedStore, problem: str) -> StoreError:
    return StoreError(opened.path, f"its attribute '{EDITS}' is damaged ({problem})", "Restore the store from a copy.")


def hidden_episodes(opened: OpenedStore) -> Mapping[int, str]:
    """By hidden episode, the reason.

    Raises:
        StoreError: the log is damaged.
    """
    return hidden_by(edits_of(opened))
