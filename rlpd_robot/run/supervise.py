"""`rlpd-robot supervise VERB …`: one process of a run, kept running and watched, where `train` does not watch all.

For containers and services: what these can see by themselves is that a process has ended, not that it hangs. It is the
supervisor of `train`, with one child: killed when it hangs, started again when it dies, within bounds; then this ends
with status 1, and whoever started it may start it anew.
"""

import signal
import sys
import threading
from collections.abc import Callable, Sequence

from rlpd_robot.run.directory import make_directory
from rlpd_robot.run.logs import Follower
from rlpd_robot.run.metrics import EVENTS, Severity, append_event
from rlpd_robot.run.settings import Settings
from rlpd_robot.run.supervisor import ChildSpec, Supervisor

VERBS = ("sim", "learner", "actor", "serve")
"""Those that run until they are told to stop."""

END_S = 75.0
"""Longest time for the process to hand over and commit, once this is told to stop [s]; give it some more than that."""

_ACTOR = "actor"
_LOOK_S = 0.25


def supervise(
    verb: str, words: Sequence[str], settings: Settings, stop: threading.Event, show: Callable[[str], None]
) -> int:
    """Keep it running until `stop`; what it prints goes to `show` and to its log in the run's directory.

    An actor in front of a real robot that died may have been in a fault: somebody must look before it moves again.

    Raises:
        ChildError: it ended and could not be kept running.
    """
    directory = make_directory(settings.run)
    again = ("actor.armed_at_start=false",) if verb == _ACTOR and settings.robot.stand_in is None else ()

    def tell(severity: Severity, name: str, text: str) -> None:
        show(f"{severity.upper()} {name}: {text}")
        try:
            append_event(directory, severity, name, text)
        except OSError as error:  # a full disk: whoever is watched is watched on
            print(f"(not in {EVENTS}: {error})", file=sys.stderr, flush=True)

    supervisor = Supervisor([ChildSpec(verb, [verb, *words], restart_words=again)], directory, settings.supervise, tell)
    log = Follower(directory / "logs" / f"{verb}.log", last=0)
    supervisor.start()
    try:
        while not stop.wait(_LOOK_S):
            _pass_on(log, show)
            supervisor.look()
    finally:
        supervisor.end([verb], END_S)
        _pass_on(log, show)
    status = supervisor.child(verb).status
    # One that had just been started again, and was told to end before it could listen, has nothing to hand over.
    return 0 if status in (0, -signal.SIGTERM) else 1


def _pass_on(log: Follower, show: Callable[[str], None]) -> None:
    for line in log.new():
        show(line)
