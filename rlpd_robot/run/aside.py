"""Words for people, printed by a thread of their own: a terminal may be paused, a pipe full, a disk slow.

No tick waits for any of them. What cannot be printed in time is dropped and counted, and the count is told.
"""

import logging
import queue
import threading

_HELD = 1000  # lines that wait at most
_CLOSE_S = 2.0


class Aside(logging.Handler):
    """Takes lines, and what is logged from a warning on, without waiting. Made and closed by one thread; used by all.

    Attributes:
        dropped: lines that found no room.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.dropped = 0
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="words for people", daemon=True)
        self._thread.start()
        logging.getLogger().addHandler(self)

    def say(self, line: str) -> None:
        """Have a line printed."""
        if self._lines.qsize() >= _HELD:
            self.dropped += 1
        else:
            self._lines.put(line)

    def emit(self, record: logging.LogRecord) -> None:
        """What the `logging` module hands over."""
        self.say(self.format(record))

    def close(self) -> None:
        """Print what waits, for 2 s at most: a terminal may still be paused. A second call does nothing."""
        logging.getLogger().removeHandler(self)
        self._lines.put(None)
        self._thread.join(_CLOSE_S)
        super().close()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self.dropped > self._told:
                self._told = self.dropped
                line += f"\n({self.dropped} lines so far could not be printed in time)"
            try:
                print(line, flush=True)
            except OSError:  # nobody reads any more; acting goes on, and the journal has what matters
                self.dropped += 1
