"""What the processes of a run have printed, and what they say while one looks."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.live_state import number, one_line
from rlpd_robot.run.log_file import older
from rlpd_robot.run.metrics import EVENTS
from rlpd_robot.run.newest_run import ROOT, named_run

ALL = "events"
"""In the place of a process: what went on in all of them."""

_FOLLOW = ("-f", "--follow")
_LOOK_S = 0.2
_BLOCK = 1 << 16


@dataclass(frozen=True)
class LogWords:
    """What followed `logs`.

    Attributes:
        run: the run's directory; None: the newest.
        names: of processes; none: every one that has a log, and the events.
        follow: go on until told to stop.
        lines: of each, from its end.
    """

    run: Path | None
    names: tuple[str, ...]
    follow: bool
    lines: int

    @staticmethod
    def of(words: Sequence[str]) -> "LogWords | None":
        """Sort them; None where they make no sense."""
        rest, lines = [word for word in words if word not in _FOLLOW], 10
        follow = len(rest) < len(words)
        if "-n" in rest:
            at = rest.index("-n")
            if not (len(rest) > at + 1 and rest[at + 1].isascii() and rest[at + 1].isdigit()):
                return None
            lines = int(rest[at + 1])
            del rest[at : at + 2]
        if any(word.startswith("-") or "=" in word for word in rest):
            return None
        is_run = bool(rest) and (os.sep in rest[0] or (named_run(Path(rest[0]), ROOT) / "logs").is_dir())
        run = Path(rest.pop(0)) if is_run else None
        return LogWords(run, tuple(rest), follow, lines)


class Follower:
    """Complete lines of a file that grows, also past the moment when it is set aside (`log_file`).

    Args:
        path: of the file; it may not be there yet.
        last: how many of its present lines to begin with; None: all.
    """

    def __init__(self, path: Path, last: int | None = None) -> None:
        self._path, self._offset, self._torn = path, 0, b""
        if last is not None and path.exists():
            self._offset = _start_of_last(path, last)

    def new(self) -> list[str]:
        """The lines completed since the last call. A file that has become shorter is another file, or was set aside."""
        try:
            with open(self._path, "rb") as file:
                data = self._torn
                if os.fstat(file.fileno()).st_size < self._offset:
                    data, self._offset = self._set_aside(), 0
                file.seek(self._offset)
                data += file.read()
                self._offset = file.tell()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._torn = data[end:]
        return data[:end].decode(errors="replace").splitlines()

    def _set_aside(self) -> bytes:
        """What had not been read of the file that became shorter; nothing where it is gone."""
        try:
            with open(older(self._path), "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    return b""
                file.seek(self._offset)
                return self._torn + file.read()
        except FileNotFoundError:
            return b""


def show_logs(
    directory: Path, asked: LogWords, show: Callable[[str], None], stop: threading.Event | None = None
) -> int:
    """Show them, each line with the name of its process in front.

    Raises:
        ConfigError: a process has no log in this run.
    """
    present = sorted(path.stem for path in (directory / "logs").glob("*.log"))
    present += [ALL] if (directory / EVENTS).exists() else []
    for name in asked.names:
        if name not in present:
            raise ConfigError("PROCESS", name, f"one of {', '.join(present) or '(none has a log)'}")
    names = asked.names or tuple(present)
    width = max(map(len, names), default=0)
    followers = {name: Follower(_path(directory, name), asked.lines) for name in names}
    stop = stop or threading.Event()
    while True:
        for name, follower in followers.items():
            for line in follower.new():
                show(f"{name:<{width}} | {_event(line) if name == ALL else one_line(line)}")
        if not asked.follow or stop.wait(_LOOK_S):
            return 0


def _path(directory: Path, name: str) -> Path:
    return directory / EVENTS if name == ALL else directory / "logs" / f"{name}.log"


def _event(line: str) -> str:
    """A line of events.jsonl for reading; as it is when it is none."""
    try:
        event = json.loads(line)
        when = time.strftime("%m-%d %H:%M:%S", time.localtime(number(event, "unix_s", 0.0)))
        return one_line(f"{when} {event['severity']} {event['source']}: {event['text']}")
    except (ValueError, TypeError, KeyError, AttributeError):  # torn by a kill
        return one_line(line)


def _start_of_last(path: Path, lines: int) -> int:
    """Offset of the last so many complete lines; reads the file from its end."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        data, at = b"", end
        while at > 0 and data.count(b"\n") <= lines:
            step = min(_BLOCK, at)
            at -= step
            file.seek(at)
            data = file.read(step) + data
    kept = data[: data.rfind(b"\n") + 1]
    torn = len(data) - len(kept)
    last = kept.splitlines(keepends=True)[-lines:] if lines else []
    return end - torn - sum(map(len, last))
