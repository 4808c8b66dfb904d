"""The episode under way, on disk: what a killed recorder leaves, for the next one to find.

One file beside the store, `<store>.recording`: a line of JSON that says whose episode it is, then one record a
transition, each with its CRC-32, then one line of JSON more when the episode has ended. A record is one `write` of a
few hundred bytes in the control loop's thread and survives a kill of the process; `finish` makes all of it survive a
power cut. Recording an episode is then: begin, add …, finish, append to the store, remove.
"""

import json
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlpd_robot.errors import StoreError
from rlpd_robot.files import make_directories, sync_directory
from rlpd_robot.spec import ProblemSpec
from rlpd_robot.types import ENDINGS, Ending, Segment, Transition

_VERSION = 1
_MAX_LINE = 1 << 16
_RECORD, _END = b"T", b"E"
_CRC = struct.Struct("<I")
_ROOM = "Make room on the disk and try again."


@dataclass(frozen=True, eq=False)
class Partial:
    """What a recording file holds.

    Attributes:
        episode: its transitions; None when there is none. Its ending is "" when it was cut short.
        hide: why it is not to be seen in the store; "" when it is.
        torn: bytes at the end that count for nothing.
    """

    episode: Segment | None
    hide: str
    torn: int

    @property
    def finished(self) -> bool:
        """Whether it ended before its recorder did."""
        return self.episode is not None and self.episode.ending != ""


class _Head(NamedTuple):
    """Whose episode it is."""

    fingerprint: str
    boot: str
    first_sequence: int
    episode: int


def recording_path(store: Path) -> Path:
    """Where the episode under way of this store lies."""
    target = store.resolve()
    return target.with_name(f"{target.name}.recording")


class PartialEpisode:
    """Writes the episode under way. The caller holds the store's lock.

    Args:
        store: path of the store.
        problem: of its episodes.

    Attributes:
        path: of the file.
        steps: transitions of this episode.
    """

    def __init__(self, store: Path, problem: ProblemSpec) -> None:
        self.path = recording_path(store)
        self.steps = 0
        self._problem = problem
        dtype = _row_dtype(problem)
        self._record = bytearray(len(_RECORD) + _CRC.size + dtype.itemsize)  # one, over and over: a tick is short
        self._record[: len(_RECORD)] = _RECORD
        self._content = memoryview(self._record)[len(_RECORD) + _CRC.size :]
        self._row = np.frombuffer(self._content, dtype).reshape(())
        self._descriptor = -1

    def begin(self, boot: str, first_sequence: int, episode: int) -> None:
        """Make the file, before the robot moves; no tick waits for it.

        Raises:
            StoreError: one is there already, or the disk refuses.
        """
        head = {
            "version": _VERSION,
            "fingerprint": self._problem.fingerprint,
            "boot": boot,
            "first_sequence": first_sequence,
            "episode": episode,
            "observation_size": self._problem.observation_size,
            "action_size": self._problem.action_size,
        }
        try:
            make_directories(self.path.parent)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._write(json.dumps(head).encode() + b"\n")
            os.fsync(self._descriptor)
            sync_directory(self.path.parent)
        except FileExistsError as error:
            raise StoreError(self.path, "an earlier episode lies there", "Keep or discard it first.") from error
        except OSError as error:
            raise StoreError(self.path, f"it cannot be made ({error.strerror or error})", _ROOM) from error
        self.steps = 0

    def add(self, transition: Transition, intervened: bool) -> None:
        """Write one transition; in the control loop's thread.

        Raises:
            StoreError: the disk refuses.
        """
        row, t = self._row, transition
        row["observation"], row["next_observation"] = t.observation, t.next_observation
        row["action"], row["proposed_action"], row["reward"] = t.action, t.proposed_action, t.reward
        row["success"], row["intervened"], row["safety"] = t.success, intervened, t.safety
        row["policy_version"], row["stamps_s"] = t.policy_version, t.stamps_s
        _CRC.pack_into(self._record, len(_RECORD), zlib.crc32(self._content))
        try:
            self._write(self._record)
        except OSError as error:
            raise StoreError(self.path, f"the disk refuses ({error.strerror or error})", _ROOM) from error
        self.steps += 1

    def finish(self, ending: Ending, cause: str, hide: str) -> None:
        """The episode is over; when this returns, it survives a power cut.

        Args:
            ending, cause: of the episode.
            hide: why it is not to be seen in the store, or "".

        Raises:
            StoreError: the disk refuses.
        """
        end = json.dumps({"ending": ending, "cause": cause, "hide": hide}).encode()
        try:
            self._write(b"".join((_END, _CRC.pack(zlib.crc32(end)), end, b"\n")))
            os.fsync(self._descriptor)
        except OSError as error:
            raise StoreError(self.path, f"the disk refuses ({error.strerror or error})", _ROOM) from error

    def leave(self) -> None:
        """Close the file and let it lie, for the next recorder to find. Never raises."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def remove(self) -> None:
        """The store has it, or there is nothing in it.

        Raises:
            StoreError: the disk refuses.
        """
        self.leave()
        try:
            self.path.unlink(missing_ok=True)
            sync_directory(self.path.parent)
        except OSError as error:
            raise StoreError(self.path, f"it cannot be removed ({error.strerror or error})", _ROOM) from error

    def _write(self, data: bytes | bytearray) -> None:
        written = os.write(self._descriptor, data)
        if written < len(data):
            raise OSError(28, f"the disk took {written} of {len(data)} bytes")


def read_partial(path: Path, problem: ProblemSpec) -> Partial | None:
    """What lies at `path`; None when nothing does. A torn end is cut off.

    Raises:
        StoreError: it cannot be read, or is of another robot or task.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(path, f"it cannot be read ({error.strerror or error})", "Move it away to start.") from error
    line, newline, body = data[:_MAX_LINE].partition(b"\n")
    if not newline:
        return Partial(None, "", len(data))  # killed before the robot moved
    head = _head(path, line)
    if head.fingerprint != problem.fingerprint:
        raise StoreError(
            path,
            f"an episode of another robot or task lies there (fingerprint {head.fingerprint}, not "
            f"{problem.fingerprint})",
            "Start the recorder as it was when it was killed, or move the file away.",
        )
    return _parse(data[len(line) + 1 :], head, problem)


