"""The real pyspacemouse on HID reports that a fake device hands it, byte by byte as a SpaceNavigator sends them."""

import queue
import struct
import sys
import threading

import pytest

from rlpd_robot.errors import ConfigError, MissingPackageError
from rlpd_robot.robot.teleop.source import Event
from rlpd_robot.robot.teleop.spacemouse import SpaceMouseTeleop
from tests.robot.teleop.arms import AXES, SPEC, START, at
from tests.wire.waiting import DEADLINE_S, wait_until

api = pytest.importorskip("pyspacemouse.api")

STICKS = {"x": "right", "z": "up", "yaw": {"axis": "up", "scale": 0.5}}
BUTTONS = {"button_0": "dead_man", "button_1": "success"}
FULL = 350  # counts of a full deflection


class FakeHid:
    """A SpaceNavigator: reports are 1 for translation, 2 for rotation (x, y, z as int16), 3 for buttons."""

    vendor_id, product_id, release_number = 0x46D, 0xC626, 1
    product_string, manufacturer_string, serial_number, path = "SpaceNavigator", "3Dconnexion", "", "/dev/hidraw0"

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.unplugged = self.closed = False
        self.hang, self.hanging = threading.Event(), threading.Event()
        self.hang.set()

    def open(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def set_nonblocking(self, on: bool) -> None:
        assert on

    def read(self, size: int) -> bytes:
        if not self.hang.is_set():
            self.hanging.set()
            assert self.hang.wait(DEADLINE_S)
        if self.unplugged:
            raise OSError("Failed to read from HID device: -1")
        return b"" if self.reports.empty() else self.reports.get()

    def move(self, report: int, x: int, y: int, z: int) -> None:
        self.reports.put(struct.pack("<Bhhh", report, x, y, z))

    def buttons(self, bits: int) -> None:
        self.reports.put(bytes([3, bits, 0]))


@pytest.fixture
def hid(monkeypatch):
    device = FakeHid()
    finding = type("Enumeration", (), {"find": lambda self: [device]})
    monkeypatch.setattr(api, "Enumeration", finding)
    return device


@pytest.fixture
def clock():
    return at()


@pytest.fixture
def mouse(hid, clock):
    made = SpaceMouseTeleop(SPEC, AXES, STICKS, BUTTONS, dead_zone=0.0, clock=clock.now)
    made.begin(START)
    yield made
    made.close()
    assert hid.closed


def reports(mouse, count):
    """Until so many have been read."""
    wait_until(lambda: mouse.stats()["spacemouse_reports"] == count)


def test_reports_move_the_robot_while_the_switch_is_held(hid, mouse):
    hid.move(1, FULL, 0, -FULL)  # to the right, and up: HID's z points down
    reports(mouse, 1)
    sample = mouse.poll()
    assert (sample.enabled, sample.action.tolist()) == (False, START.tolist())
    hid.buttons(1)
    reports(mouse, 2)
    assert mouse.poll().action.tolist() == pytest.approx([0.30, 0.10])
    hid.move(1, -FULL, 0, 0)
    hid.move(2, 0, 0, FULL)  # clockwise from above, so -yaw
    reports(mouse, 4)
    assert mouse.poll().action.tolist() == pytest.approx([0.25, 0.05])


def test_buttons_speak_once(hid, mouse):
    for bits in (2, 3, 1, 3):
        hid.buttons(bits)
    reports(mouse, 4)
    sample = mouse.poll()
    assert (sample.events, sample.enabled) == ((Event.SUCCESS, Event.SUCCESS), True)
    assert mouse.poll().events == ()


def test_a_radio_that_breaks_off_its_centre_moves_nothing_for_long(hid, mouse, clock):
    hid.buttons(1)
    hid.move(1, FULL, 0, 0)
    reports(mouse, 2)
    clock.s += 0.15
    wait_until(lambda: mouse.poll().stamp == clock.s)  # it is read, and says nothing
    mouse.begin(START)
    assert mouse.poll().action[0] == pytest.approx(0.30)
    clock.s += 0.1
    wait_until(lambda: mouse.poll().stamp == clock.s)
    mouse.begin(START)
    sample = mouse.poll()
    assert (sample.enabled, sample.action[0]) == (True, START[0])


def test_a_still_mouse_is_alive_and_an_unplugged_one_lets_go_at_once(hid, mouse, clock, caplog):
    hid.buttons(1)
    hid.move(1, FULL, 0, 0)
    reports(mouse, 2)
    assert mouse.poll().enabled
    hid.unplugged = True
    wait_until(lambda: not mouse.poll().enabled)
    stamp = mouse.poll().stamp
    clock.s += 1.0
    sample = mouse.poll()
    assert (sample.enabled, sample.stamp) == (False, stamp)
    assert "The SpaceMouse cannot be read any more: OSError: Failed to read" in caplog.text


def test_a_read_that_hangs_lets_go(hid, mouse, clock):
    hid.buttons(1)
    hid.move(1, FULL, 0, 0)
    reports(mouse, 2)
    hid.hang.clear()
    wait_until(hid.hanging.is_set)
    stamp = mouse.poll().stamp
    clock.s += 0.11
    sample = mouse.poll()
    assert (sample.enabled, sample.stamp) == (False, stamp)
    hid.hang.set()


def test_there_is_no_device(monkeypatch):
    monkeypatch.setattr(api, "Enumeration", type("Enumeration", (), {"find": lambda self: []}))
    with pytest.raises(ConfigError, match=r"'teleop.device' must be a SpaceMouse that is connected.*No connected or"):
        SpaceMouseTeleop(SPEC, AXES, STICKS, BUTTONS)


def test_hidapi_is_missing(monkeypatch):
    def broken(self):
        raise AttributeError("hid_enumerate")

    monkeypatch.setattr(api, "Enumeration", type("Enumeration", (), {"__init__": broken}))
    with pytest.raises(ConfigError, match=r"HID API is probably not installed.*libhidapi-hidraw0"):
        SpaceMouseTeleop(SPEC, AXES, STICKS, BUTTONS)


def test_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspacemouse", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'rlpd-robot\[teleop\]'"):
        SpaceMouseTeleop(SPEC, AXES, STICKS, BUTTONS)


@pytest.mark.parametrize(
    ("wrong", "key"), [({"hold_s": 0}, "hold_s"), ({"index": -1}, "index"), ({"index": "x"}, "index")]
)
def test_wrong_settings(hid, wrong, key):
    with pytest.raises(ConfigError, match=rf"'teleop\.{key}' must be"):
        SpaceMouseTeleop(SPEC, AXES, STICKS, BUTTONS, **wrong)
