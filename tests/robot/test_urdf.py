import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import DataError
from rlpd_robot.robot.diagnosis import JointLimit
from rlpd_robot.robot.urdf import MAX_CHARACTERS, limits_of, parse_urdf

ARM = """<?xml version="1.0" encoding="latin-1"?>
<!-- a comment -->
<robot name="arm" xmlns:xacro="http://www.ros.org/wiki/xacro">
  <link name="base"><inertial><mass value="1"/></inertial></link>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 1" rpy="0 0 0"/>
    <limit lower="-1.5" upper="2e0" velocity="3.15" effort="150"/>
    <safety_controller soft_lower_limit="-1" soft_upper_limit="1" k_position="1" k_velocity="1"/>
  </joint>
  <joint name="turn" type="continuous"><limit velocity="2" effort="0"/></joint>
  <joint name="rail" type="prismatic"><limit lower="0" upper="0.5"/></joint>
  <joint name="left_finger" type="prismatic"><limit lower="0" upper="0.04"/><mimic joint="right_finger"/></joint>
  <joint name="tool" type="fixed"/>
  <joint name="odd" type="revolute"><limit lower="inf" upper="x" velocity="nan"/></joint>
  <joint name="inverted" type="revolute"><limit lower="1" upper="-1" velocity="1"/></joint>
  <ros2_control name="hw" type="system"><joint name="shoulder"><limit lower="-9" upper="9"/></joint></ros2_control>
  <transmission name="t"><joint name="ghost"><limit lower="-9" upper="9"/></joint></transmission>
</robot>"""


def test_joints_and_limits() -> None:
    joints = parse_urdf(ARM)
    assert list(joints) == ["shoulder", "turn", "rail", "left_finger", "tool", "odd", "inverted"]
    assert joints["shoulder"].limit == JointLimit(-1.5, 2.0, 3.15, 150.0)
    assert joints["turn"].limit == JointLimit(velocity=2.0)
    assert joints["rail"].unit == "m"
    assert joints["shoulder"].unit == "rad"
    assert joints["left_finger"].mimics == "right_finger"
    assert [name for name, joint in joints.items() if joint.commanded] == [
        "shoulder",
        "turn",
        "rail",
        "odd",
        "inverted",
    ]
    assert joints["odd"].limit == JointLimit()
    assert joints["inverted"].limit == JointLimit(velocity=1.0)
    assert "tool" not in limits_of(joints)
    assert limits_of(joints)["rail"] == JointLimit(0.0, 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no XML"),
        ("<robot>", "it is no XML"),
        ("<robot><joint></robot>", "it is no XML"),
        ("<html/>", "its outermost element is <html>"),
        ('<!DOCTYPE r [<!ENTITY a "b">]><robot name="&a;"/>', "it declares a document type"),
        ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><robot/>', "it declares a document type"),
        ("<robot>" + "x" * MAX_CHARACTERS + "</robot>", "characters"),
        ("<robot>" + '<joint name="a" type="fixed"/>' * 1 + "&b;</robot>", "it is no XML"),
    ],
)
def test_what_is_no_robot_description(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_urdf(text)


def test_too_many_joints() -> None:
    many = "".join(f'<joint name="j{i}" type="fixed"/>' for i in range(4097))
    with pytest.raises(DataError, match="more than 4096 joints"):
        parse_urdf(f"<robot>{many}</robot>")


def test_a_billion_laughs_do_not_expand() -> None:
    laughs = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    with pytest.raises(DataError, match="document type"):
        parse_urdf(f"<!DOCTYPE robot [{laughs}]><robot>&a9;</robot>")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DataError):
        parse_urdf(text)
