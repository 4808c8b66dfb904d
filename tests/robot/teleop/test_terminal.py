import contextlib
import os
import termios

import pytest

from rlpd_robot.robot.teleop import terminal as module
from rlpd_robot.robot.teleop.terminal import TerminalKeys, restore_terminal
from tests.wire.waiting import wait_until


def press(keys: TerminalKeys, ours: int, text: str, count: int) -> list[str]:
    """What is read of these bytes, once so many keys are through."""
    os.write(ours, text.encode())
    found: list[str] = []

    def through() -> bool:
        found.extend(keys.read())
        return len(found) >= count

    wait_until(through)
    return found


def test_keys_go_by_name(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with TerminalKeys(theirs) as keys:
        assert press(keys, ours, "wW \r\n\t\x7f", 7) == ["w", "W", "space", "enter", "enter", "tab", "backspace"]
        assert press(keys, ours, "\x1b[A\x1bOB\x1b[5~\x1b[Dx", 5) == ["up", "down", "page_up", "left", "x"]
        assert press(keys, ours, "ä", 1) == ["ä"]
        assert keys.read() == []


def test_an_escape_sequence_that_comes_in_parts_is_one_key(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with TerminalKeys(theirs) as keys:
        assert press(keys, ours, "a\x1b[", 1) == ["a"]
        assert press(keys, ours, "Cb", 2) == ["right", "b"]
        assert press(keys, ours, "\x1b", 1) == ["escape"]  # nothing came after it


def test_a_terminal_that_controls_no_session_is_read() -> None:
    ours, theirs = os.openpty()
    with TerminalKeys(theirs) as keys:
        assert press(keys, ours, "w", 1) == ["w"]
    os.close(ours)
    os.close(theirs)


def test_an_unknown_sequence_is_no_key(terminal: tuple[int, int]) -> None:
    ours, theirs = terminal
    with TerminalKeys(theirs) as keys:
        assert press(keys, ours, "\x1b[99;5~z", 1) == ["z"]


def test_the_terminal_comes_back_whatever_happens(terminal: tuple[int, int]) -> None:
    _, theirs = terminal
    before = termios.tcgetattr(theirs)
    with contextlib.suppress(ZeroDivisionError), TerminalKeys(theirs):
        assert termios.tcgetattr(theirs) != before
        raise ZeroDivisionError
    assert termios.tcgetattr(theirs) == before
    with TerminalKeys(theirs), TerminalKeys(theirs):  # a second reader does not take the raw state for the old one
        pass
    assert termios.tcgetattr(theirs) == before
    keys = TerminalKeys(theirs).__enter__()
    restore_terminal()  # as a second Ctrl-C does
    assert termios.tcgetattr(theirs) == before
    keys.__exit__()


def test_what_is_no_terminal_is_not_read() -> None:
    near, far = os.pipe()
    try:
        with TerminalKeys(near) as keys:
            os.write(far, b"w")
            assert keys.read() == []
            assert not keys.reads
    finally:
        os.close(near)
        os.close(far)
    assert module._restore is None


def test_a_terminal_that_goes_away_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    try:
        with TerminalKeys(theirs) as keys:
            os.close(ours)
            wait_until(lambda: keys.read() == [] and not keys.reads)
    finally:
        os.close(theirs)
