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
from rlpd_robot.run.actor import STATUS
from rlpd_robot.types import Segment
from rlpd_robot.wire.journal_file import SUFFIX, scan
from rlpd_robot.wire.journal_file import read_records as read_journal
from rlpd_robot.wire.messages import SegmentMessage

Floats = NDArray[np.float64]


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
        head, _, body = (self.directory / "readings").read_bytes().partition(b"\n")
        fields = [("stamp_s", 1), *((f["name"], int(f["size"])) for f in json.loads(head)["fields"])]
        width = sum(size for _, size in fields)
        rows = np.frombuffer(body[: len(body) // (8 * width) * 8 * width], "<f8").reshape(-1, width)
        ends = np.cumsum([size for _, size in fields])
        return {name: rows[:, end - size : end] for (name, size), end in zip(fields, ends, strict=True)}

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """Of the actor when it ended (`Actor.stats`); empty when it was killed."""
        path = self.directory / STATUS
        figures: Mapping[str, float] = json.loads(path.read_text()) if path.exists() else {}
        return figures

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

    def measured_s(self) -> Floats:
        """For each followed command, when the state was measured that it answers [s]; NaN where that is not known."""
        stamps = self.readings["stamp_s"][:, 0]
        rows = self.executed["answers"] + 1
        known = (rows > 0) & (rows < len(stamps))
        return np.where(known, stamps[np.where(known, rows, 0)], np.nan)

    def ages_s(self) -> Floats:
        """(N,) age of the state that each followed command answers, when it was followed [s]."""
        ages = self.executed["stamp_s"] - self.measured_s()
        return np.asarray(ages[~np.isnan(ages)], np.float64)
