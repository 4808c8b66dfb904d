from pathlib import Path
from typing import Any

import pytest
import yaml

from rlpd_robot import cli
from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError, DataError, PeerRefusedError, PeerTimeoutError
from rlpd_robot.robot.findings import Controller, Findings, JointTopic
from rlpd_robot.robot.safety import SafetyLimits
from rlpd_robot.run.robot_init.draft import draft
from rlpd_robot.run.robot_init.files import ros_robot, ros_safety, zmq_robot, zmq_safety
from rlpd_robot.run.robot_init.robot_init import robot_init
from rlpd_robot.run.robot_init.settings import InitSettings
from rlpd_robot.spec import Field, RobotSpec
from tests.integration.running import free_ports
from tests.robot.robots import TellingRobot, serving
from tests.robot.rosbridge.playing import playing

URDF = """<robot name="two"><joint name="a" type="revolute"><limit lower="-1.00005" upper="2" velocity="3"/></joint>
<joint name="b" type="continuous"><limit velocity="2"/></joint><joint name="tool" type="fixed"/>
<joint name="c" type="prismatic"><limit lower="0" upper="0.5"/></joint>
<joint name="f" type="revolute"><mimic joint="a"/></joint></robot>"""


def findings(
    names=("f", "a", "b", "c"), urdf: str = URDF, rate: float = 500.0, controllers=(), commands=None
) -> Findings:
    states = JointTopic("/joint_states", tuple(names), dict.fromkeys(names, 0.5), True, False, rate)
    commands = commands or (("/jtc/joint_trajectory", "trajectory_msgs/JointTrajectory"),)
    return Findings(2, (states,), tuple(commands), tuple(controllers), urdf)


def test_what_is_found_becomes_a_draft() -> None:
    made = draft(findings(), "")
    assert [axis.name for axis in made.axes] == ["a", "b"]
    assert (made.axes[0].low, made.axes[0].high, made.axes[0].velocity) == (-1.0, 2.0, 3.0)  # rounded inwards
    assert (made.axes[1].low, made.axes[1].high, made.axes[1].from_urdf) == (0.4, 0.6, False)  # where it stands, ± 0.1
    assert made.left_out == ("f (follows a)", "c (in m)")
    assert (made.throttle_ms, made.period_s) == (10, 0.05)
    assert draft(findings(rate=8.0), "").period_s == 0.13  # no faster than states come


def test_a_controller_tells_the_order_of_its_joints() -> None:
    told = findings(controllers=[Controller("jtc", True, ("b", "a")), Controller("other", False, ("a",))])
    made = draft(told, "")
    assert [axis.name for axis in made.axes] == ["b", "a"]
    assert "switch: {start: [jtc], stop: [other]}" in ros_robot("two", made, told)


def test_an_order_that_nobody_told_is_said_to_be_a_guess() -> None:
    commands = [("/fpc/commands", "std_msgs/Float64MultiArray")]
    found = findings(commands=commands)
    assert "ORDER OF JOINTS IS A GUESS" in ros_robot("two", draft(found, ""), found)
    told = findings(commands=commands, controllers=[Controller("fpc", True, ("a", "b"))])
    assert "GUESS" not in ros_robot("two", draft(told, ""), told)


@pytest.mark.parametrize(
    ("found", "topic", "words"),
    [
        (findings(), "/other", "'topic' must be one that takes commands: /jtc/joint_trajectory"),
        (findings(("tool",)), "", "it has no joint to command: tool .fixed."),
        (findings(("ghost",)), "", "ghost .not in the URDF."),
        (findings(urdf="<robot>"), "", "it is no XML"),
    ],
)
def test_what_makes_no_draft(found: Findings, topic: str, words: str) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        draft(found, topic)


NASTY = [
    "a\nrobot: {driver: {_target_: os.system}}",
    "no",
    "it's",
    '"',
    "#",
    "x: y",
    "joint_0.0",
    "é\u2028",
    "- a",
    "*b",
]


def test_foreign_names_stay_names() -> None:
    found = findings(
        NASTY, urdf="", commands=[("/c\n/d", "sensor_msgs/JointState"), ("/e\nf: g", "sensor_msgs/JointState")]
    )
    made = draft(found, "")
    data = yaml.safe_load(ros_robot("nasty", made, found))
    assert set(data) == {"defaults", "robot"}
    assert data["robot"]["driver"]["_target_"].endswith("RosbridgeDriver")
    assert data["robot"]["driver"]["state"]["joint_position"]["names"] == NASTY
    assert list(data["robot"]["driver"]["publish"]) == ["/c\n/d"]
    assert yaml.safe_load(ros_safety("nasty", made))["name"] == "nasty"
    with pytest.raises(DataError, match="without"):
        ros_robot("x", draft(findings(["${oc.env:HOME}"], urdf=""), ""), found)


def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, *words: str) -> Any:
    monkeypatch.setenv("RLPD_ROBOT_CONFIGS", str(folder))
    return load("doctor", [f"robot={name}", *words])[0]


