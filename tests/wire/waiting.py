import os
import time

DEADLINE_S = 20.0


def wait_until(condition, deadline_s: float = DEADLINE_S):
    """The condition's first true value."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()
    return value
