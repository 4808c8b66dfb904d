"""What an actor does about a journal that fills up, or a disk that refuses: it says so early, and stops in time."""

import time
from collections.abc import Callable

from rlpd_robot.wire.journal import Journal

WARN_AT = (0.5, 0.8)
"""Shares of its budget at which a growing journal is announced."""

GO_ON_AT = 0.8
"""Share below which a journal that was full takes new episodes again."""

SAY_S = 5.0
"""Time between two sentences while no episode may begin [s]."""


class JournalWatch:
    """Decides whether a new episode may begin, and tells people.

    A full journal lets the episode under way end and no other begin; the actor goes on by itself when a learner has
    taken enough. A disk that refuses is for a person to see to.

    Args:
        journal: the actor's.
        tell: (text, severity) to the learner, and to who reads the actor's log.
        now: monotonic time [s].
    """

    def __init__(
        self, journal: Journal, tell: Callable[[str, str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._journal, self._tell, self._now = journal, tell, now
        self._announced = 0.0  # highest share told
        self._is_full = False
        self._said_s = -SAY_S

    def look(self) -> None:
        """Announce what there is to announce; between any two transitions.

        Raises:
            StoreError: the disk refuses. What was appended is kept in memory.
        """
        if (trouble := self._journal.trouble) is not None:
            raise trouble
        fill = self._journal.fill
        if fill < min(WARN_AT) / 2:
            self._announced = 0.0
        reached = max((share for share in WARN_AT if fill >= share), default=0.0)
        if reached > self._announced:
            self._announced = reached
            self._say(
                f"The actor's journal is {100 * fill:.0f} % full (actor.journal_mb): no learner takes what it holds. "
                "When it is full, no new episode begins."
            )

    def has_room(self) -> bool:
        """Whether a new episode may begin; says every few seconds why not."""
        fill = self._journal.fill
        was_full, self._is_full = self._is_full, fill >= (GO_ON_AT if self._is_full else 1.0)
        trouble = self._journal.trouble
        if was_full and not self._is_full:
            self._say(f"The actor's journal is down to {100 * fill:.0f} %: episodes go on.", "info")
        if trouble is not None:
            self.refused(str(trouble))
        elif self._is_full:
            where = f"{str(self._journal.directory)!r} is full ({self._journal.size / 1e6:.0f} MB)"
            self.refused(f"the actor's journal {where}. Start the learner, or raise actor.journal_mb.")
        return not self._is_full and trouble is None

    def refused(self, reason: str) -> None:
        """Say every few seconds why no episode begins."""
        if self._now() >= self._said_s + SAY_S:
            self._said_s = self._now()
            self._say(f"No new episode begins: {reason}")

    def _say(self, text: str, severity: str = "warning") -> None:
        self._tell(text, severity)
