"""A thread that reads a device, so that what comes is taken when it comes and no tick waits for it."""

import logging
import threading
from collections.abc import Callable

_JOIN_S = 2.0
_log = logging.getLogger(__name__)


class Reader:
    """Calls `look` again and again until closed. An error of `look` ends it, is logged, and shows in `alive`.

    A source must not trust what a dead or hanging reader has left behind: it dates what it reads, and what is old moves
    nothing.

    Args:
        name: of the device, for people.
        look: takes what there is, and tells whether there was anything; it waits for some tenth of a second at most.
        pause_s: between two looks, after one that found nothing [s].
    """

    def __init__(self, name: str, look: Callable[[], bool], pause_s: float = 0.0) -> None:
        self._name, self._look, self._pause_s, self._stop = name, look, pause_s, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive()

    def close(self) -> bool:
        """End it; whether it has ended. A thread that hangs in its device is left behind."""
        self._stop.set()
        self._thread.join(_JOIN_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._look():
                    self._stop.wait(self._pause_s)
        except Exception as error:  # of a library or a device, whatever it is
            _log.error("%s cannot be read any more: %s: %s", self._name, type(error).__name__, error)
