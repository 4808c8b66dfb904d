import os
from collections.abc import Iterator

import pytest

from rlpd_robot.run.arm_key import ArmKey
from tests.wire.waiting import wait_until

termios = pytest.importorskip("termios")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """(the person's end, the program's end) of a terminal that this process may read from."""
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def typed(key: ArmKey, ours: int, text: str, prompt: str) -> bool:
    """Whether these keys arm; waits until they are through."""
    os.write(ours, text.encode())
    found = []

    def through() -> bool:
        found.append(key.confirmed())
        return key.prompt.endswith(prompt)

    wait_until(through)
    return any(found)


def test_only_the_whole_word_after_the_key_arms(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    idle = "arms the robot after a fault"
    with ArmKey(theirs) as key:
        assert key.prompt.endswith(idle)
        assert not typed(key, ours, "a", "Escape: ")
        assert typed(key, ours, "arm\n", idle)
        assert not typed(key, ours, "aarn\n", idle)
        assert not typed(key, ours, "aarm\x1b", idle)
        assert not typed(key, ours, "x\n\nq", idle)
        assert typed(key, ours, "aarx\x7fm\r", idle)


def test_the_terminal_comes_back(terminal: tuple[int, int]) -> None:
    _, theirs = terminal
    before = termios.tcgetattr(theirs)
    with ArmKey(theirs):
        assert termios.tcgetattr(theirs) != before
    assert termios.tcgetattr(theirs) == before


def test_what_is_no_terminal_is_not_read() -> None:
    near, far = os.pipe()
    try:
        with ArmKey(near) as key:
            os.write(far, b"aarm\n")
            assert not key.confirmed()
            assert key.prompt == ""
    finally:
        os.close(near)
        os.close(far)


def test_a_terminal_that_goes_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    try:
        with ArmKey(theirs) as key:
            os.close(ours)
            wait_until(lambda: key.confirmed() is False and key.prompt == "")
    finally:
        os.close(theirs)
