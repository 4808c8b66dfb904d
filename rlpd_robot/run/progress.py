"""A line that moves, where a person looks and something takes longer than a moment."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from rlpd_robot.data.progress import OnProgress, no_progress


@contextmanager
def progress_bar(what: str) -> Iterator[OnProgress]:
    """A bar on stderr, gone at the end; nothing where stderr is no terminal.

    Args:
        what: is being done, such as "validate".
    """
    if not sys.stderr.isatty():
        yield no_progress
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        line = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(line, completed=done, total=total)


@contextmanager
def progress_counter(unit: str, before: str = "") -> Iterator[tuple[Callable[[int], None], OnProgress]]:
    """A count on stderr where nobody knows how many there will be, and a bar for what has to be done before.

    Args:
        unit: what is counted.
        before: what is done first; none: nothing.
    """
    if not sys.stderr.isatty():
        yield lambda done: None, no_progress
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        line = progress.add_task(before or f"0 {unit}", total=None)

        def counted(done: int) -> None:
            progress.update(line, description=f"{done:,} {unit}")

        def prepared(done: int, total: int) -> None:
            progress.update(line, description=f"{before} {100 * done / max(1, total):.0f} %")

        yield counted, prepared
