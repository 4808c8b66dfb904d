import json
import math
from dataclasses import replace

import pytest

from rlpd_robot.errors import SpecError, SpecMismatchError
from rlpd_robot.robot.fake import FakeTask, fake_spec
from rlpd_robot.robot.task import problem_of
from rlpd_robot.spec import MAX_ELEMENTS, Field, ProblemSpec, RobotSpec, fingerprint

PROBLEM = problem_of(FakeTask(), fake_spec())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("two words", (), "float64", "m"), "Field 'two words': its name is not an identifier"),
        (("x", (), "object", "m"), "dtype 'object'. Expected float64, float32, int64, bool or uint8."),
        (("x", (0,), "float64", "m"), r"shape \(0,\)"),
        (("x", (MAX_ELEMENTS, 2), "float64", "m"), "at most 1048576 elements"),
        (("x", (2,), "float64", "m", (0.0,), (1.0,)), "low has 1 entries. Expected 2, or none."),
        (("x", (1,), "float64", "m", (math.nan,), (1.0,)), "a bound is not finite"),
        (("x", (1,), "float64", "m", (1.0,), (1.0,)), "low is not below high"),
        (("x", (1,), "float64", "m", (1.0,)), "low is not below high"),
        (("x", (2,), "float64", "m", (), (), ("a",)), "labels has 1 entries"),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(arguments, sentence):
    with pytest.raises(SpecError, match=sentence):
        Field(*arguments)


def test_a_robot_needs_a_period_and_unique_bounded_fields():
    spec = fake_spec()
    with pytest.raises(SpecError, match="Robot 'fake': period_s is 0.0. Expected a positive time in seconds."):
        replace(spec, period_s=0.0)
    with pytest.raises(SpecError, match="no state or no command"):
        replace(spec, command=())
    with pytest.raises(SpecError, match="field names repeat"):
        replace(spec, state=spec.state * 2)
    with pytest.raises(SpecError, match="command field 'position' has no range"):
        replace(spec, command=(spec.state[0],))


def test_state_field_lists_what_there_is():
    assert fake_spec().state_field("velocity").unit == "m/s"
    with pytest.raises(SpecError) as caught:
        fake_spec().state_field("torque")
    assert str(caught.value) == "Robot 'fake': it measures no 'torque'. Expected one of ['position', 'velocity']."


def test_command_range_is_laid_end_to_end():
    spec = RobotSpec(
        "r",
        0.01,
        (Field("s", (), "float64", "-"),),
        (Field("a", (2,), "float64", "m", (0, 1), (2, 3)), Field("b", (), "float64", "m", (-1,), (5,))),
    )
    assert spec.command_size == 3
    assert spec.command_low.tolist() == [0, 1, -1]
    assert spec.command_high.tolist() == [2, 3, 5]


def test_round_trip_through_json():
    text = json.dumps(PROBLEM.to_json())
    back = ProblemSpec.from_json(json.loads(text))
    assert back == PROBLEM
    assert back.fingerprint == PROBLEM.fingerprint
    assert hash(back) == hash(PROBLEM)


@pytest.mark.parametrize("key", ["task", "robot", "horizon"])
def test_a_missing_key_is_named(key):
    data = PROBLEM.to_json()
    del data[key]
    with pytest.raises(SpecError, match=f"KeyError: '{key}'"):
        ProblemSpec.from_json(data)


def test_fingerprint_covers_meaning_and_not_the_name():
    robot = PROBLEM.robot
    assert replace(PROBLEM, robot=replace(robot, name="twin")).fingerprint == PROBLEM.fingerprint
    changed = [
        replace(PROBLEM, task="other"),
        replace(PROBLEM, observation_size=5),
        replace(PROBLEM, horizon=21),
        replace(PROBLEM, robot=replace(robot, period_s=0.02)),
        replace(PROBLEM, robot=replace(robot, state=robot.state[::-1])),
        replace(PROBLEM, robot=replace(robot, state=(replace(robot.state[0], unit="rad"), robot.state[1]))),
        replace(PROBLEM, robot=replace(robot, command=(replace(robot.command[0], high=(1.0, 2.0)),))),
    ]
    digests = {p.fingerprint for p in changed} | {PROBLEM.fingerprint}
    assert len(digests) == len(changed) + 1
    assert fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})


def test_lists_and_ints_do_not_change_the_fingerprint():
    field = Field("target", [2], "float64", "m", [-1, -1], [1, 1])
    assert replace(PROBLEM, robot=replace(PROBLEM.robot, command=(field,))).fingerprint == PROBLEM.fingerprint


def test_differences_name_the_path_and_both_values():
    other = replace(PROBLEM, horizon=99, robot=replace(PROBLEM.robot, period_s=0.02, name="twin"))
    assert PROBLEM.differences(other) == ["horizon: 20 here, 99 there", "robot.period_s: 0.01 here, 0.02 there"]
    assert PROBLEM.differences(PROBLEM) == []


def test_differences_name_a_field_that_is_missing():
    shorter = replace(PROBLEM, robot=replace(PROBLEM.robot, state=PROBLEM.robot.state[:1]))
    differences = PROBLEM.differences(shorter)
    assert 'robot.state.velocity.unit: "m/s" here, absent there' in differences
    assert all(d.startswith("robot.state.velocity.") for d in differences)


def test_sizes_must_be_positive():
    with pytest.raises(SpecError, match="horizon is 0. Expected at least 1."):
        replace(PROBLEM, horizon=0)


def test_much_that_differs_is_told_in_brief():
    differences = [f"robot.state.f{i}.high: {[0] * 200} here, absent there" for i in range(9)] + [
        'task: "a" here, "b" there'
    ]
    error = SpecMismatchError("this robot", "Store 'x'", differences, "Use another.")
    text = str(error)
    assert text.startswith(
        'Store \'x\' does not match this robot: task: "a" here, "b" there; robot.state.f0.high: [0, 0'
    )
    assert text.endswith("…; and 5 more. Use another.")
    assert len(text) < 1000
    assert error.differences == tuple(differences)
