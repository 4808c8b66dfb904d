"""Every file of the group `teleop` is right for the robot that it names, as far as that shows without the device."""

from pathlib import Path

import pytest

from rlpd_robot.config import build, load
from rlpd_robot.data.demo_store import DemoStore
from rlpd_robot.errors import ConfigError, PeerTimeoutError
from rlpd_robot.robot.rosbridge.driver import layout_of
from rlpd_robot.robot.teleop.zmq_source import ZmqTeleop

ROOT = Path(__file__).parents[2]
NOBODY = "tcp://127.0.0.1:9"  # the port to discard to: nothing listens there


def source_of(teleop: str, robot: str, *words: str):
    """What `rlpd-robot record` would build."""
    settings, _ = load("record", [f"teleop={teleop}", f"robot={robot}", *words])
    recipe = dict(settings.teleop)
    recipe.pop("start")
    if robot == "adroit_door":
        spec = DemoStore.open(ROOT / "demos/adroit_door/demos.zarr").problem.robot
    else:
        spec = layout_of(settings.robot.driver).spec
    return build(recipe, spec=spec)


def test_a_leader_arm_is_listened_to():
    source = source_of("zmq_ur5e", "ur5e", "teleop.address=tcp://127.0.0.1:*")
    assert isinstance(source, ZmqTeleop)
    source.close()


@pytest.mark.parametrize(
    ("teleop", "robot", "words", "lacks"),
    [
        ("gamepad_door", "adroit_door", [], r"'teleop.index' must be .*no gamepad is connected"),
        ("spacemouse_door", "adroit_door", [], r"'teleop.device' must be a SpaceMouse"),
        ("keyboard_door", "adroit_door", [], r"'teleop' must be another device where no terminal is attached"),
        ("rosbridge_joy_ur5e", "ur5e", ["teleop.connect_s=0.01"], "No answer from a rosbridge server"),
        ("rosbridge_joints_leap_hand", "leap_hand", ["teleop.connect_s=0.01"], "No answer from a rosbridge server"),
    ],
)
def test_nothing_but_the_device_is_missing(teleop, robot, words, lacks, monkeypatch):
    if robot != "adroit_door":
        words = [f"teleop.address={NOBODY}", *words]
    with open("/dev/null") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises((ConfigError, PeerTimeoutError), match=lacks):
            source_of(teleop, robot, *words)
