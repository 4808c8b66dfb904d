"""Every cause, at its limit and just below it; and that nothing but a person's word takes a fault away."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpd_robot.errors import ArmRefusedError, ConfigError, FaultError
from rlpd_robot.robot.fake import FakeDriver
from rlpd_robot.robot.watchdog import Phase, Watchdog, WatchdogSettings
from rlpd_robot.spec import Field, RobotSpec
from rlpd_robot.timing import ManualClock
from rlpd_robot.types import RobotState

PERIOD = 0.01
SPEC = RobotSpec(
    name="handled",
    period_s=PERIOD,
    state=(
        Field("position", (2,), "float64", "m"),
        Field("grip", (), "float64", "-"),
        Field("button", (), "bool", "-"),
        Field("count", (), "int64", "-"),
    ),
    command=(Field("target", (2,), "float64", "m", low=(-1.0, -1.0), high=(1.0, 1.0)),),
)


def watchdog(lockstep=False, **settings) -> Watchdog:
    driver = FakeDriver(lockstep=lockstep, clock=ManualClock())
    return Watchdog(WatchdogSettings(**settings), SPEC, driver)


def state(sequence, position=0.0, stamp_s=None, received_s=None, grip=1.0, button=False) -> RobotState:
    stamp_s = sequence * PERIOD if stamp_s is None else stamp_s
    values = {
        "position": np.full(2, position),
        "grip": np.array(grip),
        "button": np.array(button),
        "count": np.array(sequence),
    }
    return RobotState(values, sequence, stamp_s, 100.0 + stamp_s if received_s is None else received_s)


def see(dog, *states):
    """The first of them begins the episode; each is judged on arrival."""
    dog.begin(states[0])
    for one in states[1:]:
        dog.check_state(one, one.received_s)


def test_the_way_round():
    dog = watchdog()
    assert dog.phase is Phase.WARMING
    dog.warmed()
    assert dog.phase is Phase.ARMED
    first = dog.fault("e-stop pressed: now", 5.0)
    assert (dog.phase, first.since_s) == (Phase.FAULT, 5.0)
    assert dog.fault("something later", 6.0) == first  # the first one is the one that counts
    dog.warmed()
    assert dog.phase is Phase.FAULT
    dog.looked("")
    assert "Armed again after: e-stop pressed: now." in dog.arm()
    assert dog.phase is Phase.WARMING
    assert dog.latched is None
    assert dog.arm() == "Not in fault: warming."


def test_arming_is_refused_until_a_look_has_found_the_cause_gone():
    dog = watchdog()
    dog.fault("robot link: nobody there", 1.0)
    for problem in ("robot link: nobody there", "e-stop pressed: 'button' says so in state 4"):
        with pytest.raises(ArmRefusedError, match=problem):
            dog.arm()
        dog.looked("e-stop pressed: 'button' says so in state 4")
    assert dog.phase is Phase.FAULT


CALLS = st.sampled_from(["warmed", "fault", "looked", "problem", "begin", "good state", "good tick"])


@given(st.lists(CALLS, max_size=30))
def test_nothing_but_arm_leaves_a_fault(calls):
    dog = watchdog()
    dog.fault("overrun: once", 0.0)
    for i, call in enumerate(calls):
        match call:
            case "warmed":
                dog.warmed()
            case "fault":
                dog.fault("another", float(i))
            case "looked":
                dog.looked("")
            case "problem":
                dog.looked("still there")
            case "begin":
                dog.begin(state(0))
            case "good state":
                dog.check_state(state(i + 1), 100.0 + (i + 1) * PERIOD)
            case "good tick":
                dog.check_tick(0.0)
        assert dog.phase is Phase.FAULT
        assert dog.latched is not None
        assert dog.latched.sentence == "overrun: once"


@pytest.mark.parametrize("setting", ["button", "driver.lockstep"])
def test_e_stop(setting):
    dog = watchdog(e_stop=setting, lockstep=setting != "button")
    with pytest.raises(FaultError, match=f"e-stop pressed: '{setting}' says so in state 2"):
        see(dog, state(1), state(2, button=True))


def test_dead_man_released():
    dog = watchdog(dead_man="grip")
    see(dog, state(1), state(2))
    with pytest.raises(FaultError, match="dead-man released: 'grip' says so in state 3"):
        dog.check_state(state(3, grip=0.0), 100.03)


@pytest.mark.parametrize("name", ["position", "nothing", "driver.nothing"])
def test_a_flag_that_is_not_there_is_refused(name):
    with pytest.raises(ConfigError, match=r"watchdog.e_stop.*\['grip', 'button', 'count'\]"):
        watchdog(e_stop=name)


def test_a_state_that_waited_here_too_long():
    dog = watchdog()
    dog.begin(state(1))
    dog.check_state(state(2), 100.02 + 0.5)
    with pytest.raises(FaultError, match=r"stale state: it arrived 0\.51 s ago, 0\.5 s are allowed"):
        dog.check_state(state(3), 100.03 + 0.51)


def test_a_state_that_was_under_way_too_long():
    """The clocks' origins differ by 100 s; that is no age. What grows beyond the quickest one is."""
    dog = watchdog()
    see(dog, state(1), state(2, received_s=100.02 - 0.005), state(3, received_s=100.03 + 0.49))
    late = state(4, received_s=100.04 + 0.51)
    with pytest.raises(FaultError, match=r"stale state: by the robot's stamp it was 0\.5[12] s under way"):
        dog.check_state(late, late.received_s)


