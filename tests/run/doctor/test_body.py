import numpy as np
import pytest

from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.run.doctor import body
from rlpd_robot.run.doctor.body import (
    check_e_stop,
    check_joints,
    check_limits,
    check_round_trip,
    check_safety,
    check_stop,
    check_watchdog,
    element_names,
)
from rlpd_robot.spec import Field, RobotSpec
from tests.run.doctor.patients import Arm, TellingArm, answering, patient, robot_spec, states


def test_names() -> None:
    assert check_joints(patient()).found == "2 joints, each commanded and measured: elbow, wrist"
    fields = (Field("gap", (), "float64", "m"), Field("joint", (2,), "float64", "rad"), *robot_spec().command)
    assert element_names(fields) == ["gap", "joint[0]", "joint[1]", "elbow", "wrist"]


def test_joints_without_names_or_measurements() -> None:
    bare = robot_spec(names=())
    assert check_joints(patient(Arm(spec=bare))).outcome is Outcome.WARN
    other = RobotSpec("x", 0.01, (Field("position", (2,), "float64", "rad"),), robot_spec().command)
    verdict = check_joints(patient(Arm(spec=other)))
    assert (verdict.outcome, verdict.found) == (Outcome.WARN, "commanded but not measured: elbow, wrist")


def test_a_name_given_twice() -> None:
    assert check_joints(patient(Arm(spec=robot_spec(names=("elbow", "elbow"))))).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (JointLimit(), None),
        (JointLimit(-1.0, 1.0, 1.0, 5.0), None),
        (JointLimit(-0.9, 1.0, 1.0), "lower end of wrist is -1, the robot's -0.9"),
        (JointLimit(-1.0, 0.9, 1.0), "upper end of wrist is 1, the robot's 0.9"),
        (JointLimit(-1.0, 1.0, 0.5), "speed of wrist is 1, the robot's 0.5"),
    ],
)
def test_limits_against_what_the_robot_publishes(theirs: JointLimit, found: str | None) -> None:
    verdict = check_limits(patient(reported={"wrist": theirs}))
    assert verdict.outcome is (Outcome.OK if found is None else Outcome.FAIL)
    assert found is None or verdict.found == found


def test_rates_and_efforts_against_what_the_robot_publishes() -> None:
    plain = SafetySettings()
    slow = patient(Arm(spec=robot_spec("rad/s")), plain, reported={"elbow": JointLimit(velocity=0.5)})
    assert check_limits(slow).found == "speed of elbow is 1, the robot's 0.5"
    weak = patient(Arm(spec=robot_spec("N")), plain, reported={"elbow": JointLimit(effort=0.5)})
    assert check_limits(weak).found == "effort of elbow is 1, the robot's 0.5"


def test_limits_that_do_not_fit_the_robot() -> None:
    wrong = patient()
    wrong.safety = SafetySettings(measured={"nothing": "position"})
    assert check_limits(wrong).outcome is Outcome.FAIL


def test_a_robot_that_stands_outside() -> None:
    arrived = np.arange(20) * 0.01
    verdict = check_limits(patient(states=states(arrived, position=np.tile([0.0, 1.2], (20, 1)))))
    assert verdict.outcome is Outcome.WARN
    assert verdict.found == "the robot stands outside its limits: wrist at 1.2, outside [-1, 1]"


def test_what_the_filter_would_hold() -> None:
    def told(**settings) -> Verdict:
        return check_safety(patient(safety=SafetySettings(none_because="a test", **settings), simulated=True))

    assert told(max_speed=1.0, measured={"target": "position"}).outcome is Outcome.OK
    assert "may jump at any speed" in told().found
    assert "the first command" in told(max_speed=1.0).found


def test_limits_with_which_no_actor_would_start() -> None:
    verdict = check_safety(patient())  # a real robot, with a speed and nothing else
    assert verdict.outcome is Outcome.FAIL
    assert verdict.found.startswith("no actor would start with these limits: Setting 'safety.")


@pytest.mark.parametrize(
    ("echoes_s", "outcome", "found"),
    [
        ([0.001, 0.001, 0.001, 0.002], Outcome.OK, "4 echoes took p50 1.00, p99 1.97, at most 2.00 ms"),
        ([0.02] * 4, Outcome.WARN, "4 echoes took p50 20.00"),
        ([0.03] * 4, Outcome.FAIL, "4 echoes took p50 30.00"),
        ([0.001], Outcome.FAIL, "after 1 echoes: No answer from the robot"),
    ],
)
def test_echoes(echoes_s: list[float], outcome: Outcome, found: str) -> None:
    verdict = check_round_trip(patient(TellingArm(echoes_s=echoes_s)))
    assert verdict.outcome is outcome
    assert verdict.found.startswith(found)


def test_what_a_plain_driver_does_not_tell() -> None:
    assert check_round_trip(patient()).outcome is check_stop(patient()).outcome is Outcome.SKIPPED


@pytest.mark.parametrize(("answer", "outcome"), [(True, Outcome.OK), (False, Outcome.FAIL), (None, Outcome.WARN)])
def test_a_person_tells_of_the_watchdog(answer: bool | None, outcome: Outcome) -> None:
    assert check_watchdog(patient(ask=answering(answer))).outcome is outcome


class Switched(Arm):
    """A robot with an emergency stop, which a person at the doctor's questions presses and releases."""

    def __init__(self, connected: bool = True, pressed: bool = False, jams: bool = False) -> None:
        super().__init__()
        self.connected, self.pressed, self.jams = connected, pressed, jams

    def e_stop_pressed(self) -> bool | None:
        return self.pressed and self.connected

    def press(self, question: str, meanwhile=None) -> bool:
        assert ("Press" in question) != self.pressed
        self.pressed = not self.pressed or self.jams
        return True


def test_a_person_presses_the_emergency_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_TOLD_S", 0.05)
    one = Switched()
    assert check_e_stop(patient(one, ask=one.press)).outcome is Outcome.OK
    assert not one.pressed
    one = Switched(connected=False)
    verdict = check_e_stop(patient(one, ask=one.press))
    assert (verdict.outcome, verdict.found.startswith("a person pressed it")) == (Outcome.FAIL, True)
    one = Switched(jams=True)
    assert "its release was not" in check_e_stop(patient(one, ask=one.press)).found
    assert check_e_stop(patient(Switched(), ask=answering(None))).outcome is Outcome.WARN
    assert check_e_stop(patient(Switched(pressed=True), ask=answering(None))).outcome is Outcome.FAIL
    assert check_e_stop(patient()).outcome is Outcome.SKIPPED
