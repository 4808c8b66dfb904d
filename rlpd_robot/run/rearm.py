"""Arms the actor again after its stand-in was started again."""

import threading
import time
from collections.abc import Callable

from rlpd_robot.errors import RlpdRobotError
from rlpd_robot.run.metrics import Severity

_ASK_EVERY_S = 0.5


class Rearm:
    """Arms an actor again after its stand-in was started again: for simulators only, never for a real robot.

    Args:
        status: asks the actor how it stands; raises or answers a sentence with "FAULT" in it while a fault is latched.
        arm: asks it to arm; raises while it refuses.
        tell: told once how it went.
        patience_s: how long the actor may need to notice, and then to find the robot again [s].
    """

    def __init__(
        self,
        status: Callable[[], str],
        arm: Callable[[], str],
        tell: Callable[[Severity, str], None],
        patience_s: float = 60.0,
    ) -> None:
        self._status, self._arm, self._tell, self._patience_s = status, arm, tell, patience_s
        self._thread: threading.Thread | None = None
        self._until_s = 0.0
        self._closing = threading.Event()

    def begin(self) -> None:
        """Try from now on, in a thread; a second call while one tries gives it as long again."""
        self._until_s = time.monotonic() + self._patience_s
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="rearm", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Try no longer."""
        self._closing.set()

    def _run(self) -> None:
        problem = ""
        while not self._closing.wait(_ASK_EVERY_S) and time.monotonic() < self._until_s:
            try:
                if "FAULT" not in self._status():
                    if problem:  # the answer to our last word was lost, not the word
                        self._tell("info", "armed after its stand-in was started again")
                        return
                    continue  # it has not noticed yet, or had nothing to notice
            except RlpdRobotError:  # it is not there, or has not begun to listen
                continue
            try:
                self._tell("info", f"armed after its stand-in was started again: {self._arm()}")
                return
            except RlpdRobotError as error:  # the cause persists
                problem = str(error)
        if problem and not self._closing.is_set():
            self._tell("warning", f"could not be armed after its stand-in was started again: {problem}")
