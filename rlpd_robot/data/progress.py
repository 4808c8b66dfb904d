"""How a long piece of work tells how far it is."""

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Told how many parts are done, and of how many."""


def no_progress(done: int, total: int) -> None:
    """Nobody looks."""
