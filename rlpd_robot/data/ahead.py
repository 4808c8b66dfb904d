"""Having the next thing made while the one before is used: reading and decoding beside looking through."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; one is made in advance, in a thread. What making one raises comes out in its turn."""
    done = object()
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, items, done)
        while (item := upcoming.result()) is not done:
            upcoming = pool.submit(next, items, done)
            yield item  # type: ignore[misc]  # it is not `done`
