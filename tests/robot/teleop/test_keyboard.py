import os

import numpy as np
import pytest

from rlpd_robot.errors import ConfigError
from rlpd_robot.policy.base import HoldPolicy
from rlpd_robot.robot.fake import fake_spec
from rlpd_robot.robot.teleop.acting import PolicyTeleop
from rlpd_robot.robot.teleop.keyboard import KeyboardTeleop, WithKeys
from rlpd_robot.robot.teleop.source import Event, Following, Resting, Seeing
from rlpd_robot.robot.teleop.zmq_source import ZmqTeleop
from tests.wire.waiting import wait_until

SPEC = fake_spec(period_s=0.1)  # one action unit is one metre
AXES = {"right": {"target.0": 0.5}, "up": {"target.1": 1.0}}
KEYS = {"d": "right", "a": "-right", "up": "up"}
START = np.array([0.25, 0.0], np.float32)


class Keyboard:
    """A keyboard on a terminal whose other end a test holds, at a time that the test sets."""

    def __init__(self, terminal: tuple[int, int], **options: object) -> None:
        self.now = 100.0
        self._ours, theirs = terminal
        arguments = {"axes": AXES, "keys": KEYS, "hold_s": 0.25, **options}
        self.source = KeyboardTeleop(SPEC, fd=theirs, clock=lambda: self.now, **arguments)
        self.source.begin(START)

    def press(self, text: str) -> None:
        """Wait until the keys are there to be read."""
        import select

        os.write(self._ours, text.encode())
        wait_until(lambda: bool(select.select([self.source._terminal._fd], [], [], 0)[0]))

    def poll(self, at: float):
        self.now = at
        return self.source.poll()


@pytest.fixture
def keyboard(terminal):
    made = Keyboard(terminal)
    yield made
    made.source.close()


def test_nothing_moves_before_a_key(keyboard):
    sample = keyboard.poll(100.0)
    assert sample.action.tolist() == START.tolist()
    assert (sample.enabled, sample.events, sample.stamp) == (True, (), 100.0)


def test_a_key_moves_for_as_long_as_it_counts_as_held(keyboard):
    """0.5 m/s for the polls at 0.0, 0.1 and 0.2 s after the press, a period of 0.1 s each."""
    keyboard.press("d")
    places = [float(keyboard.poll(100 + 0.1 * i).action[0]) for i in range(5)]
    assert places == pytest.approx([0.30, 0.35, 0.40, 0.40, 0.40])
    keyboard.press("a\x1b[A")
    assert keyboard.poll(101.0).action.tolist() == pytest.approx([0.35, 0.1])


def test_opposite_keys_cancel_and_repeats_bridge(keyboard):
    keyboard.press("da")
    assert keyboard.poll(100.0).action[0] == pytest.approx(0.25)
    keyboard.press("ddd")
    assert keyboard.poll(100.3).action[0] == pytest.approx(0.30)  # three repeats are one held key


def test_the_clutch_holds_the_target_and_drops_what_was_held(keyboard):
    keyboard.press("d ")
    sample = keyboard.poll(100.0)
    assert (sample.enabled, sample.action[0]) == (False, pytest.approx(0.25))
    keyboard.press("dd")
    assert keyboard.poll(100.1).action[0] == pytest.approx(0.25)
    keyboard.press(" ")
    sample = keyboard.poll(100.15)
    assert (sample.enabled, sample.action[0]) == (True, pytest.approx(0.25))  # taken again without a bump


def test_words_come_once_and_in_order(keyboard):
    keyboard.press("\r1d0\x7fUQ")
    words = (Event.START, Event.SUCCESS, Event.FAILURE, Event.DISCARD, Event.UNDO, Event.QUIT)
    assert keyboard.poll(100.0).events == words
    assert keyboard.poll(100.0).events == ()
    assert keyboard.source.stats() == {"keys": 7.0}


def test_a_terminal_that_has_gone_falls_silent(monkeypatch):
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    keyboard = Keyboard((ours, theirs))
    assert keyboard.poll(101.0).stamp == 101.0
    os.close(ours)
    wait_until(lambda: keyboard.poll(102.0).stamp == 101.0)
    keyboard.source.close()
    os.close(theirs)


def test_the_help_names_every_key(keyboard):
    assert keyboard.source.help() == {
        **{"d": "+right", "a": "-right", "up": "+up", "space": "clutch", "enter": "start", "1": "success"},
        **{"0": "failure", "backspace": "discard", "U": "undo", "P": "pause", "A": "arm", "Q": "quit"},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_s": 0.0}, "teleop.hold_s"),
        ({"keys": {"d": "left"}}, r"'teleop.keys.d' must be an axis.*\['right', 'up'\]. Received 'left'"),
        ({"keys": {"U": "right"}}, "this one is 'undo'"),
        ({"keys": {"space": "right"}}, "this one is 'the clutch'"),
        ({"keys": {"ctrl-x": "right"}}, "a single character, or one of"),
        ({"words": {"x": "explode"}}, r"teleop.words.x' must be one of \['start'"),
    ],
)
def test_a_wrong_map_is_refused(terminal, options, message):
    with pytest.raises(ConfigError, match=message):
        Keyboard(terminal, **options)


def test_without_a_terminal_it_is_refused():
    near, far = os.pipe()
    with pytest.raises(ConfigError, match="another device where no terminal is attached"):
        Keyboard((far, near))
    os.close(near)
    os.close(far)


def test_words_may_have_other_keys(terminal):
    keyboard = Keyboard(terminal, words={"x": "start"})
    keyboard.press("\rx")
    assert keyboard.poll(100.0).events == (Event.START,)
    keyboard.source.close()


def test_another_source_is_accompanied_by_the_words_of_a_terminal(terminal):
    ours, theirs = terminal
    source = WithKeys(PolicyTeleop(SPEC, HoldPolicy(START)), fd=theirs)
    assert source.reads
    source.begin(np.zeros(2, np.float32))
    source.see(np.zeros(4, np.float32))
    os.write(ours, b"d1")
    seen: list[Event] = []
    wait_until(lambda: bool(seen.extend(source.poll().events) or seen))
    assert seen == [Event.SUCCESS]
    assert source.poll().action.tolist() == START.tolist()
    assert [isinstance(source, p) for p in (Seeing, Resting, Following)] == [True, False, False]
    source.close()


def test_what_a_source_is_told_of_the_robot_reaches_it_through_the_words(terminal):
    leader = ZmqTeleop(SPEC, "tcp://127.0.0.1:*")
    source = WithKeys(leader, fd=terminal[1])
    assert [isinstance(source, p) for p in (Seeing, Resting, Following)] == [False, True, False]
    source.rest(START)
    assert source.poll().action.tolist() == START.tolist()
    source.close()
    keyboard = KeyboardTeleop(SPEC, {"right": {"target.0": 0.5}}, {"d": "right"}, fd=terminal[1])
    assert isinstance(keyboard, Following)
    keyboard.close()
