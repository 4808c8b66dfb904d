"""`rlpd-robot status` and `rlpd-robot logs`: their words, and the run that they mean."""

import json
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from rlpd_robot.errors import ConfigError
from rlpd_robot.run.health import Health, health_of
from rlpd_robot.run.newest_run import ROOT, named_run, newest_run

if TYPE_CHECKING:
    from rlpd_robot.run.settings import Settings
    from rlpd_robot.wire.settings import LinkSettings

Load = Callable[[Sequence[str]], "Settings"]
"""Composes settings from `key=value` words; brings Hydra."""

USAGE = """\
usage: rlpd-robot status [RUN] [--json] [--check=PROCESS] [key=value …]
       rlpd-robot logs   [RUN] [PROCESS …] [-f] [-n LINES]
RUN is a run's directory, or its name below runs/; without it, the one there that was last at work. --check=actor (or
learner, sim, serve) says in one line whether that process does its work, exit status 0 or 1. PROCESS 'events' is what
went on in all. -f goes on, as does --follow."""

CHECK_S = 5.0
"""A check that takes longer has failed [s]."""

_ASK_S = 2.0


@dataclass(frozen=True)
class StatusWords:
    """What followed `status`."""

    run: Path | None
    settings: tuple[str, ...]
    json: bool
    check: str | None

    @staticmethod
    def of(words: Sequence[str]) -> "StatusWords | None":
        """Sort them; None where they make no sense."""
        checks = [word.removeprefix("--check=") for word in words if word.startswith("--check=")]
        settings = tuple(word for word in words if re.match(r"[+~]*[a-z_][\w.@]*=", word))
        rest = [word for word in words if word not in settings and not word.startswith("--check=")]
        runs = [word for word in rest if not word.startswith("-")]
        if len(runs) > 1 or len(checks) > 1 or "" in checks or any(w != "--json" for w in rest if w not in runs):
            return None
        return StatusWords(Path(runs[0]) if runs else None, settings, "--json" in rest, checks[0] if checks else None)


def run_status(words: Sequence[str], load: Load) -> int:
    """Tell how a run stands; with a check, whether one of its processes is well."""
    asked = StatusWords.of(words)
    if asked is None:
        print(USAGE, file=sys.stderr)
        return 2
    if asked.check is not None:
        return _check(asked, asked.check, load)
    from rlpd_robot.run.run_links import links_of
    from rlpd_robot.run.status import lines_of, status_of

    settings = load(asked.settings) if asked.settings else None
    directory = _directory(asked.run, settings)
    link = settings.link if settings is not None else links_of(directory)
    status = status_of(directory, link.control, lambda: _ask(link))
    if asked.json:
        print(json.dumps(status, indent=1, allow_nan=False))
    else:
        print("\n".join(lines_of(status)))
    return 1 if directory is None and status["actor"]["problem"] else 0


def _check(asked: StatusWords, name: str, load: Load) -> int:
    before = signal.signal(signal.SIGALRM, _out_of_time)
    signal.setitimer(signal.ITIMER_REAL, CHECK_S)
    try:
        health = _health(asked, name, load)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if asked.json:
        print(json.dumps(asdict(health)))
    else:
        print(f"{name}: {'well' if health.well else 'NOT WELL'}: {health.sentence}")
    return 0 if health.well else 1


def _health(asked: StatusWords, name: str, load: Load) -> Health:
    settings = load(asked.settings) if asked.settings else None
    meant = named_run(asked.run, ROOT) if asked.run is not None else None
    directory = meant or (settings.run.directory if settings is not None else _newest())
    return health_of(directory, name) if directory is not None else Health(name, False, f"there is no run in {ROOT}")


def _out_of_time(number: int, frame: FrameType | None) -> NoReturn:
    print(f"NOT WELL: the check did not end within {CHECK_S:g} s: the disk does not answer", flush=True)
    raise SystemExit(1)


def _directory(named: Path | None, settings: "Settings | None") -> Path | None:
    """The run that is meant; None when none is here.

    Raises:
        ConfigError: the one that was named is not there.
    """
    if named is not None:
        found = named_run(named, ROOT)
        if not found.is_dir():
            raise ConfigError("RUN", str(named), "the directory of a run, such as runs/door-seed0, or its name")
        return found
    if settings is not None:
        return settings.run.directory if settings.run.directory.is_dir() else None
    return _newest()


def _newest() -> Path | None:
    return newest_run(ROOT)


def _ask(link: "LinkSettings") -> str:
    from rlpd_robot.wire.control import ask
    from rlpd_robot.wire.security import Security

    return ask(link.control, "status", {}, min(_ASK_S, link.timeout_s), Security(link.keys, link.insecure))


def run_logs(words: Sequence[str]) -> int:
    """Show the ends of a run's logs, and with -f what comes, until Ctrl-C."""
    from rlpd_robot.run.logs import LogWords, show_logs

    asked = LogWords.of(words)
    if asked is None:
        print(USAGE, file=sys.stderr)
        return 2
    directory = _directory(asked.run, None)
    if directory is None:
        raise ConfigError("RUN", None, f"the directory of a run; there is none in {str(ROOT)!r}")
    from rlpd_robot.run.saying import say
    from rlpd_robot.run.stopping import stop_on_signals

    return show_logs(directory, asked, say, stop_on_signals() if asked.follow else None)