def _head(path: Path, line: bytes) -> _Head:
    try:
        head = json.loads(line)
        version = int(head["version"])
        found = _Head(str(head["fingerprint"]), str(head["boot"]), int(head["first_sequence"]), int(head["episode"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(path, f"its first line is damaged ({error})", "Move it away to start.") from error
    if version != _VERSION:
        raise StoreError(path, f"its version is {version}, this program reads {_VERSION}", "Move it away to start.")
    return found


def _parse(body: bytes, head: _Head, problem: ProblemSpec) -> Partial:
    dtype = _row_dtype(problem)
    size = 1 + _CRC.size + dtype.itemsize
    count = 0
    while body[count * size : count * size + 1] == _RECORD and _whole(body[count * size : (count + 1) * size], size):
        count += 1
    rest = body[count * size :]
    ending, cause, hide = _end(rest)
    rows = np.frombuffer(b"".join(body[i * size + 1 + _CRC.size : (i + 1) * size] for i in range(count)), dtype)
    episode = _segment(rows, head, ending, cause) if count else None
    return Partial(episode, hide, 0 if ending else len(rest))


def _whole(record: bytes, size: int) -> bool:
    return len(record) == size and _CRC.unpack(record[1 : 1 + _CRC.size])[0] == zlib.crc32(record[1 + _CRC.size :])


def _end(rest: bytes) -> tuple[Ending, str, str]:
    """Ending, cause and why to hide; ("", "", "") when the episode was cut short."""
    data = rest[1 + _CRC.size :].removesuffix(b"\n")
    if rest[:1] != _END or len(rest) < 1 + _CRC.size or _CRC.unpack(rest[1 : 1 + _CRC.size])[0] != zlib.crc32(data):
        return "", "", ""
    end = json.loads(data)  # its checksum is right: it is what was written
    ending = next(known for known in ENDINGS if known == end["ending"])
    return ending, str(end["cause"]), str(end["hide"])


def _segment(rows: NDArray[np.void], head: _Head, ending: Ending, cause: str) -> Segment:
    segment = Segment(
        boot=head.boot,
        first_sequence=head.first_sequence,
        episode=head.episode,
        first_step=0,
        observations=np.concatenate([rows["observation"], rows["next_observation"][-1:]]),
        actions=rows["action"].copy(),
        proposed_actions=rows["proposed_action"].copy(),
        rewards=rows["reward"].copy(),
        success=rows["success"].copy(),
        intervened=rows["intervened"].copy(),
        safety=rows["safety"].copy(),
        policy_versions=rows["policy_version"].copy(),
        stamps_s=rows["stamps_s"].copy(),
    )
    return replace(segment, ending=ending, cause=cause)


def _row_dtype(problem: ProblemSpec) -> "np.dtype[np.void]":
    o, a = problem.observation_size, problem.action_size
    return np.dtype(
        [
            ("observation", "<f4", (o,)),
            ("next_observation", "<f4", (o,)),
            ("action", "<f4", (a,)),
            ("proposed_action", "<f4", (a,)),
            ("reward", "<f4"),
            ("success", "?"),
            ("intervened", "?"),
            ("safety", "<u2"),
            ("policy_version", "<i8"),
            ("stamps_s", "<f8", (4,)),
        ]
    )
