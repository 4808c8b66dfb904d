"""Ending a process in order: the first SIGINT or SIGTERM asks, the second one ends it at once."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

SUPERVISOR = "RLPD_ROBOT_SUPERVISOR"
"""Environment variable: process id of the supervisor that started this process."""

_LOOK_S = 1.0


def stop_on_signals(at_once: Callable[[], None] | None = None) -> threading.Event:
    """An event that SIGINT, SIGTERM or the death of the supervisor set. A second signal leaves at once, status 130.

    Args:
        at_once: done before leaving at once; must not wait.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            if at_once is not None:
                at_once()
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor:
        threading.Thread(target=_outlive_not, args=(int(supervisor), stop), daemon=True).start()
    return stop


def _outlive_not(supervisor: int, stop: threading.Event) -> None:
    """A robot must not be driven by processes that nobody watches any more."""
    while not stop.wait(_LOOK_S):
        if os.getppid() != supervisor:
            stop.set()
