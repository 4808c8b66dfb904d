import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """(the person's end, the program's end) of a terminal that this process may read from."""
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    yield ours, theirs
    os.close(ours)
    os.close(theirs)
