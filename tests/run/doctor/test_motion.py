import numpy as np
import pytest

from rlpd_robot.robot.diagnosis import Outcome
from rlpd_robot.robot.safety import SafetySettings
from rlpd_robot.run.doctor.motion import Mover, examine_motion, judge, unfit_to_move
from rlpd_robot.run.doctor.settings import DoctorSettings
from rlpd_robot.timing import ManualClock
from tests.run.doctor.patients import CAREFUL, NAMES, Arm, answering, patient, robot_spec

QUICK = DoctorSettings(move_s=0.5, move_share=0.1, move_max=0.06)


def examined(driver, ask=None, safety: SafetySettings = CAREFUL, stopped=bool, settings=QUICK):
    """All verdicts of moving this robot, the watchdog's last."""
    ill = patient(driver, safety, ask or answering(True), settings=settings)
    assert unfit_to_move(ill) == ""
    verdicts = []
    watchdog = examine_motion(ill, Mover(ill, stopped, ManualClock()), verdicts.append)
    return verdicts, watchdog


def test_each_joint_goes_a_little_way_and_back() -> None:
    arm, ask = Arm(), answering(True)
    verdicts, watchdog = examined(arm, ask)
    assert [(v.check, v.outcome) for v in verdicts] == [(f"motion of {name}", Outcome.OK) for name in NAMES]
    assert all(v.found == "asked for 0.060, followed by 100 %" for v in verdicts)
    assert watchdog is not None
    assert watchdog.outcome is Outcome.OK
    sent = np.array(arm.sent)
    assert sent.max() == pytest.approx(0.06)  # 10 % of a range of 2, but no more than move_max
    assert sent.min() == 0.0
    assert sent[-1].tolist() == [0.0, 0.0]
    assert np.abs(np.diff(sent, axis=0)).max() < 0.01  # CAREFUL allows 1 rad/s, 0.01 rad a period
    assert arm.resets == 1
    assert arm.stops >= 5
    assert len(ask.questions) == 3
    assert ask.questions[1] == "May elbow go +0.060 rad and back, slowly?"


def test_without_a_yes_nothing_moves() -> None:
    arm = Arm()
    verdicts, watchdog = examined(arm, answering(False))
    assert [(v.check, v.outcome) for v in verdicts] == [("motion", Outcome.SKIPPED)]
    assert watchdog is None
    assert (arm.resets, arm.sent) == (0, [])


def test_one_joint_may_be_left_out_and_is_held_meanwhile() -> None:
    arm = Arm()
    verdicts, _ = examined(arm, answering(True, False, True))
    assert [v.outcome for v in verdicts] == [Outcome.SKIPPED, Outcome.OK]
    assert np.array(arm.sent)[:, 0].tolist() == [0.0] * len(arm.sent)


@pytest.mark.parametrize(
    ("gain", "outcomes", "words"),
    [
        ([[-1, 0], [0, 1]], (Outcome.FAIL, Outcome.OK), "it moved the other way"),
        ([[0, 1], [1, 0]], (Outcome.FAIL, Outcome.FAIL), "while wrist moved by 100 % of it"),
        ([[0.1, 0], [0, 1]], (Outcome.WARN, Outcome.OK), "followed by 10 %: it hardly moved"),
        ([[1, 0], [0.6, 1]], (Outcome.WARN, Outcome.OK), "and wrist moved along by 60 % of it"),
    ],
)
def test_a_robot_wired_wrongly(gain, outcomes: tuple[Outcome, ...], words: str) -> None:
    verdicts, _ = examined(Arm(gain))
    assert tuple(v.outcome for v in verdicts) == outcomes
    assert words in verdicts[0].found


def test_the_gesture_goes_where_there_is_room_and_stays_inside() -> None:
    ill = patient(Arm(), settings=DoctorSettings(move_s=0.5, move_share=0.25, move_max=0.5))
    mover = Mover(ill, bool, ManualClock())
    ill.driver._position = np.array([0.8, -0.9])
    mover.begin()
    assert mover.reach(0) == pytest.approx(-0.5)  # 25 % of a range of 2
    assert mover.reach(1) == pytest.approx(0.5)
    narrow = patient(Arm(spec=robot_spec(low=0.99)), settings=QUICK)
    mover = Mover(narrow, bool, ManualClock())
    narrow.driver._position = np.array([0.995, 0.995])
    mover.begin()
    assert abs(mover.reach(0)) <= 0.0025 + 1e-9  # half of the room


def test_every_command_passes_the_safety_filter() -> None:
    crawl = SafetySettings("crawl", max_speed=0.05, measured={"target": "position"})
    arm = Arm()
    examined(arm, safety=crawl)
    assert np.abs(np.diff(np.array(arm.sent), axis=0)).max() <= 0.05 * 0.01 + 1e-12


def test_rates_go_there_and_back() -> None:
    arm = Arm(spec=robot_spec("rad/s"))
    verdicts, _ = examined(arm)
    assert [v.outcome for v in verdicts] == [Outcome.OK, Outcome.OK]
    sent = np.array(arm.sent)
    assert sent.max() == pytest.approx(0.06, rel=0.01)
    assert sent.min() == pytest.approx(-0.06, rel=0.01)
    assert abs(sent.sum()) < 1e-9  # as far forth as back


@pytest.mark.parametrize("at", [0, 1, 30])
def test_a_robot_that_fails_is_told_to_stop(at: int) -> None:
    arm = Arm()
    arm.fails_at = at
    verdicts, watchdog = examined(arm)
    assert verdicts[-1].outcome is Outcome.FAIL
    assert verdicts[-1].check == "motion"
    assert watchdog is None
    assert len(arm.sent) == at
    assert arm.stops >= 5


def test_an_end_that_is_asked_for_stops_the_robot() -> None:
    arm = Arm()
    verdicts, _ = examined(arm, stopped=lambda: len(arm.sent) >= 20)
    assert verdicts[-1].outcome is Outcome.SKIPPED
    assert len(arm.sent) == 20
    assert arm.stops >= 5


def test_a_robot_without_a_watchdog() -> None:
    _, watchdog = examined(Arm(watchdog=False, spec=robot_spec("rad/s")))
    assert watchdog is not None
    assert watchdog.outcome is Outcome.FAIL  # a rate without an end
    _, watchdog = examined(Arm(watchdog=False))
    assert watchdog is not None
    assert watchdog.outcome is Outcome.WARN  # it goes no farther than its last target
    assert "takes commands again" in watchdog.found
    _, watchdog = examined(Arm(tells=False))
    assert watchdog is not None
    assert watchdog.outcome is Outcome.WARN


def test_robots_that_must_not_be_moved() -> None:
    assert "a command in N m" in unfit_to_move(patient(Arm(spec=robot_spec("N m")), SafetySettings()))
    assert "safety.measured" in unfit_to_move(patient(Arm(), SafetySettings(max_speed=1.0)))
    ill = patient()
    ill.limits = None
    assert unfit_to_move(ill) == "its limits do not fit"


def test_judging_by_hand() -> None:
    commanded = np.array([0.0, 0.1, 0.2, 0.1, 0.0])
    moved = np.stack([0.5 * commanded, np.zeros(5)], axis=1)
    assert judge(0, list(NAMES), commanded, moved).found == "asked for 0.200, followed by 50 %"