@pytest.mark.parametrize("name", ["ur5e", "shadow_hand"])  # the URDF on a topic of ROS 2, in a parameter of ROS 1
def test_a_running_ros_robot_becomes_files_that_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dict(load("doctor", [f"robot={name}"])[0].robot.driver)
    with playing(recipe) as (node, address):
        url, said = address.replace("tcp://", "ws://"), []
        files = robot_init(url, "mine", InitSettings(out=str(tmp_path), seconds=0.5), said.append)
        assert files == [tmp_path / "robot" / "mine.yaml", tmp_path / "safety" / "mine.yaml"]
        settings = loaded(monkeypatch, tmp_path, "mine", f"link.robot={address}")
        assert settings.safety.name == "mine"
        driver = build(settings.robot.driver)
        try:
            spec = driver.connect(20.0)
            SafetyLimits.of_robot(settings.safety, spec, simulated=False)
        finally:
            driver.close()
        assert node.taken == 0  # nothing moved
    topic = next(iter(recipe["publish"])) if name == "ur5e" else "/rh_trajectory_controller/command"
    theirs = next(one for one in recipe["command"].values() if one["topic"] == topic)
    made = settings.robot.driver["command"]["joint_target"]
    ranges = {
        joint: (low, high) for joint, low, high in zip(theirs["names"], theirs["low"], theirs["high"], strict=True)
    }
    assert made["topic"] == topic
    for joint, low, high in zip(made["names"], made["low"], made["high"], strict=True):
        assert (low, high) == pytest.approx(ranges.get(joint, (low, high)), abs=2e-4)
    if name == "ur5e":
        assert made["names"] == theirs["names"]  # its controller told the order


def test_a_running_robot_of_our_own_protocol_becomes_files_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    robot = TellingRobot()
    with serving(robot, lockstep=False) as server:
        robot_init(server.address, "mine", InitSettings(out=str(tmp_path)), print)
        settings = loaded(monkeypatch, tmp_path, "mine", f"link.robot={server.address}")
        driver = build(settings.robot.driver)
        try:
            SafetyLimits.of_robot(settings.safety, driver.connect(10.0), simulated=False)
        finally:
            driver.close()
    assert (robot.written, robot.seed) == (0, -1)


def test_a_field_that_nothing_measures_is_left_to_a_person() -> None:
    target = Field("target", (2,), "float64", "m", (-1.0, -1.0), (1.0, 1.0))
    two = tuple(Field(name, (2,), "float64", "m") for name in ("left", "right"))
    data = yaml.safe_load(zmq_safety("x", RobotSpec("x\ny: z", 0.02, two, (target,))))
    assert "measured" not in data
    assert yaml.safe_load(zmq_robot("x", RobotSpec("x\ny: z", 0.02, two, (target,))))["robot"]["name"] == "x"


@pytest.mark.parametrize("group", ["robot", "safety"])
def test_what_is_there_is_left_alone(group: str, tmp_path: Path) -> None:
    (tmp_path / group).mkdir()
    mine = tmp_path / group / "mine.yaml"
    mine.write_text("by hand")
    with pytest.raises(ConfigError, match="is there already, and is left alone"):
        robot_init("tcp://127.0.0.1:1", "mine", InitSettings(out=str(tmp_path)), print)
    assert mine.read_text() == "by hand"
    assert [p for p in tmp_path.rglob("*.yaml") if p != mine] == []


def test_nobody_there_writes_nothing(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    for address in (f"ws://127.0.0.1:{port}", f"tcp://127.0.0.1:{port}"):
        with pytest.raises(PeerTimeoutError):
            robot_init(address, "mine", InitSettings(out=str(tmp_path), timeout_s=0.3), print)
    assert list(tmp_path.iterdir()) == []


def test_a_robot_without_joint_states(tmp_path: Path) -> None:
    recipe = dict(load("doctor", ["robot=ur5e"])[0].robot.driver)
    settings = InitSettings(out=str(tmp_path), seconds=0.2)
    with playing({**recipe, "subscribe": {}}) as (_, address):
        url = address.replace("tcp://", "ws://")
        with pytest.raises(PeerRefusedError, match="nothing came on sensor_msgs/JointState"):
            robot_init(url, "mine", settings, print)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: rlpd-robot robot-init ADDRESS NAME"),
        (["ws://127.0.0.1:9090"], "usage: rlpd-robot robot-init ADDRESS NAME"),
        (["ws://127.0.0.1:9090", "a", "--force"], "usage: rlpd-robot robot-init ADDRESS NAME"),
        (["ws://127.0.0.1:9090", "Left Arm"], "'NAME' must be small letters, digits and underscores"),
        (["http://127.0.0.1", "arm"], "'ADDRESS' must be ws://HOST:9090"),
        (["ws://10.0.0.1:9090", "arm"], "link.insecure=true"),
        (["ws://127.0.0.1:9090", "arm", "fast=1"], "'fast' must be one of the keys out, topic"),
    ],
)
def test_wrong_words(words: list[str], said: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["robot-init", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
