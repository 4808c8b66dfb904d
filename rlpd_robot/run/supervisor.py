"""Watches the processes of a run: whoever dies or hangs is named, with its last words, and started again.

A death is seen at once, a process or thread that no longer moves within two seconds, from the signs of life that each
writes (`rlpd_robot/liveness.py`). Restarts are bounded; then the run is given up with a report.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpd_robot.errors import ChildError
from rlpd_robot.liveness import Sign
from rlpd_robot.run.metrics import Severity
from rlpd_robot.run.processes import Child, end_all
from rlpd_robot.run.supervise_settings import SuperviseSettings

WRONGLY_ASKED = 2
"""Exit status of a process that was given wrong words: starting it again cannot help."""

OnEvent = Callable[[Severity, str, str], None]
"""(severity, name of the process, sentence)."""


@dataclass(frozen=True)
class ChildSpec:
    """One process to keep running.

    Attributes:
        name: for reports; also names its log.
        words: verb and settings.
        restarts: whether it may be started again at all.
        restart_words: further words for every start but the first.
    """

    name: str
    words: Sequence[str]
    restarts: bool = True
    restart_words: Sequence[str] = ()


class Supervisor:
    """Keeps processes running. One thread owns it, and calls `look` several times a second.

    Args:
        specs: the processes, the one that others lean on first: its trouble explains theirs.
        directory: of the run; logs go to `logs/` below it, signs of life to `alive/`.
        settings: when a process counts as hanging, and how often it is started again.
        on_event: told of every death, hang, restart.
        on_restart: called with the name of a process that was started again.

    Attributes:
        restarted: how often each process was started again.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        directory: Path,
        settings: SuperviseSettings,
        on_event: OnEvent,
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self.restarted = {spec.name: 0 for spec in specs}
        self._settings, self._on_event, self._on_restart = settings, on_event, on_restart
        for below in ("logs", "alive"):
            (directory / below).mkdir(parents=True, exist_ok=True)
        self._watched = {spec.name: _Watched(spec, directory, settings) for spec in specs}

    def start(self) -> None:
        """Start all of them, in their order."""
        for watched in self._watched.values():
            watched.start()

    def look(self) -> None:
        """See how they stand, and do what is due. Never waits longer than it takes to kill a process.

        Raises:
            ChildError: one ended and may not be started again, or was too often.
        """
        now = time.monotonic()
        for name, watched in self._watched.items():
            for severity, text in watched.look(now):
                self._on_event(severity, name, text)
            if watched.due(now):
                self._restart(name, watched)

    def states(self) -> dict[str, str]:
        """How each process stands, for people."""
        return {name: watched.state for name, watched in self._watched.items()}

    def child(self, name: str) -> Child:
        """The process of this name as it runs now."""
        child = self._watched[name].child
        assert child is not None
        return child

    def end(self, names: Sequence[str], timeout_s: float) -> None:
        """End these for good, one after the other, within the time all told."""
        children = [self._watched[name].close() for name in names]
        end_all([child for child in children if child is not None], timeout_s)

    def _restart(self, name: str, watched: "_Watched") -> None:
        watched.start(again=True)
        self.restarted[name] += 1
        self._on_event("warning", name, f"started again ({self.restarted[name]})")
        for other in self._watched.values():  # what hung with it, hung because of it
            other.forgive()
        if self._on_restart is not None:
            self._on_restart(name)


