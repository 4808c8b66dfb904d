"""`alive/NAME.json`: which process of a run has been started, where, by which version, and how it ended.

Its signs of life (`rlpd_robot/liveness.py`) lie beside it. Their times are of one machine's clock since its last start;
the record names that start, so that signs from before a reboot, or of another machine, are not taken for signs of life.
"""

import json
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

ALIVE = "alive"
"""In the run's directory: one file of signs and one record a process."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessRecord:
    """One process, as whoever watches it has started it last.

    Attributes:
        name: such as "actor".
        host: name of its machine, or of its container.
        machine_start: the kernel's own word for this start of that machine; containers share it. Empty: not known.
        pid: process id, in its container if it is in one.
        version: of this program.
        started_unix_s: [s].
        words: of its command line.
        ended: how; empty while it runs, and when nobody was left to see it.
        ended_unix_s: [s]; 0 while it runs.
    """

    name: str
    host: str
    machine_start: str
    pid: int
    version: str
    started_unix_s: float
    words: tuple[str, ...] = ()
    ended: str = ""
    ended_unix_s: float = 0.0

    @staticmethod
    def of(name: str, pid: int, words: Sequence[str]) -> "ProcessRecord":
        """One that has just been started here."""
        return ProcessRecord(
            name, socket.gethostname(), machine_start(), pid, own_version(), round(time.time(), 3), tuple(words)
        )

    @property
    def this_start(self) -> bool:
        """Whether it was started on this machine, since the machine was."""
        return self.machine_start == machine_start()

    def write(self, directory: Path) -> None:
        """Replace the record in a run's directory, whole or not at all."""
        path = record_path(directory, self.name)
        partial = path.with_suffix(".json.partial")
        partial.write_text(json.dumps(asdict(self)))
        os.replace(partial, path)

    def write_end(self, directory: Path, how: str) -> None:
        """Add how it ended."""
        replace(self, ended=how, ended_unix_s=round(time.time(), 3)).write(directory)


def record_path(directory: Path, name: str) -> Path:
    """Where the record of a process lies."""
    return directory / ALIVE / f"{name}.json"


def signs_path(directory: Path, name: str) -> Path:
    """Where a process writes its signs of life."""
    return directory / ALIVE / name


def read_record(directory: Path, name: str) -> ProcessRecord | None:
    """The record of a process; None where there is none that can be read."""
    try:
        data = json.loads(record_path(directory, name).read_text())
        known = {field.name: data[field.name] for field in fields(ProcessRecord)}
        return ProcessRecord(**known | {"words": tuple(known["words"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def names_in(directory: Path) -> list[str]:
    """The processes of a run that have a record, by name."""
    return sorted(path.stem for path in (directory / ALIVE).glob("*.json"))


def machine_start() -> str:
    """The kernel's word for this start of the machine; empty where it has none."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def own_version() -> str:
    """Of this program."""
    from importlib.metadata import PackageNotFoundError, version  # slow, and a check has no use for it

    try:
        return version("rlpd-robot")
    except PackageNotFoundError:  # run from a bare checkout
        return "unknown"
