"""The real pygame with SDL's dummy drivers; a person's hand is replaced by posted events."""

import sys

import pytest

from rlpd_robot.errors import ConfigError, MissingPackageError
from rlpd_robot.robot.teleop.gamepad import GamepadTeleop
from rlpd_robot.robot.teleop.source import Event
from tests.robot.teleop.arms import AXES, SPEC, START, at

pygame = pytest.importorskip("pygame")

STICKS = {"left_x": "right", "right_trigger": {"axis": "up", "rest": -1}, "hat_y": "-up", "axis_9": "right"}
BUTTONS = {"right_bumper": "dead_man", "start": "start", "a": "success", "button_14": "undo"}


@pytest.fixture
def clock():
    return at()


@pytest.fixture
def gamepad(clock):
    made = GamepadTeleop(SPEC, AXES, STICKS, BUTTONS, dead_zone=0.0, index=None, clock=clock.now)
    made.begin(START)
    yield made
    made.close()


def axis(number, value, pad=0):
    pygame.event.post(pygame.event.Event(pygame.JOYAXISMOTION, instance_id=pad, axis=number, value=value))


def button(number, down=True, pad=0):
    kind = pygame.JOYBUTTONDOWN if down else pygame.JOYBUTTONUP
    pygame.event.post(pygame.event.Event(kind, instance_id=pad, button=number))


def test_nothing_moves_while_the_dead_man_switch_is_up(gamepad):
    axis(0, 1.0)
    sample = gamepad.poll()
    assert (sample.enabled, sample.action.tolist()) == (False, START.tolist())
    button(5)
    sample = gamepad.poll()
    assert (sample.enabled, sample.action.tolist()) == (True, pytest.approx([0.30, 0.0]))
    assert gamepad.poll().action.tolist() == pytest.approx([0.35, 0.0])  # a stick that is held sends nothing more
    button(5, down=False)
    sample = gamepad.poll()
    assert (sample.enabled, sample.action.tolist()) == (False, pytest.approx([0.35, 0.0]))


def test_triggers_hats_and_numbered_controls_count(gamepad):
    button(5)
    axis(5, 0.0)
    assert gamepad.poll().action.tolist() == pytest.approx([0.25, 0.05])
    axis(5, -1.0)
    axis(9, -1.0)
    pygame.event.post(pygame.event.Event(pygame.JOYHATMOTION, instance_id=0, hat=0, value=(0, 1)))
    assert gamepad.poll().action.tolist() == pytest.approx([0.20, -0.05])
    assert gamepad.stats() == {"gamepad_events": 5.0}


def test_buttons_speak_when_they_are_pressed_and_not_while_they_are_held(gamepad):
    for number in (7, 0, 14):
        button(number)
    assert gamepad.poll().events == (Event.START, Event.SUCCESS, Event.UNDO)
    button(0, down=False)
    assert gamepad.poll().events == ()


def test_a_gamepad_that_goes_away_falls_silent_and_lets_go(gamepad, clock):
    button(5)
    axis(0, 1.0)
    assert gamepad.poll().stamp == 100.0
    pygame.event.post(pygame.event.Event(pygame.JOYDEVICEREMOVED, instance_id=0))
    clock.s = 101.0
    sample = gamepad.poll()
    assert (sample.enabled, sample.stamp, sample.action[0]) == (False, 100.0, pytest.approx(0.30))


def test_without_a_dead_man_switch_it_lets_go_all_the_same(clock):
    made = GamepadTeleop(SPEC, AXES, {"left_x": "right"}, {}, dead_zone=0.0, index=None, clock=clock.now)
    made.begin(START)
    axis(0, 1.0)
    assert made.poll().enabled
    pygame.event.post(pygame.event.Event(pygame.JOYDEVICEREMOVED, instance_id=0))
    assert not made.poll().enabled
    made.close()


def test_there_is_no_gamepad():
    with pytest.raises(ConfigError, match=r"'teleop.index' must be the number of a gamepad.*no gamepad is connected"):
        GamepadTeleop(SPEC, AXES, STICKS, BUTTONS)


def test_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'rlpd-robot\[teleop\]'"):
        GamepadTeleop(SPEC, AXES, STICKS, BUTTONS)


@pytest.mark.parametrize("index", ["0", True, 1.5])
def test_a_wrong_number(index):
    with pytest.raises(ConfigError, match=r"'teleop.index' must be a number from 0, or null"):
        GamepadTeleop(SPEC, AXES, STICKS, BUTTONS, index=index)


def test_one_that_was_plugged_in_and_has_gone_by_now_is_no_error(gamepad):
    pygame.event.post(pygame.event.Event(pygame.JOYDEVICEADDED, device_index=7))
    assert not gamepad.poll().enabled
