"""Reading pickles of numbers without running them: the one way of this project to a pickle.

A pickle is a program. Here only those instructions are carried out that build numbers, strings, lists, tuples,
dictionaries and numeric NumPy arrays (`numbers_unpickler`); every other instruction, and every name outside a short
list, is refused before anything happens.

A list is read item by item: neither it nor what the pickle might come back to is held. Where a pickle does come back to
something from long before, it is read once more, and held.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlpd_robot.data.importers.numbers_unpickler import LongBeforeError, NumbersUnpickler
from rlpd_robot.data.importers.pickled_arrays import RefusedError
from rlpd_robot.errors import ImportSourceError

MAX_BYTES = 1 << 31
"""Of a pickle that has to be held."""


def load_numbers(path: Path) -> Any:
    """The lists, dictionaries and numeric arrays that a pickle holds.

    Raises:
        ImportSourceError: it is no pickle, it is damaged, it is too large, or it asks for anything else; in that case
            nothing of what it asked for has been done.
    """
    (whole,) = _read(path, by_item=False, hold_all=True)
    return whole


def load_items(path: Path) -> Iterator[Any]:
    """The items of the list that a pickle holds, one after the other.

    Raises:
        ImportSourceError: as `load_numbers`, when it comes to that; or it holds something else than a list.
    """
    done = 0
    try:
        for item in _read(path, by_item=True, hold_all=False):
            yield item
            done += 1
    except LongBeforeError:
        for index, item in enumerate(_read(path, by_item=True, hold_all=True)):
            if index >= done:
                yield item


def _read(path: Path, *, by_item: bool, hold_all: bool) -> Iterator[Any]:
    size = path.stat().st_size
    if hold_all and size > MAX_BYTES:
        raise ImportSourceError(
            path, f"it has {size / 1e9:.1f} GB, and is to be held whole", f"at most {MAX_BYTES / 1e9:.1f} GB"
        )
    with path.open("rb") as file:
        reader = NumbersUnpickler(file, size, by_item, hold_all)
        items = reader.items()
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except LongBeforeError:
                raise
            except RefusedError as refusal:
                raise ImportSourceError(
                    path,
                    f"this pickle asks for {refusal}, which was not done",
                    "numbers, lists, dictionaries and numeric arrays",
                ) from None
            except Exception as error:  # a mutilated program fails in any way
                words = f"{type(error).__name__}: {str(error)[:200]}"
                raise ImportSourceError(path, f"this pickle cannot be read ({words})", "a whole pickle file") from error
            yield item