class _Watched:
    """One process over all its restarts."""

    def __init__(self, spec: ChildSpec, directory: Path, settings: SuperviseSettings) -> None:
        self.child: Child | None = None
        self._spec, self._directory, self._settings = spec, directory, settings
        self._deaths: deque[float] = deque()
        self._due_s: float | None = None
        self._forgiven_s = self._stopped_s = 0.0
        self._told: set[str] = set()
        self._closed = False

    @property
    def state(self) -> str:
        if self.child is None:
            return "not started"
        if self._due_s is not None:
            return f"{self.child.state}, starts again"
        return "hangs" if self._told and self.child.running else self.child.state

    def start(self, again: bool = False) -> None:
        words = [*self._spec.words, *(self._spec.restart_words if again else ())]
        if self.child is not None:
            self.child.end(0.1)
        signs = self._directory / "alive" / self._spec.name
        self.child = Child(self._spec.name, words, self._directory / "logs", signs)
        self._due_s = None
        self._told.clear()
        self.forgive()

    def forgive(self) -> None:
        """Whatever hung until now has as long again."""
        self._forgiven_s, self._stopped_s = time.monotonic(), 0.0

    def due(self, now: float) -> bool:
        return self._due_s is not None and now >= self._due_s

    def close(self) -> Child | None:
        self._closed, self._due_s = True, None
        return self.child

    def look(self, now: float) -> list[tuple[Severity, str]]:
        """What is new about it."""
        child = self.child
        if child is None or self._closed or self._due_s is not None:
            return []
        if not child.running:
            return [self._dead(child, now)]
        child.bound_log()
        events: list[tuple[Severity, str]] = []
        fatal = None
        for key, text, silent_s, patience_s in self._silences(child, now):
            if silent_s > patience_s and key not in self._told:
                self._told.add(key)
                events.append(("warning", text))
            silent_since_s = min(silent_s, now - self._forgiven_s)
            if silent_since_s > patience_s + self._settings.killed_s - self._settings.seen_s:
                fatal = text
        if not events and fatal is None and self._told and not self._still_silent(child, now):
            self._told.clear()
            events.append(("info", "moves again"))
        if fatal is not None:
            child.kill()
            events.append(self._dead(child, now, fatal))
        return events

    def _still_silent(self, child: Child, now: float) -> bool:
        return any(silent_s > patience_s for _, _, silent_s, patience_s in self._silences(child, now))

    def _silences(self, child: Child, now: float) -> list[tuple[str, str, float, float]]:
        """(what, sentence, silent for [s], patience [s]) of everything that may hang in it."""
        seen_s, found = self._settings.seen_s, []
        if child.stopped:
            self._stopped_s = self._stopped_s or now
            return [("stopped", "suspended (SIGSTOP)", now - self._stopped_s + seen_s + 1e-9, seen_s)]
        self._stopped_s = 0.0
        signs = child.signs()
        if not signs:
            silent_s = now - child.started_s
            found.append(
                ("start", f"no sign of life {silent_s:.1f} s after its start", silent_s, self._settings.start_s)
            )
        for sign in signs:
            if sign.died:
                text = f"thread '{sign.name}' died: {sign.doing}"
                found.append((sign.name, text, sign.silent_s + seen_s + 1e-9, seen_s))
            else:
                found.append((sign.name, _sentence(sign), sign.silent_s, max(seen_s, sign.patience_s)))
        return found

    def _dead(self, child: Child, now: float, hung: str = "") -> tuple[Severity, str]:
        """Plan the restart.

        Raises:
            ChildError: there is none.
        """
        how = f"was killed, since it hung: {hung}" if hung else child.state
        child.note_end()
        settings = self._settings
        while self._deaths and now - self._deaths[0] > settings.window_s:
            self._deaths.popleft()
        if child.status == WRONGLY_ASKED or not self._spec.restarts:
            raise ChildError(child.name, how, child.last_words())
        if len(self._deaths) >= settings.restarts:
            times = f"{how}, after {len(self._deaths)} restarts within {settings.window_s:g} s; it is given up"
            raise ChildError(child.name, f"{times}. Its log: {child.log_path}", child.last_words())
        wait_s = min(settings.backoff_max_s, settings.backoff_s * 2 ** len(self._deaths))
        self._deaths.append(now)
        self._due_s = now + wait_s
        return "error", f"{how}; starts again in {wait_s:g} s. Last words: {child.last_words() or '(none)'}"


def _sentence(sign: Sign) -> str:
    doing = f" (while {sign.doing})" if sign.doing else ""
    who = sign.name if sign.name == "main loop" else f"thread '{sign.name}'"
    return f"{who} has not moved for {sign.silent_s:.1f} s{doing}"
