"""What a process tells its terminal or its log, and does not die of."""

import contextlib


def say(text: str) -> None:
    """Print one line, now. A disk that has no room for a log is no reason to stop what is logged.

    Whatever matters is told over the links too, and a full disk by whoever has data for it.
    """
    with contextlib.suppress(OSError):
        print(text, flush=True)
