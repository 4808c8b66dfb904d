"""The robots of `robot_configs/robot` that are nobody's simulation: each against topics and joints of its own."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from rlpd_robot import cli
from rlpd_robot.config import build, load
from rlpd_robot.robot.diagnosis import Outcome
from rlpd_robot.robot.rosbridge import diagnosed
from rlpd_robot.robot.safety import SafetyLimits, filter_command
from rlpd_robot.robot.teleop.axes import AxisMap
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.doctor.doctor import examine
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.types import Command
from tests.robot.robots import serving
from tests.robot.rosbridge.playing import playing
from tests.run.doctor.patients import answering

FOLDER = Path(__file__).parents[1] / "robot_configs" / "robot"
REAL = sorted(path.stem for path in FOLDER.glob("*.yaml") if "stand_in:" not in path.read_text())
ROS = [name for name in REAL if "rosbridge.driver" in (FOLDER / f"{name}.yaml").read_text()]
TIMING = {"rate", "age", "clock", "round trip", "topic rates", "clock offset"}  # of this machine, not of the file


def test_all_robots_are_there() -> None:
    hands, arms = (
        {"shadow_hand", "allegro_hand", "allegro_hand_ros2", "leap_hand"},
        {"franka_fr3", "ur5e", "ur5e_forward"},
    )
    assert set(REAL) == hands | arms | {"franka_fr3_impedance", "ros2_control_arm", "zmq_robot"}
    assert set(REAL) - set(ROS) == {"zmq_robot"}


@pytest.mark.parametrize("name", ROS)
def test_a_file_says_what_was_not_tried(name: str) -> None:
    assert "NOT TRIED ON HARDWARE" in (FOLDER / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ROS)
def test_a_robot_connects_goes_home_and_follows(name: str) -> None:
    settings, _ = load("actor", [f"robot={name}"])
    recipe = dict(settings.robot.driver)
    joints = [joint for one in recipe["command"].values() for joint in one["names"]]
    home = {
        joint: q
        for f, one in recipe["command"].items()
        for joint, q in zip(one["names"], _home(recipe)[f], strict=True)
    }
    near = {joint: q + 0.01 for joint, q in home.items()}
    with playing(recipe, start=near) as (node, address):
        driver = build({**recipe, "address": address})
        try:
            spec = driver.connect(20.0)
            assert [label for f in spec.command for label in f.labels] == joints
            limits = SafetyLimits.of_robot(settings.safety, spec, simulated=False)
            state = driver.reset(None, 30.0)
            stands = np.concatenate([state.values[field] for field in limits.measured])
            assert np.abs(stands - list(home.values())).max() <= 0.2
            assert all(node.controllers[one] for one in _started(recipe))
            target = np.clip(stands + 0.5, limits.low, limits.high)
            history, deadline = None, time.monotonic() + 30.0
            while max(node.position[j] - near[j] for j in joints) < 0.02:
                assert time.monotonic() < deadline, "it does not follow"
                command, _, history = filter_command(limits, history, Command(target), state)
                driver.send(command)
                state = driver.read(20.0)
            assert node.taken > 0
            driver.stop()
            assert driver.stats().get("failed_stops", 0) == 0
        finally:
            driver.close()


@pytest.mark.parametrize("name", ["ur5e", "shadow_hand"])  # ROS 2 and ROS 1
def test_the_doctor_finds_nothing_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosed, "_LISTEN_S", 0.5)
    settings, _ = load("doctor", [f"robot={name}", "doctor.seconds=0.5", "doctor.echoes=5"])
    recipe = dict(settings.robot.driver)
    found = {}
    with playing(recipe) as (node, address):
        driver = build({**recipe, "address": address})
        try:
            examine(driver, settings, False, answering(True), lambda verdict: found.update({verdict.check: verdict}))
        finally:
            driver.close()
    failed = {check: verdict for check, verdict in found.items() if verdict.outcome is Outcome.FAIL}
    assert not failed.keys() - TIMING, failed
    assert {"topics", "types", "publishers", "subscribers", "services", "limits", "stop"} <= found.keys()
    assert "that the robot publishes" in found["limits"].found  # its URDF was read
    assert (node.taken, node.said) == (0, [])  # nothing was sent


def test_the_doctor_names_what_is_missing() -> None:
    settings, _ = load("doctor", ["robot=ur5e"])
    recipe = dict(settings.robot.driver)
    played = {**recipe, "require": []}
    other = {
        "/other_controller/joint_trajectory": recipe["publish"]["/scaled_joint_trajectory_controller/joint_trajectory"]
    }
    played["publish"] = {topic: {**one, "echo": None} for topic, one in other.items()}
    played["command"] = {f: {**one, "topic": next(iter(other))} for f, one in recipe["command"].items()}
    found = {}
    with playing(played) as (_, address):
        driver = build({**recipe, "address": address})
        try:
            examine(driver, settings, False, answering(None), lambda verdict: found.update({verdict.check: verdict}))
        finally:
            driver.close()
    assert found["topics"].outcome is Outcome.FAIL
    assert "/scaled_joint_trajectory_controller/joint_trajectory" in found["topics"].found
    assert "robot_program_running" in found["publishers"].found
    assert found["subscribers"].outcome is Outcome.FAIL
    assert "protocol" not in found  # after a failed link nothing else is tried


class _Arm:
    """What `safety/zmq_robot.yaml` is for."""

    spec = RobotSpec(
        "arm",
        0.02,
        (Field("joint_position", (3,), "float64", "rad"),),
        (Field("joint_target", (3,), "float64", "rad", (-1.5,) * 3, (1.5,) * 3),),
    )

    def read(self):
        return {"joint_position": np.zeros(3)}

    def write(self, values):
        pass

    def stop(self):
        pass


def test_a_robot_behind_our_own_protocol() -> None:
    with serving(_Arm(), lockstep=True) as server:
        settings, _ = load("actor", ["robot=zmq_robot", f"link.robot={server.address}"])
        driver = build(settings.robot.driver)
        try:
            assert isinstance(driver, ZmqDriver)
            SafetyLimits.of_robot(settings.safety, driver.connect(10.0), simulated=False)
        finally:
            driver.close()


def test_a_robots_file_brings_its_limits_and_a_person_may_choose_others() -> None:
    assert load("actor", ["robot=ur5e"])[0].safety.name == "ur5e"
    assert load("actor", ["robot=ur5e", "safety=ros2_control_arm"])[0].safety.name == "ros2_control_arm"
    assert load("actor", [])[0].safety.name == "adroit"


def _home(recipe):
    return next(step["home"]["target"] for step in recipe["reset"] if "home" in step)


def test_the_page_to_a_first_demonstration_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (FOLDER.parents[1] / "docs" / "ros_robot.md").read_text()
    monkeypatch.chdir(tmp_path)
    texts = re.findall(r"`robots/(\w+)/(\w+).yaml`", page.partition("## 4.")[2])
    for (group, name), text in zip(texts, re.findall(r"```yaml\n(.*?)```", page, re.DOTALL), strict=True):
        (tmp_path / "robots" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "robots" / group / f"{name}.yaml").write_text(text)
    recipe = dict(load("actor", ["robot=ur5e"])[0].robot.driver)
    lines = [line.partition(" #")[0].split() for line in page.splitlines() if line.startswith("rlpd-robot ")]
    assert {line[1] for line in lines} == {"robot-init", "doctor", "record", "demos"}
    with playing(recipe) as (_, address):
        init = [word.replace("ws://192.168.1.10:9090", address.replace("tcp://", "ws://")) for word in lines[0][1:]]
        assert cli.main(init) == 0
        monkeypatch.setenv("RLPD_ROBOT_CONFIGS", "robots")
        for line in lines[1:]:
            if line[1] != "demos":
                words = [word for word in line[1:] if word not in ("$LINK", "--move", "--json")]
                assert cli.main([*words, f"link.robot={address}", "link.insecure=true", "--cfg"]) == 0
        settings, _ = load("record", ["robot=my_arm", "task=my_task", "teleop=my_keys", f"link.robot={address}"])
        driver = build(settings.robot.driver)
        try:
            spec = driver.connect(20.0)
        finally:
            driver.close()
    build(settings.task).check(spec)
    assert settings.teleop is not None
    AxisMap(settings.teleop["axes"], spec)
    assert {way.removeprefix("-") for way in settings.teleop["keys"].values()} == set(settings.teleop["axes"])
    assert all(f"`{name}`" in page for name in REAL)


def _started(recipe):
    return [name for step in recipe["reset"] if "switch" in step for name in step["switch"]["start"]]
