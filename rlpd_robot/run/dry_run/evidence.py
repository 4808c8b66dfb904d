"""What a stage left: the robot's book, the readings it told, and the actor's journal and figures."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.robot.book import Outcome, read_book
from rlpd_robot.robot.recorded import COMMANDS, STATES
from rlpd_robot.robot.state_record import StateRecord
from rlpd_robot.run.actor import LATENESS, STATUS
from rlpd_robot.types import Segment
from rlpd_robot.wire.journal_file import SUFFIX, scan
from rlpd_robot.wire.journal_file import read_records as read_journal
from rlpd_robot.wire.messages import SegmentMessage

Floats = NDArray[np.float64]

READINGS, SEEN = "readings", "seen"
"""In a stage's directory: what the stand-in told; what the actor recorded."""

_LATEST_S = 0.5  # on its way to the robot


@dataclass(frozen=True, eq=False)
class Evidence:
    """Of one stage that has ended.

    Attributes:
        directory: of the stage.
    """

    directory: Path

    @cached_property
    def book(self) -> NDArray[np.void]:
        """Of the robot, checked; see `rlpd_robot/robot/book.py`."""
        book: NDArray[np.void] = read_book(self.directory / "book")
        return book

    @cached_property
    def executed(self) -> NDArray[np.void]:
        """Its records of the commands that were followed."""
        done: NDArray[np.void] = self.book[self.book["outcome"] == Outcome.EXECUTED]
        return done

    @cached_property
    def readings(self) -> dict[str, Floats]:
        """By state field (N, elements), told in order; "stamp_s" (N, 1) says when. Row k + 1 is of state k."""
        return StateRecord.read(self.directory / READINGS)

    @cached_property
    def read(self) -> dict[str, Floats]:
        """What the actor's driver made of them: as `readings`, where the actor was told to record."""
        return StateRecord.read(self.directory / SEEN / STATES)

    @cached_property
    def sent(self) -> NDArray[np.void]:
        """What the actor told its driver, as a book, where it was told to record."""
        book: NDArray[np.void] = read_book(self.directory / SEEN / COMMANDS)
        return book

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """Of the actor when it ended (`Actor.stats`); empty when it was killed."""
        path = self.directory / STATUS
        figures: Mapping[str, float] = json.loads(path.read_text()) if path.exists() else {}
        return figures

    @cached_property
    def lateness_s(self) -> Floats:
        """(N, 2) up to how late [s], and how many of the ticks; empty when the actor was killed, or nothing ticked."""
        path = self.directory / LATENESS
        rows = json.loads(path.read_text()) if path.exists() else []
        return np.array(rows, np.float64).reshape(-1, 2)

    @cached_property
    def transitions(self) -> list[Segment]:
        """What the actor journalled, piece by piece, in order."""
        found: dict[str, list[Segment]] = defaultdict(list)
        for file in scan(self.directory / "actor" / "journal"):
            for record in read_journal(file.path, file.boot, file.size):
                message: Any = record.message(str(file.path))
                if isinstance(message, SegmentMessage):
                    found[file.boot].append(message.segment)
        return [segment for segments in found.values() for segment in segments]

    @cached_property
    def size_bytes(self) -> int:
        """Of everything that the actor keeps on the disk."""
        return sum(path.stat().st_size for path in (self.directory / "actor").rglob(f"*{SUFFIX}"))

    @property
    def seconds(self) -> float:
        """From the first to the last command followed [s]."""
        stamps = self.executed["stamp_s"]
        return float(stamps[-1] - stamps[0]) if len(stamps) > 1 else 0.0

    def states_per_period(self, period_s: float) -> int:
        """How often the robot told of itself in a control period [s]."""
        between = np.diff(self.readings["stamp_s"][:, 0])
        return max(1, round(period_s / float(np.median(between)))) if len(between) else 1

    def places(self, pairs: Mapping[int, tuple[str, int]], size: int) -> tuple[Floats, Floats]:
        """When [s] (N,), and where the commanded joints were then, in their units (N, C); NaN: nothing reads it."""
        found = np.full((len(self.readings["stamp_s"]), size), np.nan)
        for element, (field, i) in pairs.items():
            found[:, element] = self.readings[field][:, i]
        return self.readings["stamp_s"][:, 0], found

    def measured_s(self) -> Floats:
        """For each followed command, when the state was measured that it answers [s]; NaN where that is not known.

        Commands that bear neither number nor stamp do not say what they answer: then the actor's journal does.
        """
        stamps = self.readings["stamp_s"][:, 0]
        if len(self.executed) and (self.executed["answers"] == self.executed["state"]).all():
            return self._measured_by_journal(stamps)
        rows = self.executed["answers"] + 1
        known = (rows > 0) & (rows < len(stamps))
        return np.where(known, stamps[np.where(known, rows, 0)], np.nan)

    def _measured_by_journal(self, stamps: Floats) -> Floats:
        """The newest state when the actor received the one that the command sent last answers."""
        found = np.full(len(self.executed), np.nan)
        if not self.transitions or not len(stamps):
            return found
        own = np.concatenate([segment.stamps_s for segment in self.transitions])
        own = own[np.argsort(own[:, 3])]
        sent = np.searchsorted(own[:, 3], self.executed["stamp_s"], "right") - 1
        state = np.searchsorted(stamps, own[np.maximum(sent, 0), 0], "right") - 1
        known = (sent >= 0) & (state >= 0)
        found[known] = stamps[state[known]]
        between = self.executed["stamp_s"] - own[np.maximum(sent, 0), 3]
        found[between > _LATEST_S] = np.nan  # another command than one of an episode: a reset's, a stop's
        return found

    def ages_s(self) -> Floats:
        """(N,) age of the state that each followed command answers, when it was followed [s]."""
        ages = self.executed["stamp_s"] - self.measured_s()
        return np.asarray(ages[~np.isnan(ages)], np.float64)
