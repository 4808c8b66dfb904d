"""`rlpd-robot robot-init ADDRESS NAME`: look at a running robot, and write its first files. Nothing moves."""

import re
from collections.abc import Callable
from pathlib import Path

from rlpd_robot.errors import ConfigError
from rlpd_robot.files import make_directories, sync_directory
from rlpd_robot.robot.rosbridge.explore import explore
from rlpd_robot.robot.rosbridge.layout import websocket_url
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.robot_init.draft import draft
from rlpd_robot.run.robot_init.files import ros_robot, ros_safety, zmq_robot, zmq_safety
from rlpd_robot.run.robot_init.settings import InitSettings
from rlpd_robot.wire.security import Security

_ZMQ = ("tcp://", "ipc://")
_ROS = ("ws://", "wss://")


def robot_init(address: str, name: str, settings: InitSettings, say: Callable[[str], None]) -> list[Path]:
    """Write `robot/NAME.yaml` and `safety/NAME.yaml` below `settings.out`, both or neither.

    Args:
        address: ws:// or wss:// of a rosbridge server, tcp:// or ipc:// of a robot behind our own protocol.
        name: of the robot and its files.
        say: takes sentences for a person.

    Returns:
        The files.

    Raises:
        ConfigError: a file is there already; a name or an address that is none.
        PeerTimeoutError, PeerRefusedError: the robot does not answer, or has nothing to tell.
        DataError: its description is none.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError("NAME", name, "small letters, digits and underscores, such as left_arm")
    files = [Path(settings.out) / group / f"{name}.yaml" for group in ("robot", "safety")]
    for path in files:
        if path.exists():
            raise ConfigError("NAME", name, f"one that is not taken: {path} is there already, and is left alone")
    if address.startswith(_ROS):
        texts = _of_ros(address, name, settings, say)
    elif address.startswith(_ZMQ):
        texts = _of_zmq(address, name, settings, say)
    else:
        raise ConfigError("ADDRESS", address, "ws://HOST:9090 of a rosbridge server, or tcp://HOST:PORT of our own")
    _write(files, texts)
    return files


def _of_ros(address: str, name: str, settings: InitSettings, say: Callable[[str], None]) -> tuple[str, str]:
    found = explore(websocket_url("ADDRESS", address, settings.insecure), address, settings.seconds, settings.timeout_s)
    made = draft(found, settings.topic)
    known = sum(axis.from_urdf for axis in made.axes)
    say(f"ROS {made.ros}: {len(made.axes)} joints on {made.state.topic}, commanded on {made.command} ({made.type})")
    say(f"limits of {known} of them are known from " + ("the URDF" if found.urdf else "nowhere: there is no URDF"))
    for what in made.left_out:
        say(f"left out: {what}")
    return ros_robot(name, made, found), ros_safety(name, made)


def _of_zmq(address: str, name: str, settings: InitSettings, say: Callable[[str], None]) -> tuple[str, str]:
    driver = ZmqDriver(address, Security(settings.keys or None, settings.insecure))
    try:
        spec = driver.connect(settings.timeout_s)
    finally:
        driver.close()
    say(f"it calls itself '{spec.name}': {spec.command_size} command elements at {1 / spec.period_s:g} Hz")
    return zmq_robot(name, spec), zmq_safety(name, spec)


def _write(files: list[Path], texts: tuple[str, str]) -> None:
    written: list[Path] = []
    try:
        for path, text in zip(files, texts, strict=True):
            make_directories(path.parent)
            with path.open("x", encoding="utf-8") as file:  # never over what somebody wrote meanwhile
                written.append(path)
                file.write(text)
            sync_directory(path.parent)
    except BaseException:
        for path in written:
            path.unlink()
        raise
