import json
import os
import pty
import threading

import pytest

from rlpd_robot import cli
from rlpd_robot.config import build, load
from rlpd_robot.errors import ConfigError
from rlpd_robot.robot.diagnosis import JointLimit, Outcome, Verdict
from rlpd_robot.robot.safety import SafetyLimits, SafetySettings
from rlpd_robot.robot.zmq_driver import ZmqDriver
from rlpd_robot.run.doctor.doctor import examine, passed, run_doctor
from rlpd_robot.run.doctor.motion import Mover
from rlpd_robot.run.doctor.patient import Patient
from rlpd_robot.run.doctor.person import Person
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.run.doctor.show import as_json, plain, summary
from tests.integration.running import free_ports
from tests.robot.robots import TellingRobot, serving
from tests.run.doctor.patients import Arm, TellingArm, answering

QUICK = ["doctor.seconds=0.2", "doctor.timeout_s=3", "doctor.echoes=5", "safety.max_speed=1.0"]


def examined(driver, *words: str, move: bool = False, ask=None) -> dict[str, Verdict]:
    settings, _ = load("doctor", [*QUICK, *words])
    verdicts: list[Verdict] = []
    examine(driver, settings, move, ask or answering(None), verdicts.append)
    assert len({v.check for v in verdicts}) == len(verdicts)
    return {v.check: v for v in verdicts}


@pytest.mark.parametrize("lockstep", [True, False])
def test_a_robot_behind_our_protocol_is_looked_at_and_not_moved(lockstep: bool) -> None:
    robot = TellingRobot(period_s=0.01)
    with serving(robot, lockstep) as server:
        driver = ZmqDriver(server.address)
        try:
            found = examined(driver)
        finally:
            driver.close()
    assert (robot.written, robot.seed) == (0, -1)
    expected = {"reachable": Outcome.OK, "topics": Outcome.SKIPPED, "protocol": Outcome.OK, "joints": Outcome.WARN}
    expected |= {"limits": Outcome.OK, "safety": Outcome.WARN, "stop": Outcome.OK, "motion": Outcome.SKIPPED}
    expected |= {"watchdog": Outcome.WARN, "e-stop": Outcome.SKIPPED}
    assert {check: found[check].outcome for check in expected} == expected
    timing = {"readings", "rate", "age", "clock", "round trip"}
    assert found.keys() == expected.keys() | timing
    assert ("lock-step" in found["rate"].found) == lockstep


def test_a_served_robot_is_moved() -> None:
    robot = TellingRobot()
    with serving(robot, lockstep=True) as server:  # a gesture by the wall clock would hang on how busy this machine is
        driver = ZmqDriver(server.address)
        words = ["doctor.move_s=0.5", "++safety.measured={target: target}"]
        try:
            found = examined(driver, *words, move=True, ask=answering(True))
        finally:
            driver.close()
    assert found["motion of target[0]"].outcome is found["motion of target[1]"].outcome is Outcome.OK
    assert found["watchdog"].outcome is Outcome.SKIPPED
    assert robot.written > 50
    assert robot.target.tolist() == [0.0, 0.0]


def test_the_watchdog_of_a_served_robot_is_seen_at_work() -> None:
    safety = SafetySettings(measured={"target": "target"})
    robot = TellingRobot()
    with serving(robot, lockstep=False) as server:
        driver = ZmqDriver(server.address)
        try:
            spec = driver.connect(5.0)
            limits = SafetyLimits.from_settings(safety, spec)
            ill = Patient(driver, spec, safety, DoctorSettings(), answering(True), limits)
            mover = Mover(ill, bool)
            mover.begin()
            verdict = mover.go_silent()
            mover.end()
        finally:
            driver.close()
    assert verdict.outcome is Outcome.OK
    assert "without a command" in verdict.found
    assert robot.stopped > 0


def test_nobody_there() -> None:
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    driver = ZmqDriver(address)
    try:
        found = examined(driver)
    finally:
        driver.close()
    assert {name: v.outcome for name, v in found.items()} == {"reachable": Outcome.FAIL, "topics": Outcome.SKIPPED}


def test_another_controller_is_left_alone() -> None:
    with serving(TellingRobot(), lockstep=False) as server:
        first, second = ZmqDriver(server.address), ZmqDriver(server.address)
        try:
            first.connect(5.0)
            first.read(5.0)
            refused = second.connect
            second.connect = lambda timeout_s: (first.read(5.0), refused(0.5))[1]
            found = examined(second)
        finally:
            first.close()
            second.close()
    assert found["protocol"].outcome is Outcome.FAIL
    assert "another controller" in found["protocol"].found
    assert "rate" not in found