def test_a_stamp_that_stands_still():
    with pytest.raises(FaultError, match=r"stale state: the robot's stamp went from 0\.020 to 0\.020 s"):
        see(watchdog(), state(1), state(2), state(3, stamp_s=0.02, received_s=100.03))


def test_time_does_not_matter_in_lockstep():
    see(watchdog(lockstep=True), state(1), state(2, received_s=200.0), state(3, stamp_s=0.0, received_s=300.0))


def test_overrun_of_one_tick():
    dog = watchdog(overrun_s=0.1)
    dog.check_tick(0.1)
    with pytest.raises(FaultError, match="overrun: a tick came 101 ms late, 100 ms are allowed"):
        dog.check_tick(0.101)


def test_overrun_of_many_ticks_in_a_row():
    dog = watchdog(misses=3)
    for lateness in (0.011, 0.011, 0.01, 0.011, 0.011):  # a whole period is not more than one
        dog.check_tick(lateness)
    with pytest.raises(FaultError, match="overrun: 3 ticks in a row came more than a period late"):
        dog.check_tick(0.011)


def commands(dog, values, first=2):
    """One command and one unchanged state after it, for each value."""
    for i, value in enumerate(values):
        dog.check_command(True, False, np.full(2, value))
        dog.check_state(state(first + i), 100.0 + (first + i) * PERIOD)


def test_frozen_sensor():
    dog = watchdog(frozen=3)
    dog.begin(state(1))
    commands(dog, [0.1, 0.2, 0.3])  # the first differs from nothing
    with pytest.raises(FaultError, match="frozen sensor: no reading changed over 3 commands that differed"):
        commands(dog, [0.4], first=5)


def test_a_robot_that_is_told_to_stand_still_may():
    dog = watchdog(frozen=3)
    dog.begin(state(1))
    commands(dog, [0.1] * 50)


def test_one_bit_that_changes_is_a_live_sensor():
    dog = watchdog(frozen=3)
    dog.begin(state(1))
    commands(dog, [0.1, 0.2, 0.3])
    dog.check_state(state(5, position=5e-324), 100.05)
    commands(dog, [0.5], first=6)  # that reading goes back: it changes too
    commands(dog, [0.6, 0.7], first=7)


def test_counters_and_flags_are_no_sensors():
    """`count` changes in every state of these tests, and `frozen` counts all the same."""
    dog = watchdog(frozen=1)
    dog.begin(state(1))
    with pytest.raises(FaultError, match="frozen sensor"):
        commands(dog, [0.1, 0.2])


def test_interventions_in_a_row():
    dog = watchdog(interventions=3)
    for filtered in (True, True, False, True, True):
        dog.check_command(True, filtered, np.zeros(2))
    with pytest.raises(FaultError, match="filter interventions: the safety filter changed 3 commands in a row"):
        dog.check_command(True, True, np.zeros(2))


def test_interventions_are_allowed_by_default():
    dog = watchdog()
    for _ in range(10_000):
        dog.check_command(True, True, np.zeros(2))


def test_actions_that_are_no_numbers():
    dog = watchdog(non_finite=2)
    for finite in (False, True, False):
        dog.check_command(finite, True, np.zeros(2))
    with pytest.raises(FaultError, match="bad data: 2 actions in a row were not finite"):
        dog.check_command(False, True, np.zeros(2))


def test_no_policy_and_an_old_one():
    dog = watchdog(policy_age_s=10.0)
    dog.check_policy(True, 10.0)
    with pytest.raises(FaultError, match=r"no policy: the newest is 10\.1 s old, 10 s are allowed"):
        dog.check_policy(True, 10.1)
    with pytest.raises(FaultError, match="no policy: no learner has published one"):
        dog.check_policy(False, 0.0)
    watchdog().check_policy(True, 1e6)  # without a learner the last policy goes on, unless a person says otherwise


def test_an_episode_begins_with_a_clean_slate():
    dog = watchdog(misses=2, interventions=2, non_finite=2, frozen=1)
    dog.check_tick(0.02)
    dog.check_command(False, True, np.ones(2))
    dog.begin(state(7))
    dog.check_tick(0.02)
    dog.check_command(False, True, np.zeros(2))
    dog.check_state(state(8), 100.08)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stale_s": 0.0}, r"Setting 'watchdog\.stale_s' must be a positive time in seconds"),
        ({"overrun_s": float("nan")}, r"watchdog\.overrun_s"),
        ({"misses": 0}, r"Setting 'watchdog\.misses' must be a count of at least 1"),
        ({"frozen": -1}, r"watchdog\.frozen"),
        ({"non_finite": 0}, r"watchdog\.non_finite"),
        ({"policy_age_s": -1.0}, r"watchdog\.policy_age_s"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        WatchdogSettings(**settings)


def test_a_driver_that_reports_the_same_state_object_is_no_crash():
    one = state(1)
    dog = watchdog(lockstep=True)
    dog.begin(one)
    dog.check_state(replace(one, sequence=2), 0.0)
