"""What verbs share."""

import os
import sys


def without_cfg(words: list[str]) -> list[str]:
    """The words that are settings."""
    return [word for word in words if word != "--cfg"]


def show(text: str) -> int:
    """Print settings, for --cfg; the exit status."""
    print(text, end="")
    return 0


def to_stderr(text: str) -> None:
    """Print where no machine reads."""
    print(text, file=sys.stderr, flush=True)


def one_thread() -> None:
    """The networks are small: more threads make the matrix products slower, and keep others from their cores."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