def test_a_plain_driver() -> None:
    found = examined(Arm(), "doctor.seconds=0.01")
    assert found["reachable"].outcome is found["round trip"].outcome is found["stop"].outcome is Outcome.SKIPPED
    assert found["protocol"].outcome is Outcome.OK


def test_a_drivers_own_verdicts_take_the_place_of_checks_or_add_to_them() -> None:
    arm = TellingArm(echoes_s=[0.001] * 5)
    arm.way = (Verdict("reachable", Outcome.OK, "here"), Verdict("topics", Outcome.WARN, "two of three"))
    arm.said = (Verdict("stop", Outcome.FAIL, "nobody listens"), Verdict("controllers", Outcome.OK, "two"))
    arm.limits = {"elbow": JointLimit(lower=-0.5)}
    found = examined(arm, "doctor.seconds=0.01")
    assert found["topics"].found == "two of three"
    assert found["stop"].found == "nobody listens"
    assert found["controllers"].outcome is Outcome.OK
    assert found["limits"].found == "lower end of elbow is -1, the robot's -0.5"


def test_after_a_failed_link_nothing_is_tried() -> None:
    arm = TellingArm()
    arm.way = (Verdict("reachable", Outcome.OK, "here"), Verdict("topics", Outcome.FAIL, "no such topic"))
    arm.connect = lambda timeout_s: pytest.fail("it was connected to")
    assert examined(arm).keys() == {"reachable", "topics"}


def test_moving_needs_a_person() -> None:
    settings, _ = load("doctor", [])
    with pytest.raises(ConfigError, match="'--move' must be given where a person can answer"):
        run_doctor(settings, build, True, print, bool)


def test_how_verdicts_are_told() -> None:
    verdicts = [Verdict("rate", Outcome.OK, "100 Hz"), Verdict("stop", Outcome.FAIL, "no", "See to it.")]
    assert [plain(v) for v in verdicts] == [
        "ok      rate               100 Hz",
        "fail    stop               no -> See to it.",
    ]
    assert summary("arm", verdicts) == "robot 'arm': 1 ok, 1 fail"
    assert not passed(verdicts)
    assert passed(verdicts[:1])
    assert json.loads(as_json("arm", verdicts, False)) == {
        "robot": "arm",
        "passed": False,
        "verdicts": [
            {"check": "rate", "outcome": "ok", "found": "100 Hz", "remedy": ""},
            {"check": "stop", "outcome": "fail", "found": "no", "remedy": "See to it."},
        ],
    }


@pytest.mark.parametrize(("typed", "answer"), [(b"y\n", True), (b"Yes\n", True), (b"n\n", False), (b"\n", False)])
def test_a_person_answers(typed: bytes, answer: bool, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"y\n")  # before the question: it answers nothing
        calls = []

        def meanwhile() -> None:
            calls.append(1)
            if len(calls) == 3:
                os.write(ours, typed)

        assert Person(20.0, bool, theirs).ask("Well?", meanwhile) is answer
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Well? [y/N] " in capsys.readouterr().err


def test_a_person_who_says_nothing_says_no() -> None:
    ours, theirs = pty.openpty()
    try:
        assert Person(0.01, bool, theirs).ask("Well?") is False
        assert Person(20.0, lambda: True, theirs).ask("Well?") is False
    finally:
        os.close(ours)
        os.close(theirs)
    with open(os.devnull) as nothing:
        assert Person(20.0, bool, nothing.fileno()).ask("Well?") is None


def test_the_exit_status_tells_failure_from_wrong_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rlpd_robot.run.stopping.stop_on_signals", threading.Event)
    assert cli.main(["doctor", f"link.robot=tcp://127.0.0.1:{free_ports(1)[0]}", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["verdicts"][0]["check"] == "reachable"
    assert err.startswith("fail    reachable ")
    assert cli.main(["doctor", "doctor.seconds=-1"]) == 2
    assert "doctor.seconds" in capsys.readouterr().err
    with serving(TellingRobot(), lockstep=True) as server:
        assert cli.main(["doctor", f"link.robot={server.address}", "safety.max_speed=1.0"]) == 0
    assert "robot 'adroit_door': " in capsys.readouterr().out
